//! So many at a time: Python's `Semaphore`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use procession_os::Segment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parties::{Inside, LOOKS, Parties};
use super::travel::receive;
use super::wait::Wait;
use super::word::{LockWord, World};
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};

const KIND: Kind = *b"SEMAPHOR";
const WORD: LockWord = LockWord(AT_BODY);
/// How many permits there are, in whosever hands: at first as many as it was made with.
const TOTAL: usize = AT_BODY + 8;
/// How many of them living processes hold: the sum of the table's numbers.
const HELD: usize = AT_BODY + 16;
/// The total that it was made with.
const INITIAL: usize = AT_BODY + 24;
/// Changes whenever one who sleeps is woken.
const BELL: usize = AT_BODY + 32;
/// 1 if somebody may sleep until the bell changes.
const HAS_WAITERS: usize = AT_BODY + 36;
/// Who holds permits, and how many.
const HOLDERS: Parties = Parties(AT_BODY + 64);
pub(super) const SIZE: usize = 64 + Parties::SIZE;

/// Lets so many at a time pass, of all processes and threads: Python's `Semaphore`.
///
/// Clones are the same semaphore, and so is what a [`Process`](crate::Process) or a task gets that one is sent to.
///
/// [`acquire`](Semaphore::acquire) gives a [`Permit`], which comes back when it is dropped. It also comes back when its
/// process dies, within about a tenth of a second. For counting events, [`release`](Semaphore::release) adds a permit
/// and [`acquire_signal`](Semaphore::acquire_signal) takes one away: those belong to nobody, and do not come back.
///
/// Up to 4096 processes can hold permits of one semaphore at a time; more wait. It belongs to one machine and one PID
/// namespace, and is of no use in a process that you have forked yourself.
///
/// # Examples
/// ```
/// use procession::{Pool, Semaphore};
///
/// fn fetch(semaphore: &Semaphore, n: u32) -> u32 {
///     let _permit = semaphore.acquire();
///     // ... at most two of all workers are here at a time ...
///     n
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let two = Semaphore::new(2)?;
///     let pool = Pool::builder().workers(4).build()?;
///     assert_eq!(pool.map_with(&two, fetch, 0..10)?.len(), 10);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Semaphore(Arc<Inner>);

struct Inner {
    segment: SharedSegment,
    /// This process's entry in the table, if it is not out of date.
    own: AtomicUsize,
}

impl Semaphore {
    /// A semaphore with so many permits.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new(permits: usize) -> Result<Semaphore, Error> {
        Semaphore::create(KIND, permits)
    }

    pub(super) fn create(kind: Kind, permits: usize) -> Result<Semaphore, Error> {
        let segment = SharedSegment::create(kind, SIZE).map_err(|e| Error::create("a semaphore", e))?;
        segment.u64(TOTAL).store(permits as u64, Ordering::Relaxed);
        segment.u64(INITIAL).store(permits as u64, Ordering::Relaxed);
        Ok(Semaphore(Arc::new(Inner { segment, own: AtomicUsize::new(0) })))
    }

    /// Waits until a permit is there, and takes it.
    pub fn acquire(&self) -> Permit<'_> {
        while !self.take(Wait::until(None), Self::hold) {}
        Permit(self)
    }

    /// Takes a permit if one is there; None if not. Does not wait for one.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// As [`Semaphore::acquire`], but waits at most for `timeout`; None if that ran out.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.take(Wait::at_most(timeout), Self::hold).then(|| Permit(self))
    }

    /// Waits until a permit is there, and takes it away for good: until somebody calls [`Semaphore::release`].
    pub fn acquire_signal(&self) {
        while !self.take(Wait::until(None), Self::consume) {}
    }

    /// As [`Semaphore::acquire_signal`], but does not wait; false if no permit is there.
    pub fn try_acquire_signal(&self) -> bool {
        self.acquire_signal_timeout(Duration::ZERO)
    }

    /// As [`Semaphore::acquire_signal`], but waits at most for `timeout`; false if that ran out.
    pub fn acquire_signal_timeout(&self, timeout: Duration) -> bool {
        self.take(Wait::at_most(timeout), Self::consume)
    }

    /// Adds a permit. It need not have been acquired before.
    pub fn release(&self) {
        self.add(u64::MAX);
    }

    /// How many permits are there now. Those that dead processes held may not have come back yet.
    pub fn available(&self) -> usize {
        usize::try_from(self.count()).unwrap_or(usize::MAX)
    }

    fn memory(&self) -> &Segment {
        &self.0.segment
    }

    fn get(&self, at: usize) -> u64 {
        self.memory().u64(at).load(Ordering::Relaxed)
    }

    fn set(&self, at: usize, value: u64) {
        self.memory().u64(at).store(value, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.get(TOTAL).saturating_sub(self.get(HELD))
    }

    /// Whoever dies in the middle of something has at least changed the table or not, and the sum follows from it.
    fn enter(&self) -> Inside<'_> {
        let memory = self.memory();
        Inside::enter(memory, WORD, || {
            self.set(HELD, HOLDERS.all(memory).fold(0, |sum, party| sum.saturating_add(party.number)));
            // It may have been about to wake somebody.
            memory.u32(HAS_WAITERS).store(1, Ordering::Relaxed);
        })
    }

    /// Waits until `take` can take a permit; false when the time is over.
    fn take(&self, mut wait: Wait, take: fn(&Self) -> bool) -> bool {
        let memory = self.memory();
        loop {
            let inside = self.enter();
            if self.count() > 0 && take(self) {
                // Others may sleep whom its waker took it to stand for.
                if wait.has_slept() {
                    memory.u32(HAS_WAITERS).store(1, Ordering::Relaxed);
                    if self.count() > 0 {
                        self.leave_and_wake(inside);
                    }
                }
                return true;
            }
            let is_last = wait.is_over();
            if !is_last || wait.has_slept() {
                memory.u32(HAS_WAITERS).store(1, Ordering::Relaxed);
            }
            let bell = memory.u32(BELL).load(Ordering::Relaxed);
            drop(inside);
            let is_time_to_look = is_last || wait.sleep_on(memory, BELL, bell);
            let has_buried = is_time_to_look && self.bury();
            if is_last && !has_buried {
                return false;
            }
        }
    }

    /// Takes a permit for this process, under the lock. False if the table is full.
    fn hold(&self) -> bool {
        let memory = self.memory();
        let mut party = HOLDERS.get(memory, self.0.own.load(Ordering::Relaxed));
        if party.process != memory.own() {
            let own = HOLDERS.all(memory).find(|party| party.process == memory.own()).map(|party| party.index);
            let Some(index) = own.or_else(|| HOLDERS.join(memory, 0)) else { return false };
            self.0.own.store(index, Ordering::Relaxed);
            party = HOLDERS.get(memory, index);
        }
        HOLDERS.set_number(memory, party.index, party.number.saturating_add(1));
        self.set(HELD, self.get(HELD).saturating_add(1));
        true
    }

    /// Takes a permit away, under the lock.
    fn consume(&self) -> bool {
        self.set(TOTAL, self.get(TOTAL).saturating_sub(1));
        true
    }

    /// Gives a permit of this process back.
    fn give_back(&self) {
        let inside = self.enter();
        let party = HOLDERS.get(self.memory(), self.0.own.load(Ordering::Relaxed));
        if party.process == self.memory().own() && party.number > 0 {
            HOLDERS.set_number(self.memory(), party.index, party.number - 1);
            self.set(HELD, self.get(HELD).saturating_sub(1));
        }
        self.leave_and_wake(inside);
    }

    /// Adds a permit, unless there are as many as `most`; false if there are.
    fn add(&self, most: u64) -> bool {
        let inside = self.enter();
        let total = self.get(TOTAL);
        if total >= most {
            return false;
        }
        self.set(TOTAL, total.saturating_add(1));
        self.leave_and_wake(inside);
        true
    }

    /// As [`Semaphore::add`], up to what it was made with.
    pub(super) fn add_bounded(&self) -> bool {
        self.add(self.get(INITIAL))
    }

    /// Lets go of the lock and wakes one who sleeps. That one wakes the next if it finds more than it takes.
    fn leave_and_wake(&self, inside: Inside<'_>) {
        let memory = self.memory();
        let has_waiters = memory.u32(HAS_WAITERS).load(Ordering::Relaxed) != 0;
        if has_waiters {
            memory.u32(HAS_WAITERS).store(0, Ordering::Relaxed);
            memory.u32(BELL).fetch_add(1, Ordering::Relaxed);
        }
        drop(inside);
        if has_waiters {
            procession_os::futex_wake(memory.u32(BELL), 1);
        }
    }

    /// Takes back what some of the dead hold; true if there were any. Their entries are free again.
    fn bury(&self) -> bool {
        let memory = self.memory();
        let is_full = HOLDERS.is_full(memory);
        let dead = HOLDERS.dead(memory, LOOKS, |held| held > 0 || is_full);
        if dead.is_empty() {
            return false;
        }
        let inside = self.enter();
        for party in dead {
            if HOLDERS.is_still(memory, party) {
                let held = HOLDERS.get(memory, party.index).number;
                HOLDERS.leave(memory, party.index);
                self.set(HELD, self.get(HELD).saturating_sub(held));
            }
        }
        self.leave_and_wake(inside);
        true
    }

    pub(super) fn receive<'de, D: Deserializer<'de>>(deserializer: D, kind: Kind) -> Result<Semaphore, D::Error> {
        let segment = receive(deserializer, kind, SIZE)?;
        Ok(Semaphore(Arc::new(Inner { segment, own: AtomicUsize::new(0) })))
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

impl Serialize for Semaphore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.segment.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Semaphore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Semaphore, D::Error> {
        Semaphore::receive(deserializer, KIND)
    }
}

/// One permit of a [`Semaphore`], until it is dropped. [`std::mem::forget`] keeps it until the process ends.
#[must_use = "the permit is given back as soon as it is dropped"]
#[derive(Debug)]
pub struct Permit<'a>(&'a Semaphore);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::{DEAD, sent};

    /// The table as if all that this process holds were a dead one's.
    fn die(semaphore: &Semaphore) {
        let party = HOLDERS.all(semaphore.memory()).find(|party| party.process != DEAD).unwrap();
        semaphore.memory().u64(HOLDERS.at_number(party.index) - 8).store(DEAD, Ordering::Relaxed);
    }

    #[test]
    fn permits_come_back_and_signals_do_not() {
        let semaphore = Semaphore::new(2).unwrap();
        let theirs: Semaphore = sent(&semaphore).unwrap();
        let (first, second) = (semaphore.acquire(), theirs.acquire_timeout(Duration::MAX).unwrap());
        assert!(semaphore.try_acquire().is_none() && theirs.acquire_timeout(Duration::from_millis(1)).is_none());
        assert_eq!(theirs.available(), 0);
        drop(first);
        semaphore.acquire_signal();
        assert!(!theirs.try_acquire_signal());
        drop(second);
        assert_eq!(semaphore.available(), 1);
        semaphore.release();
        theirs.release();
        assert_eq!(semaphore.available(), 3);
        assert!(theirs.acquire_signal_timeout(Duration::ZERO));
        assert_eq!(
            HOLDERS.all(semaphore.memory()).map(|party| (party.index, party.number)).collect::<Vec<_>>(),
            [(0, 0)]
        );
    }

    #[test]
    fn no_more_than_that_are_within() {
        let (semaphore, within) = (Semaphore::new(3).unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let (semaphore, within) = (sent::<_, Semaphore>(&semaphore).unwrap(), &within);
                scope.spawn(move || {
                    for n in 0..2000 {
                        let _permit = semaphore.acquire();
                        assert!(within.fetch_add(1, Ordering::SeqCst) < 3);
                        if n % 16 == 0 {
                            std::thread::yield_now();
                        }
                        within.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(semaphore.available(), 3);
    }

    #[test]
    fn signals_are_neither_lost_nor_doubled() {
        let (semaphore, taken) = (Semaphore::new(0).unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..1000).for_each(|_| semaphore.release()));
                scope.spawn(|| {
                    for _ in 0..1000 {
                        semaphore.acquire_signal();
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((taken.into_inner(), semaphore.available()), (3000, 0));
    }

    #[test]
    fn what_the_dead_hold_comes_back() {
        let semaphore = Semaphore::new(3).unwrap();
        std::mem::forget((semaphore.acquire(), semaphore.acquire()));
        let own = semaphore.acquire();
        die(&semaphore);
        // The living one's permit was the dead one's, too, so there is nothing to give back.
        assert_eq!(semaphore.available(), 0);
        let again = semaphore.try_acquire().unwrap();
        drop(own);
        assert_eq!(semaphore.available(), 3);
        std::mem::forget(again);
    }

    #[test]
    fn a_death_at_any_store_is_put_right() {
        let semaphore = Semaphore::new(4).unwrap();
        let _permit = semaphore.acquire();
        // After the table, before the sum; after the bell's flag, before the wake-up.
        HOLDERS.set_number(semaphore.memory(), 0, 3);
        semaphore.memory().u32(HAS_WAITERS).store(0, Ordering::Relaxed);
        semaphore.set(AT_BODY, DEAD);
        semaphore.acquire_signal();
        assert_eq!(semaphore.available(), 0);
        assert_eq!(semaphore.memory().u32(HAS_WAITERS).load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_table_full_of_the_dead_has_room() {
        let semaphore = Semaphore::new(5000).unwrap();
        for _ in 0..super::super::parties::CAPACITY {
            drop(semaphore.acquire());
            die(&semaphore);
        }
        assert!(HOLDERS.is_full(semaphore.memory()));
        drop(semaphore.acquire());
    }

    #[test]
    fn hostile_numbers_do_not_overflow() {
        let semaphore = Semaphore::new(1).unwrap();
        for at in [TOTAL, HELD, INITIAL, HOLDERS.0, HOLDERS.0 + 8] {
            semaphore.set(at, u64::MAX);
        }
        assert_eq!(semaphore.available(), 0);
        assert!(semaphore.try_acquire().is_none());
        semaphore.set(HELD, 0);
        semaphore.release();
        HOLDERS.set_number(semaphore.memory(), 0, u64::MAX);
        drop(semaphore.acquire());
        assert!(!semaphore.add_bounded());
    }
}
