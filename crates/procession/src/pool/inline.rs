//! A pool without workers: tasks run at once, in the thread that submits them. For tests and debugging.
//!
//! Arguments and results are encoded and decoded as on their way to a worker, so what works here works there.

use std::any::Any;
use std::os::fd::AsFd;
use std::time::Instant;

use super::batch::{Beside, Chunk, Event, all_of};
use super::settings::Settings;
use super::shared::Shared;
use crate::handle::{self, Received};
use crate::outcome::Details;
use crate::panics;
use crate::wire::{self, Bytes, Fault, Frame, FrameKind, RecordKind};
use crate::worker::{Link, Tasks};
use crate::{Error, ErrorKind, Failure, FailureKind};

/// What the initializer returned.
pub(crate) struct State(Option<&'static (dyn Any + Send + Sync)>);

/// The records of what has run.
fn kept(tasks: &mut Tasks) -> Vec<(RecordKind, Vec<u8>)> {
    match &mut tasks.link {
        Link::Kept(records) => std::mem::take(records),
        Link::Lane(_) => Vec::new(),
    }
}

/// The handles as another process would get them; fewer if this one may not have more.
fn copies(beside: Beside<'_>) -> Received {
    let copies = beside.handles.iter().map_while(|handle| handle.as_fd().try_clone_to_owned().ok());
    handle::at_places(beside.first_place, copies)
}

impl State {
    pub fn new(settings: &Settings) -> Result<State, Error> {
        panics::catch_panics();
        let Some(init) = &settings.initializer else { return Ok(State(None)) };
        let mut tasks = Tasks::new(Link::Kept(Vec::new()));
        let frame = Frame { call: init.call, count: 1, ..Frame::plain(FrameKind::Initialize) };
        let broken = |why: String| Error::new(ErrorKind::Broken, format!("failed to start the pool: {why}"));
        tasks
            .handle(frame, init.argument.to_vec(), copies(all_of(&init.handles)))
            .map_err(|e| broken(e.to_string()))?;
        match kept(&mut tasks).pop() {
            Some((_, fault)) => {
                let fault = wire::decode::<Fault>(Bytes::Owned(fault)).map_err(broken)?;
                Err(broken(format!("its initializer failed: {}", FailureKind::from(fault))))
            }
            None => Ok(State(tasks.state())),
        }
    }

    /// Runs all items of a chunk.
    pub fn run(&self, shared: &Shared, chunk: Chunk) {
        let mut tasks = Tasks::new(Link::Kept(Vec::new()));
        tasks.set_state(self.0);
        tasks.max_result_bytes = shared.settings.max_result_bytes;
        let context = chunk.batch.context.as_ref();
        let kind = if chunk.is_single { FrameKind::Single } else { FrameKind::Chunk };
        let frame = Frame {
            call: chunk.batch.call,
            count: chunk.count,
            context: context.map_or(0, |c| c.id),
            first: chunk.first as u64,
            ..Frame::plain(kind)
        };
        if let Some(context) = context {
            let frame = Frame { context: context.id, ..Frame::plain(FrameKind::Context) };
            let _ = tasks.handle(frame, context.bytes.to_vec(), copies(all_of(&context.handles)));
        }
        let start = Instant::now();
        // It fails only for a call of another program, and this one made the call.
        let _ = tasks.handle(frame, chunk.payload[chunk.range.clone()].to_vec(), copies(chunk.own_handles()));
        let elapsed = start.elapsed() / chunk.count.max(1);
        let mut core = shared.lock();
        for (index, (kind, payload)) in (chunk.first..).zip(kept(&mut tasks)) {
            let attempts = chunk.attempts + 1;
            let event = if kind == RecordKind::Done {
                Event::Large { index, attempts, elapsed, payload }
            } else {
                let kind = match wire::decode::<Fault>(Bytes::Owned(payload)) {
                    Ok(fault) => FailureKind::from(fault),
                    Err(message) => FailureKind::BadResult { message },
                };
                Event::Failed(Failure::new(Details { attempts, elapsed, ..Details::of(kind, index) }))
            };
            core.deliver_local(&chunk.batch, event);
        }
        shared.release(core);
    }
}
