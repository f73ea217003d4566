//! Where frames arrive.

use std::io;
use std::sync::Arc;

use procession_os::{Channel, Received};

use super::link::PoolBell;
use crate::handle;
use crate::lane::{Lane, PIECE, TASKS, WORKER_BELL};
use crate::ring::{Consumer, Corrupt, mode};
use crate::wire::{FRAME_HEADER, Frame};

/// The worker's side of the tasks' ring.
pub(super) struct Inbox {
    lane: Arc<Lane>,
    bell: Arc<PoolBell>,
    ring: Consumer,
    /// By which the handles of frames come.
    channel: Arc<Channel>,
}

impl Inbox {
    pub fn new(lane: Arc<Lane>, bell: Arc<PoolBell>, channel: Arc<Channel>) -> Inbox {
        Inbox { lane, bell, ring: Consumer::new(TASKS), channel }
    }

    /// The next frame, with its payload.
    pub fn next(&mut self) -> io::Result<(Frame, Vec<u8>)> {
        let mut header = Vec::with_capacity(FRAME_HEADER);
        self.read(FRAME_HEADER, &mut header)?;
        let frame = Frame::parse(&header).ok_or(io::ErrorKind::InvalidData)?;
        let len = usize::try_from(frame.len).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut payload = Vec::new();
        payload.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if len >= 4 << 20 {
            procession_os::advise_huge_pages(&mut payload);
        }
        self.read(len, &mut payload)?;
        Ok((frame, payload))
    }

    /// What was sent beside a frame that says so: it was sent before the frame.
    pub fn handles(&self) -> io::Result<handle::Received> {
        let Received::Message(first_place, fds) = self.channel.receive()? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let first_place = <[u8; 2]>::try_from(first_place).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(handle::at_places(u16::from_le_bytes(first_place).into(), fds))
    }

    /// Moves the next `len` bytes to the end of `out`, as they come.
    fn read(&mut self, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let memory = &self.lane.memory;
        let mut left = len;
        while left > 0 {
            let mut available = self.ring.available(memory).map_err(|Corrupt| io::ErrorKind::InvalidData)?;
            if available == 0 && !WORKER_BELL.spin(1, || self.ring.available(memory) != Ok(0)) {
                let seen = WORKER_BELL.prepare(memory, mode::FUTEX);
                available = self.ring.available(memory).map_err(|Corrupt| io::ErrorKind::InvalidData)?;
                if available == 0 {
                    WORKER_BELL.sleep(memory, seen, None);
                }
                WORKER_BELL.awake(memory);
            }
            let now = available.min(left).min(PIECE);
            self.ring.take(memory, now, out);
            left -= now;
            if now > 0 && self.lane.wants_room() {
                self.bell.ring();
            }
        }
        Ok(())
    }
}
