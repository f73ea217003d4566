//! The shared memory between a pool and one of its workers, word by word (docs/protocol.md), and the claim of items.

use std::io;
use std::sync::atomic::Ordering;

use procession_os::{ImageId, Segment};

use crate::ring::{Bell, Memory, Place, Wish};

/// Version of everything that crosses between a program and its workers. Both are the same image, so a difference
/// means a mistake.
pub(crate) const VERSION: u32 = 4;
const MAGIC: u64 = u64::from_le_bytes(*b"procLANE");

/// Bytes of each of the two rings of a lane.
pub(crate) const RING_CAPACITY: usize = 256 * 1024;

/// Large payloads are copied this much at a time, so that one side copies in while the other copies out.
pub(crate) const PIECE: usize = RING_CAPACITY / 8;

const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 8;
const AT_IMAGE: usize = 16;
const CLAIMS: Claims = Claims(128);
const AT_READY: usize = 192;
const AT_PID: usize = 196;
const AT_EVENTS: usize = 200;
const WANTS_ROOM: Wish = Wish(256);
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

/// The word by which items are begun or taken back: twice the number of items that have begun, plus one while the rest is
/// taken back.
#[derive(Debug, Clone, Copy)]
struct Claims(usize);

impl Claims {
    #[inline]
    fn claim(self, memory: &impl Memory, seq: u64) -> Claim {
        if memory.change64(self.0, seq << 1, (seq + 1) << 1) { Claim::Granted } else { Claim::Revoked }
    }

    fn resume(self, memory: &impl Memory, seq: u64) {
        memory.store64(self.0, seq << 1, Ordering::Release);
    }

    fn revoke(self, memory: &impl Memory) -> u64 {
        memory.set_bits64(self.0, REVOKED) >> 1
    }

    fn claimed(self, memory: &impl Memory) -> (u64, bool) {
        let word = memory.load64(self.0, Ordering::Acquire);
        (word >> 1, word & REVOKED != 0)
    }
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
        for at in [CLAIMS.0, TASKS.head, TASKS.tail, RESULTS.head, RESULTS.tail] {
            memory.u64(at).store(0, Ordering::Relaxed);
        }
        for at in [AT_READY, AT_PID, AT_EVENTS, WANTS_ROOM.0, WORKER_BELL.count, WORKER_BELL.mode] {
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
        CLAIMS.claim(&self.memory, seq)
    }

    /// Worker: from now on items count from `seq`.
    pub fn resume(&self, seq: u64) {
        CLAIMS.resume(&self.memory, seq);
    }

    /// Parent: takes back every item that has not begun; returns how many have. From here on the worker begins none
    /// until it is told to resume.
    pub fn revoke(&self) -> u64 {
        CLAIMS.revoke(&self.memory)
    }

    /// Parent: how many items have begun, and whether the rest is taken back.
    pub fn claimed(&self) -> (u64, bool) {
        CLAIMS.claimed(&self.memory)
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

    /// The program tells which log events it wants: see [`crate::logging::wanted`].
    pub fn set_wanted_events(&self, wanted: u32) {
        self.memory.u32(AT_EVENTS).store(wanted, Ordering::Relaxed);
    }

    pub fn wanted_events(&self) -> u32 {
        self.memory.u32(AT_EVENTS).load(Ordering::Relaxed)
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
        WANTS_ROOM.set(&self.memory, wants);
    }

    /// Worker: whether the parent waits for room.
    pub fn wants_room(&self) -> bool {
        WANTS_ROOM.is_set(&self.memory)
    }
}

#[cfg(all(test, not(loom)))]
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

/// Every interleaving of a worker that begins items and a parent that takes them back: see `ring`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::ring::model::Model;
    use loom::sync::atomic::AtomicU32;
    use loom::sync::{Arc, Mutex};

    const CLAIMS: Claims = Claims(0);
    const ITEMS: u64 = 3;

    /// Whatever is taken back and given again, each item is begun once, and those that the parent takes for begun are.
    #[test]
    fn loom_each_item_is_begun_once() {
        loom::model(|| {
            let memory = Arc::new(Model::new());
            let begun: Arc<[AtomicU32; ITEMS as usize]> = Arc::new(std::array::from_fn(|_| AtomicU32::new(0)));
            // What the frames after the first one say: to go on from an item, and all items from there.
            let frames = Arc::new(Mutex::new(Vec::<u64>::new()));
            let worker = {
                let (memory, begun, frames) = (Arc::clone(&memory), Arc::clone(&begun), Arc::clone(&frames));
                loom::thread::spawn(move || {
                    let run_from = |first: u64| {
                        for seq in first..ITEMS {
                            if CLAIMS.claim(&*memory, seq) == Claim::Revoked {
                                break;
                            }
                            begun[seq as usize].fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    run_from(0);
                    let next = frames.lock().unwrap().pop();
                    if let Some(seq) = next {
                        CLAIMS.resume(&*memory, seq);
                        run_from(seq);
                    }
                    next.is_some()
                })
            };
            let back_from = CLAIMS.revoke(&*memory);
            frames.lock().unwrap().push(back_from);
            let has_resumed = worker.join().unwrap();
            for (seq, begun) in (0..).zip(begun.iter()) {
                let is_due = has_resumed || seq < back_from;
                assert_eq!(begun.load(Ordering::Relaxed), u32::from(is_due), "item {seq} of those from {back_from}");
            }
            assert_eq!(CLAIMS.claimed(&*memory), if has_resumed { (ITEMS, false) } else { (back_from, true) });
        });
    }
}
