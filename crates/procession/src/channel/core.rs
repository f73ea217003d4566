//! A queue of encoded items in a segment of shared memory: who may change it, who waits for what, and what is done when
//! a process dies in the middle.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use procession_os::Segment;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::deque::{Corrupt, Deque, Pushed, SMALL};
use super::sleepers::{Sleepers, Wake};
use super::undone::Undone;
use crate::handle;
use crate::segment::{AT_BODY, Kind, SharedSegment};
use crate::sync::{LockWord, Taken};
use crate::{Error, ErrorKind};

// What every operation changes lies in one line of the cache, what sleepers change in others.
const LOCK: LockWord = LockWord(AT_BODY);
const DEQUE: Deque =
    Deque { head: AT_BODY + 8, tail: AT_BODY + 16, capacity: AT_BODY + 24, items: AT_BODY + 32, data: AT_DATA };
const AT_MAX_ITEMS: usize = AT_BODY + 40;
const AT_CLOSED: usize = AT_BODY + 48;
const GETTERS: Sleepers = Sleepers(128);
const PUTTERS: Sleepers = Sleepers(192);
/// For those who wait until all items are done.
const JOINERS: Sleepers = Sleepers(256);
const UNDONE: Undone = Undone { at: 320, table: 4096 };
const AT_DATA: usize = 128 << 10;
const _: () = assert!(UNDONE.table + Undone::TABLE_SIZE <= AT_DATA);

/// Address space for the items of a queue, unless less is asked for; memory is used only where something lies.
pub(crate) const MAX_BYTES: usize = 16 << 30;
/// About a microsecond: what others hold the lock for. Longer would keep them from a core where there are few.
const SPINS: usize = 30;

/// How long a call may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Forever,
    For(Duration),
    /// Only for the lock.
    No,
}

/// What a call waits for, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Put,
    Get,
    Join,
}

#[derive(Debug)]
pub(crate) struct Core(SharedSegment);

/// The lock, for a scope. Whatever happens in there, what it guards is whole.
struct Held<'a>(&'a Segment);

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        LOCK.release(self.0);
    }
}

impl Core {
    /// `max_bytes` becomes a power of two, not less than that of a small queue.
    pub fn create(kind: Kind, max_items: u64, max_bytes: usize) -> Result<Core, Error> {
        let bytes = max_bytes.max(SMALL).checked_next_power_of_two();
        let bytes = bytes.and_then(|bytes| bytes.checked_add(AT_DATA - AT_BODY));
        let segment = bytes
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
            .and_then(|bytes| SharedSegment::create(kind, bytes))
            .map_err(|e| Error::create("a queue (its builder's `max_bytes` can ask for less)", e))?;
        DEQUE.initialize(&segment);
        segment.u64(AT_MAX_ITEMS).store(max_items, Ordering::Release);
        Ok(Core(segment))
    }

    /// Puts an encoded item in.
    #[inline]
    pub fn put(&self, bytes: &[u8], wait: Patience) -> Result<(), Error> {
        let max_items = self.max_items();
        self.retry(Goal::Put, wait, PUTTERS, |memory| {
            if self.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "failed to put: the queue is closed"));
            }
            if DEQUE.len(memory) >= max_items {
                return Ok(None);
            }
            match DEQUE.push(memory, bytes).map_err(corrupt)? {
                Pushed::Done => Ok(Some(())),
                Pushed::Full => Ok(None),
                Pushed::TooLong => Err(too_long(bytes.len(), DEQUE.max_capacity(memory))),
            }
        })?;
        GETTERS.wake(&self.0, Wake::One);
        Ok(())
    }

    /// Takes an item out and appends it to `out`. With `is_kept`, it is undone until this process says otherwise.
    #[inline]
    pub fn get(&self, out: &mut Vec<u8>, wait: Patience, is_kept: bool) -> Result<(), Error> {
        self.retry(Goal::Get, wait, GETTERS, |memory| {
            let Some(len) = DEQUE.front(memory).map_err(corrupt)? else {
                return if self.is_closed() { Err(closed_and_empty()) } else { Ok(None) };
            };
            let entry = if is_kept { Some(UNDONE.own_entry(memory)?) } else { None };
            out.try_reserve(len).map_err(|_| Error::io("get from a queue", io::ErrorKind::OutOfMemory.into()))?;
            DEQUE.copy_front(memory, len, out).map_err(corrupt)?;
            match entry {
                Some(entry) => UNDONE.keep_one(memory, entry, DEQUE.marks(memory).1, || DEQUE.pop(memory, len)),
                None => DEQUE.pop(memory, len),
            }
            Ok(Some(()))
        })?;
        // Who waits for room and not for its turn among so many items waits for enough bytes, and one may fit where another
        // does not.
        let was_full = DEQUE.len(&self.0).saturating_add(1) >= self.max_items();
        PUTTERS.wake(&self.0, if was_full { Wake::One } else { Wake::All });
        Ok(())
    }

    /// Says that an item is done that this process has taken.
    pub fn task_done(&self) -> Result<(), Error> {
        let held = self.lock(None, Goal::Join)?;
        UNDONE.drop_one(&self.0)?;
        let is_done = self.is_done();
        drop(held);
        if is_done {
            JOINERS.wake(&self.0, Wake::All);
        }
        Ok(())
    }

    /// Waits until no item is left and none is undone; returns how many were lost in the life of the queue.
    pub fn join(&self, wait: Patience) -> Result<u64, Error> {
        self.retry(Goal::Join, wait, JOINERS, |memory| {
            UNDONE.bury_the_dead(memory);
            Ok(self.is_done().then(|| UNDONE.lost(memory)))
        })
    }

    /// Certain for the holder of the lock.
    fn is_done(&self) -> bool {
        let (head, tail) = DEQUE.marks(&self.0);
        head == tail && !UNDONE.has_any(&self.0)
    }

    pub fn close(&self) -> Result<(), Error> {
        let held = self.lock(None, Goal::Put)?;
        self.0.u64(AT_CLOSED).store(1, Ordering::Release);
        drop(held);
        GETTERS.wake(&self.0, Wake::All);
        PUTTERS.wake(&self.0, Wake::All);
        Ok(())
    }

    #[inline]
    pub fn is_closed(&self) -> bool {
        self.0.u64(AT_CLOSED).load(Ordering::Acquire) != 0
    }

    /// As if the process that died last had held the lock.
    #[cfg(test)]
    fn poison(&self) {
        assert_eq!(LOCK.acquire(&*self.0, None), Some(Taken::Clean));
        LOCK.poison(&*self.0);
        LOCK.release(&*self.0);
    }

    /// As a process would that writes where it should not.
    #[cfg(test)]
    pub fn overwrite(&self) {
        self.0.u64(DEQUE.capacity).store(u64::MAX, Ordering::Relaxed);
    }

    pub fn len(&self) -> usize {
        DEQUE.len(&self.0) as usize
    }

    pub fn is_empty(&self) -> bool {
        let (head, tail) = DEQUE.marks(&self.0);
        head == tail
    }

    #[inline]
    pub fn max_items(&self) -> u64 {
        self.0.u64(AT_MAX_ITEMS).load(Ordering::Relaxed)
    }

    /// Tries again and again, each time with the lock, until there is something or the time is over.
    #[inline]
    fn retry<R>(
        &self,
        goal: Goal,
        wait: Patience,
        sleepers: Sleepers,
        mut attempt: impl FnMut(&Segment) -> Result<Option<R>, Error>,
    ) -> Result<R, Error> {
        let memory: &Segment = &self.0;
        let deadline = match wait {
            Patience::For(time) => Instant::now().checked_add(time),
            Patience::Forever | Patience::No => None,
        };
        loop {
            let held = self.lock(deadline, goal)?;
            let before = DEQUE.marks(memory);
            if let Some(result) = attempt(memory)? {
                return Ok(result);
            }
            drop(held);
            if matches!(wait, Patience::No) {
                return Err(not_now(goal));
            }
            let is_due = || match goal {
                Goal::Join => self.is_done(),
                Goal::Put | Goal::Get => DEQUE.marks(memory) != before || self.is_closed(),
            };
            let mut spins = (0..SPINS).map(|_| std::hint::spin_loop());
            if spins.any(|()| is_due()) {
                continue;
            }
            let seen = sleepers.prepare(memory);
            if is_due() {
                continue;
            }
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if rest == Some(Duration::ZERO) {
                return Err(late(goal));
            }
            sleepers.sleep(memory, seen, rest);
        }
    }

    #[inline]
    fn lock(&self, deadline: Option<Instant>, goal: Goal) -> Result<Held<'_>, Error> {
        let memory: &Segment = &self.0;
        let taken = LOCK.acquire(memory, deadline).ok_or_else(|| late(goal))?;
        let held = Held(memory);
        if taken == Taken::Poisoned {
            self.repair()?;
        }
        Ok(held)
    }

    /// Somebody died with the lock.
    #[cold]
    fn repair(&self) -> Result<(), Error> {
        DEQUE.repair(&self.0).map_err(corrupt)?;
        UNDONE.repair(&self.0, DEQUE.marks(&self.0).1);
        LOCK.clear_poison(&*self.0);
        Ok(())
    }
}

fn corrupt(_: Corrupt) -> Error {
    let cause = "its memory was overwritten by a process that has it";
    Error::io("use a queue", io::Error::new(io::ErrorKind::InvalidData, cause))
}

fn too_long(len: usize, max: usize) -> Error {
    let message = format!(
        "failed to put: an item of {len} bytes does not fit into a queue of {max}; give it more `max_bytes`, or send \
         less"
    );
    Error::new(ErrorKind::BadArgument, message)
}

fn closed_and_empty() -> Error {
    Error::new(ErrorKind::Closed, "failed to get: the queue is closed, and nothing is left in it")
}

#[cold]
fn not_now(goal: Goal) -> Error {
    match goal {
        Goal::Put => Error::new(ErrorKind::Full, "failed to put: the queue is full"),
        Goal::Get => Error::new(ErrorKind::Empty, "failed to get: the queue is empty"),
        Goal::Join => Error::new(ErrorKind::Timeout, "failed to join: items of the queue are not done"),
    }
}

#[cold]
fn late(goal: Goal) -> Error {
    let message = match goal {
        Goal::Put => "failed to put: the queue has been full all the time",
        Goal::Get => "failed to get: the queue has been empty all the time",
        Goal::Join => "failed to join: there are items in the queue that are not done yet",
    };
    Error::new(ErrorKind::Timeout, message)
}

impl Serialize for Core {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A queue that another process has sent, which must be of this kind.
pub(crate) fn receive<'de, D: Deserializer<'de>>(kind: Kind, deserializer: D) -> Result<Core, D::Error> {
    let segment = SharedSegment::deserialize(deserializer)?;
    segment.check(kind, AT_DATA - AT_BODY + SMALL).map_err(|e| D::Error::custom(handle::note(e)))?;
    Ok(Core(segment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::dying::dies_at;
    use std::collections::VecDeque;

    fn get(core: &Core, is_kept: bool) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        core.get(&mut out, Patience::No, is_kept).map(|()| out)
    }

    const GET: usize = usize::MAX;

    /// A queue after these steps (bytes that are put, or [`GET`]), and what is in it.
    fn start(steps: &[usize]) -> (Core, VecDeque<Vec<u8>>) {
        let core = Core::create(*b"QUEUE   ", u64::MAX, 64 << 20).unwrap();
        let mut model = VecDeque::new();
        for (n, &len) in steps.iter().enumerate() {
            if len == GET {
                assert!(get(&core, true).ok() == model.pop_front());
                core.task_done().unwrap();
            } else {
                model.push_back(vec![n as u8 + 1; len]);
                core.put(&vec![n as u8 + 1; len], Patience::No).unwrap();
            }
        }
        (core, model)
    }

    /// States in which the next item goes behind the last, around the end, or makes the queue grow, with and without
    /// something that has to move; and in which taking the last one gives memory back.
    const STATES: &[&[usize]] = &[
        &[],
        &[0],
        &[10, 20, 30, GET],
        &[60_000],
        &[60_000, GET],
        &[60_000, GET, 10_000],
        &[60_000, 5000, GET, 30_000],
        &[60_000, 5000, GET, 30_000, GET, 30_000],
        &[40_000, 20_000, 30_000, GET, 90_000, GET],
        &[500_000, 10, GET],
        &[20_000_000],
        &[20_000_000, 7, GET],
    ];

    #[test]
    fn a_producer_that_dies_at_any_step_has_put_its_item_or_not() {
        for &items in STATES {
            for len in [0, 5, 10_000, 200_000] {
                for step in 0.. {
                    let (core, mut model) = start(items);
                    let has_died = dies_at(step, || core.put(&vec![99; len], Patience::No).unwrap());
                    if has_died {
                        core.poison();
                    }
                    // The next one repairs.
                    core.put(b"after", Patience::No).unwrap();
                    let is_in = core.len() > model.len() + 1;
                    assert!(has_died || is_in);
                    if is_in {
                        model.push_back(vec![99; len]);
                    }
                    model.push_back(b"after".to_vec());
                    assert_eq!(core.len(), model.len());
                    while let Some(item) = model.pop_front() {
                        assert!(get(&core, false).unwrap() == item, "step {step} of {len} bytes after {items:?}");
                    }
                    assert_eq!(get(&core, false).unwrap_err().kind(), ErrorKind::Empty);
                    if !has_died {
                        assert!(step >= 3, "no steps were counted");
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_consumer_that_dies_at_any_step_has_taken_its_item_or_not() {
        for &items in STATES {
            for is_kept in [false, true] {
                for step in 0.. {
                    let (core, mut model) = start(items);
                    if model.is_empty() {
                        break;
                    }
                    let has_died = dies_at(step, || drop(get(&core, is_kept).unwrap()));
                    if has_died {
                        core.poison();
                    }
                    core.put(b"after", Patience::No).unwrap();
                    model.push_back(b"after".to_vec());
                    let is_taken = core.len() < model.len();
                    assert!(has_died || is_taken);
                    if is_taken {
                        model.pop_front();
                    }
                    assert_eq!(core.len(), model.len());
                    // What is taken is undone until it is said to be done, once; what is not taken is not.
                    assert_eq!(core.task_done().is_ok(), is_taken && is_kept, "step {step} after {items:?}");
                    assert!(core.task_done().is_err());
                    while let Some(item) = model.pop_front() {
                        assert!(get(&core, false).unwrap() == item, "step {step} after {items:?}");
                    }
                    assert_eq!(core.join(Patience::No).unwrap(), 0);
                    if !has_died {
                        assert!(step >= if is_kept { 7 } else { 2 }, "no steps were counted");
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn marks_that_no_queue_gets_to_are_refused() {
        let core = Core::create(*b"QUEUE   ", u64::MAX, 64 << 10).unwrap();
        for at in [DEQUE.head, DEQUE.tail] {
            core.0.u64(at).store(u64::MAX - 7, Ordering::Relaxed);
        }
        assert_eq!(core.put(b"x", Patience::No).unwrap_err().kind(), ErrorKind::Io);
    }
}
