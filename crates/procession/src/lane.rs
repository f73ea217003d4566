//! The shared memory between a pool and one of its workers, word by word (docs/protocol.md), and the claim of items.

use std::io;
use std::sync::atomic::Ordering;

use procession_os::{ImageId, Segment};

use crate::ring::{Bell, Place};

/// Version of everything that crosses between a program and its workers. Both are the same image, so a difference
/// means a mistake.
pub(crate) const VERSION: u32 = 1;
const MAGIC: u64 = u64::from_le_bytes(*b"procLANE");

/// Bytes of each of the two rings of a lane.
pub(crate) const RING_CAPACITY: usize = 256 * 1024;

const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 8;
const AT_IMAGE: usize = 16;
const AT_CLAIM: usize = 128;
const AT_READY: usize = 192;
const AT_PID: usize = 196;
const AT_WANTS_ROOM: usize = 256;
const AT_RINGS: usize = 4096;

/// Parent to worker.
pub(crate) const TASKS: Place = Place { head: 320, tail: 384, data: AT_RINGS, capacity: RING_CAPACITY };
/// Worker to parent.
pub(crate) const RESULTS: Place =
    Place { head: 448, tail: 512, data: AT_RINGS + RING_CAPACITY, capacity: RING_CAPACITY };
/// Wakes the worker.
pub(crate) const WORKER_BELL: Bell = Bell { count: 576, mode: 580 };
/// Wakes the pool; lies in a segment of its own that all workers of the pool map.
pub(crate) const POOL_BELL: Bell = Bell { count: 0, mode: 64 };
/// Size of the segment of [`POOL_BELL`].
pub(crate) const POOL_BELL_BYTES: usize = 4096;

const REVOKED: u64 = 1;
const ARRIVED: u32 = 1;
const READY: u32 = 2;

/// One lane's shared memory.
#[derive(Debug)]
pub(crate) struct Lane {
    pub memory: Segment,
}

/// What a worker found when it wanted to begin an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The item is this worker's to run.
    Granted,
    /// The parent has taken back all items that had not begun.
    Revoked,
}

impl Lane {
    /// Size of a lane in bytes.
    pub const BYTES: usize = AT_RINGS + 2 * RING_CAPACITY;

    /// Puts the memory into the state that a new worker expects. No worker may use it any more.
    pub fn reset(&self) {
        let memory = &self.memory;
        memory.u64(AT_MAGIC).store(MAGIC, Ordering::Relaxed);
        memory.u32(AT_VERSION).store(VERSION, Ordering::Relaxed);
        memory.write(AT_IMAGE, &ImageId::current().0);
        for at in [AT_CLAIM, TASKS.head, TASKS.tail, RESULTS.head, RESULTS.tail] {
            memory.u64(at).store(0, Ordering::Relaxed);
        }
        for at in [AT_READY, AT_PID, AT_WANTS_ROOM, WORKER_BELL.count, WORKER_BELL.mode] {
            memory.u32(at).store(0, Ordering::Release);
        }
    }

    /// Checks that the other side is the same image and speaks the same version.
    pub fn check(&self) -> io::Result<()> {
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_string()));
        if self.memory.len() != Lane::BYTES || self.memory.u64(AT_MAGIC).load(Ordering::Relaxed) != MAGIC {
            return invalid("what was passed is no lane");
        }
        if self.memory.u32(AT_VERSION).load(Ordering::Relaxed) != VERSION {
            return invalid("the program speaks another version of the protocol");
        }
        let mut image = Vec::new();
        self.memory.read(AT_IMAGE, 32, &mut image);
        if image != ImageId::current().0 {
            return invalid("the program runs another image than this worker");
        }
        Ok(())
    }

    /// Worker: begins item number `seq`, if it has not been taken back.
    #[inline]
    pub fn claim(&self, seq: u64) -> Claim {
        let word = self.memory.u64(AT_CLAIM);
        match word.compare_exchange(seq << 1, (seq + 1) << 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Claim::Granted,
            Err(_) => Claim::Revoked,
        }
    }

    /// Worker: from now on items count from `seq`.
    pub fn resume(&self, seq: u64) {
        self.memory.u64(AT_CLAIM).store(seq << 1, Ordering::Release);
    }

    /// Parent: takes back every item that has not begun; returns how many have. From here on the worker begins none
    /// until it is told to resume.
    pub fn revoke(&self) -> u64 {
        self.memory.u64(AT_CLAIM).fetch_or(REVOKED, Ordering::AcqRel) >> 1
    }

    /// Parent: how many items have begun, and whether the rest is taken back.
    pub fn claimed(&self) -> (u64, bool) {
        let word = self.memory.u64(AT_CLAIM).load(Ordering::Acquire);
        (word >> 1, word & REVOKED != 0)
    }

    /// Worker: tells that it has come as far as its first lines.
    pub fn set_arrived(&self) {
        self.memory.u32(AT_PID).store(std::process::id(), Ordering::Relaxed);
        self.memory.u32(AT_READY).store(ARRIVED, Ordering::Release);
    }

    /// Parent: the process id that the worker gives itself; good for words, not for signals.
    pub fn worker_pid(&self) -> u32 {
        self.memory.u32(AT_PID).load(Ordering::Relaxed)
    }

    /// Parent: whether the worker has come as far as its first lines.
    pub fn has_arrived(&self) -> bool {
        self.memory.u32(AT_READY).load(Ordering::Acquire) != 0
    }

    /// Worker: tells that it is set up and takes tasks.
    pub fn set_ready(&self) {
        self.memory.u32(AT_READY).store(READY, Ordering::Release);
    }

    /// Parent: whether the worker is set up.
    pub fn is_ready(&self) -> bool {
        self.memory.u32(AT_READY).load(Ordering::Acquire) == READY
    }

    /// Parent: asks to be woken when tasks have been taken out of their ring.
    pub fn set_wants_room(&self, wants: bool) {
        self.memory.u32(AT_WANTS_ROOM).store(u32::from(wants), Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Worker: whether the parent waits for room.
    pub fn wants_room(&self) -> bool {
        std::sync::atomic::fence(Ordering::SeqCst);
        self.memory.u32(AT_WANTS_ROOM).load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        let lane = Lane { memory: Segment::create("lane", Lane::BYTES).unwrap().0 };
        lane.reset();
        lane
    }

    #[test]
    fn an_item_is_begun_or_taken_back_but_never_both() {
        let lane = lane();
        assert_eq!(lane.claim(0), Claim::Granted);
        assert_eq!(lane.claim(1), Claim::Granted);
        assert_eq!(lane.revoke(), 2);
        assert_eq!(lane.claim(2), Claim::Revoked);
        assert_eq!(lane.claimed(), (2, true));
        lane.resume(5);
        assert_eq!(lane.claim(5), Claim::Granted);
        assert_eq!(lane.claimed(), (6, false));
    }

    #[test]
    fn a_lane_of_somebody_else_is_refused() {
        let lane = lane();
        lane.check().unwrap();
        for at in [AT_MAGIC, AT_VERSION, AT_IMAGE + 8] {
            lane.memory.write(at, &[0xee]);
            assert!(lane.check().is_err());
            lane.reset();
        }
        let short = Lane { memory: Segment::create("lane", 4096).unwrap().0 };
        assert!(short.check().is_err());
    }
}
