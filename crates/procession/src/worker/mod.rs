//! A worker of a pool: takes frames from its lane, runs their calls, puts the results back.

mod calls;
mod inbox;
mod link;
mod tasks;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use procession_os::{Channel, Notifier, Segment};

use crate::lane::Lane;
use crate::logging;
use crate::panics::catch_panics;
use crate::wire::FrameKind;

pub(crate) use calls::{Initialize, Run, TryRun};
use inbox::Inbox;
pub(crate) use link::Link;
use link::{LaneLink, PoolBell};
pub use tasks::worker_state;
pub(crate) use tasks::{MAX_FAULT, Tasks};

/// Runs a worker of a pool until it is told to stop; returns its exit code.
pub(crate) fn work([lane, pool, event, stderr, channel]: [OwnedFd; 5]) -> io::Result<i32> {
    procession_os::redirect_stderr(stderr.as_fd())?;
    let shared = Arc::new(Lane { memory: Segment::map(&lane)? });
    shared.check()?;
    shared.set_arrived();
    let bell = Arc::new(PoolBell { pool: Segment::map(&pool)?, event: Notifier::from_fd(event) });
    // Programs that a task starts, and whatever it forks, get none of these.
    drop((lane, pool, stderr));
    catch_panics();
    let mut tasks = Tasks::new(Link::Lane(LaneLink::new(Arc::clone(&shared), Arc::clone(&bell))));
    let channel = Arc::new(Channel::from_fd(channel)?);
    logging::forward(shared.wanted_events(), &channel);
    let mut inbox = Inbox::new(Arc::clone(&shared), Arc::clone(&bell), channel);
    loop {
        let (frame, payload) = inbox.next()?;
        let handles = if frame.handles > 0 { inbox.handles()? } else { Vec::new() };
        match frame.kind {
            FrameKind::Stop => return Ok(0),
            FrameKind::Resume => shared.resume(frame.seq),
            _ => {
                if !tasks.handle(frame, payload, handles)? {
                    return Ok(125);
                }
            }
        }
        // The first two frames are Confine, and Initialize or Begin.
        if frame.kind != FrameKind::Confine && !shared.is_ready() {
            shared.set_ready();
            bell.ring();
        }
    }
}
