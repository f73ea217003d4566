//! A lock, and waiting for news of what it guards: Python's `Condition`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use procession_os::Segment;

use super::parties::{LOOKS, Parties};
use super::travel::travels;
use super::wait::Wait;
use super::word::{LockWord, Taken, low_half};
use super::{LockResult, OwnerDied};
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};

const KIND: Kind = *b"CONDITIO";
const SIZE: usize = 64 + Parties::SIZE;
/// The user's lock; what follows changes under it, too.
const WORD: LockWord = LockWord(AT_BODY);
/// How many waits there have been.
const TICKET: usize = AT_BODY + 8;
/// Who waits. The number: bit 0 whether it was notified, above that its ticket.
const WAITERS: Parties = Parties(AT_BODY + 64);
const IS_NOTIFIED: u64 = 1;

/// A lock between processes, and waiting for news of what it guards: Python's `Condition`.
///
/// Clones are the same condition, and so is what a [`Process`](crate::Process) or a task gets that one is sent to.
///
/// When a process dies while it has the lock, the next holder gets it as [`OwnerDied`], and so do all who wait: what
/// they wait for may never come. When a process dies after it was notified, and before it could act, the notification
/// passes to another. Both take about a tenth of a second.
///
/// Up to 4096 threads can wait at a time; more are woken every now and then without being notified. It belongs to one
/// machine and one PID namespace, and is of no use in a process that you have forked yourself.
///
/// # Examples
/// ```
/// use procession::{Condition, Event, Process};
///
/// fn announce((condition, is_ready): (Condition, Event)) {
///     let mut guard = condition.acquire().unwrap();
///     is_ready.set();
///     guard.notify_all();
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let (condition, is_ready) = (Condition::new()?, Event::new()?);
///     let mut guard = condition.acquire()?;
///     let mut process = Process::spawn(announce, (condition.clone(), is_ready.clone()))?;
///     guard.wait_for(|| is_ready.is_set())?;
///     drop(guard);
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Condition(Arc<SharedSegment>);

impl Condition {
    /// A condition whose lock nobody holds.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new() -> Result<Condition, Error> {
        let segment = SharedSegment::create(KIND, SIZE).map_err(|e| Error::create("a condition", e))?;
        Ok(Condition(Arc::new(segment)))
    }

    /// Waits until nobody else holds the lock, and takes it.
    ///
    /// # Errors
    /// [`OwnerDied`] if an earlier holder died or panicked: the lock is taken all the same.
    pub fn acquire(&self) -> LockResult<ConditionGuard<'_>> {
        self.guard(self.take())
    }

    /// Takes the lock if nobody holds it; None if somebody does. Never waits.
    ///
    /// # Errors
    /// As [`Condition::acquire`].
    pub fn try_acquire(&self) -> Option<LockResult<ConditionGuard<'_>>> {
        WORD.try_acquire(self.memory()).map(|taken| self.guard(taken))
    }

    /// As [`Condition::acquire`], but waits at most for `timeout`; None if that ran out.
    ///
    /// # Errors
    /// As [`Condition::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<LockResult<ConditionGuard<'_>>> {
        // What ends later than the clock can say never ends.
        WORD.acquire(self.memory(), Instant::now().checked_add(timeout)).map(|taken| self.guard(taken))
    }

    /// Whether the next holder will be told that an earlier one died or panicked.
    pub fn is_poisoned(&self) -> bool {
        WORD.is_poisoned(self.memory())
    }

    /// Takes that notice back: what the lock guards is whole again.
    pub fn clear_poison(&self) {
        WORD.clear_poison(self.memory());
    }

    fn memory(&self) -> &Segment {
        &self.0
    }

    fn take(&self) -> Taken {
        loop {
            if let Some(taken) = WORD.acquire(self.memory(), None) {
                return taken;
            }
        }
    }

    fn guard(&self, taken: Taken) -> LockResult<ConditionGuard<'_>> {
        let guard = ConditionGuard { condition: self, to_wake: Vec::new(), was_panicking: std::thread::panicking() };
        match taken {
            Taken::Clean => Ok(guard),
            Taken::Poisoned => Err(OwnerDied::new(guard)),
        }
    }

    /// Marks those as notified that have waited longest, under the lock; returns their entries.
    fn notify(&self, count: usize) -> Vec<usize> {
        let mut waiting: Vec<_> = WAITERS.all(self.memory()).filter(|party| party.number & IS_NOTIFIED == 0).collect();
        waiting.sort_unstable_by_key(|party| party.number);
        waiting.truncate(count);
        for party in &waiting {
            WAITERS.set_number(self.memory(), party.index, party.number | IS_NOTIFIED);
        }
        waiting.into_iter().map(|party| party.index).collect()
    }

    fn release(&self, to_wake: &mut Vec<usize>) {
        WORD.release(self.memory());
        for index in to_wake.drain(..) {
            procession_os::futex_wake(self.memory().u32(low_half(WAITERS.at_number(index))), 1);
        }
    }

    /// Sleeps until the entry is notified, the time is over, or a holder of the lock has died.
    fn sleep(&self, index: usize, wait: &mut Wait) {
        let at = low_half(WAITERS.at_number(index));
        loop {
            let number = self.memory().u32(at).load(Ordering::Acquire);
            if u64::from(number) & IS_NOTIFIED != 0 || wait.is_over() {
                return;
            }
            if wait.sleep_on(self.memory(), at, number) {
                if WORD.is_lost(self.memory()) {
                    return;
                }
                self.bury();
            }
        }
    }

    /// Frees the entries of some of the dead, and passes on of what they were notified.
    ///
    /// Waits for the lock: one that waits here could not go on without it anyway.
    fn bury(&self) {
        let memory = self.memory();
        let mut dead = WAITERS.dead(memory, LOOKS, |_| true);
        if dead.is_empty() {
            return;
        }
        // If it is poisoned it stays so.
        let _ = self.take();
        dead.retain(|&party| WAITERS.is_still(memory, party));
        let is_notified = |index| WAITERS.get(memory, index).number & IS_NOTIFIED != 0;
        let (notified, others): (Vec<_>, Vec<_>) = dead.into_iter().partition(|party| is_notified(party.index));
        for party in others {
            WAITERS.leave(memory, party.index);
        }
        let mut to_wake = Vec::new();
        for party in notified {
            // In this order: this process may die in between, too.
            to_wake.extend(self.notify(1));
            WAITERS.leave(memory, party.index);
        }
        self.release(&mut to_wake);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("is_poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

travels!(Condition, KIND, SIZE);

/// Holds the lock of a [`Condition`] until it is dropped, but for the time of its waits.
#[must_use = "the lock is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct ConditionGuard<'a> {
    condition: &'a Condition,
    /// Who was notified sleeps on until the lock is free: it could not go on before.
    to_wake: Vec<usize>,
    was_panicking: bool,
}

impl ConditionGuard<'_> {
    /// Lets go of the lock, waits until it is notified, and takes the lock again.
    ///
    /// It may in rare cases return without having been notified: look again at what you wait for, or use
    /// [`ConditionGuard::wait_for`].
    ///
    /// # Errors
    /// [`OwnerDied`] if a holder died or panicked, before or during the wait, notified or not. The lock is taken all the
    /// same, by this guard.
    pub fn wait(&mut self) -> LockResult<()> {
        self.wait_until(&mut Wait::until(None)).map(drop).map_err(|_| OwnerDied::new(()))
    }

    /// As [`ConditionGuard::wait`], but waits at most for `timeout`; false if that ran out.
    ///
    /// # Errors
    /// As [`ConditionGuard::wait`]; with it comes whether it was notified.
    pub fn wait_timeout(&mut self, timeout: Duration) -> LockResult<bool> {
        self.wait_until(&mut Wait::at_most(timeout))
    }

    /// Waits, as often as it takes, until `is_true` returns true. That is called with the lock held.
    ///
    /// # Errors
    /// As [`ConditionGuard::wait`]; what was waited for may not be true then.
    pub fn wait_for(&mut self, mut is_true: impl FnMut() -> bool) -> LockResult<()> {
        while !is_true() {
            self.wait()?;
        }
        Ok(())
    }

    /// As [`ConditionGuard::wait_for`], but waits at most for `timeout`; returns what `is_true` said last.
    ///
    /// # Errors
    /// As [`ConditionGuard::wait_for`].
    pub fn wait_for_timeout(&mut self, mut is_true: impl FnMut() -> bool, timeout: Duration) -> LockResult<bool> {
        let mut wait = Wait::at_most(timeout);
        loop {
            if is_true() {
                return Ok(true);
            }
            if wait.is_over() {
                return Ok(false);
            }
            self.wait_until(&mut wait)?;
        }
    }

    /// Notifies `count` of those who wait, the longest first. They go on when this guard is dropped, or waits.
    pub fn notify(&mut self, count: usize) {
        self.to_wake.extend(self.condition.notify(count));
    }

    /// Notifies all who wait.
    pub fn notify_all(&mut self) {
        self.notify(usize::MAX);
    }

    /// As [`Condition::clear_poison`].
    pub fn clear_poison(&self) {
        self.condition.clear_poison();
    }

    /// Whether it was notified; if not, the time is over.
    fn wait_until(&mut self, wait: &mut Wait) -> LockResult<bool> {
        let memory = self.condition.memory();
        let ticket = memory.u64(TICKET).fetch_add(1, Ordering::Relaxed);
        let entry = WAITERS.join(memory, ticket << 1 & !IS_NOTIFIED);
        loop {
            self.condition.release(&mut self.to_wake);
            match entry {
                Some(index) => self.condition.sleep(index, wait),
                // No room: it looks for itself, and for the dead.
                None => {
                    wait.sleep(|rest| {
                        std::thread::sleep(rest);
                        false
                    });
                    self.condition.bury();
                }
            }
            let taken = self.condition.take();
            let is_notified = entry.is_none_or(|index| WAITERS.get(memory, index).number & IS_NOTIFIED != 0);
            // A dead holder's lock may have been repaired by another in the meantime.
            if is_notified || taken == Taken::Poisoned || wait.is_over() {
                if let Some(index) = entry {
                    WAITERS.leave(memory, index);
                }
                return if taken == Taken::Poisoned { Err(OwnerDied::new(is_notified)) } else { Ok(is_notified) };
            }
        }
    }
}

impl Drop for ConditionGuard<'_> {
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            WORD.poison(self.condition.memory());
        }
        self.condition.release(&mut self.to_wake);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::parties::CAPACITY;
    use crate::sync::travel::tests::{DEAD, sent};
    use std::sync::atomic::AtomicUsize;

    fn waiting(condition: &Condition) -> usize {
        WAITERS.all(condition.memory()).filter(|party| party.number & IS_NOTIFIED == 0).count()
    }

    fn until(is_true: impl Fn() -> bool) {
        while !is_true() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn as_many_go_on_as_were_notified_the_longest_first() {
        let condition = Condition::new().unwrap();
        let gone_on = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for n in 0..4 {
                let (theirs, gone_on) = (sent::<_, Condition>(&condition).unwrap(), &gone_on);
                scope.spawn(move || {
                    let mut guard = theirs.acquire().unwrap();
                    guard.wait().unwrap();
                    gone_on.lock().unwrap().push(n);
                });
                until(|| waiting(&condition) == n + 1);
            }
            condition.acquire().unwrap().notify(1);
            until(|| *gone_on.lock().unwrap() == [0]);
            condition.acquire().unwrap().notify(2);
            until(|| gone_on.lock().unwrap().len() == 3);
            assert!(!gone_on.lock().unwrap().contains(&3));
            assert_eq!(waiting(&condition), 1);
            condition.acquire().unwrap().notify_all();
        });
        assert_eq!(WAITERS.all(condition.memory()).count(), 0);
    }

    #[test]
    fn a_wait_ends_in_time_and_has_the_lock_again() {
        let condition = Condition::new().unwrap();
        let mut guard = condition.acquire_timeout(Duration::MAX).unwrap().unwrap();
        // Nobody waits, so nobody gets it: a notification is not kept.
        guard.notify_all();
        assert!(!guard.wait_timeout(Duration::from_millis(2)).unwrap());
        assert!(condition.try_acquire().is_none() && condition.acquire_timeout(Duration::ZERO).is_none());
        let mut asked = 0;
        let is_true = || {
            asked += 1;
            false
        };
        assert!(!guard.wait_for_timeout(is_true, Duration::from_millis(2)).unwrap());
        assert_eq!(asked, 2);
        assert!(guard.wait_for_timeout(|| true, Duration::ZERO).unwrap());
        guard.wait_for(|| true).unwrap();
        drop(guard);
        assert!(condition.try_acquire().unwrap().is_ok());
    }

    #[test]
    fn threads_take_turns() {
        let (condition, turn) = (Condition::new().unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for own in 0..3 {
                let (condition, turn) = (&condition, &turn);
                scope.spawn(move || {
                    for _ in 0..300 {
                        let mut guard = condition.acquire().unwrap();
                        guard.wait_for(|| turn.load(Ordering::Relaxed) % 3 == own).unwrap();
                        turn.fetch_add(1, Ordering::Relaxed);
                        guard.notify_all();
                    }
                });
            }
        });
        assert_eq!(turn.into_inner(), 900);
    }

    #[test]
    fn what_a_dead_one_was_notified_of_passes_to_another() {
        let condition = Condition::new().unwrap();
        let memory = condition.memory();
        for ticket in 0..3 {
            let index = WAITERS.join(memory, ticket << 1).unwrap();
            memory.u64(WAITERS.at_number(index) - 8).store(DEAD, Ordering::Relaxed);
        }
        memory.u64(TICKET).store(3, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| condition.acquire().unwrap().wait().is_ok());
            until(|| WAITERS.all(memory).any(|party| party.process != DEAD));
            // The dead come first, and nobody but they are notified.
            condition.acquire().unwrap().notify(1);
            assert!(waiter.join().unwrap());
        });
        assert_eq!(WAITERS.all(memory).count(), 0);
    }

    #[test]
    fn who_waits_is_told_of_a_dead_holder() {
        let condition = Condition::new().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut guard = condition.acquire().unwrap();
                let died = guard.wait().unwrap_err();
                guard.clear_poison();
                died.to_string()
            });
            until(|| waiting(&condition) == 1);
            std::mem::forget(condition.acquire().unwrap());
            condition.memory().u64(AT_BODY).store(DEAD, Ordering::Relaxed);
            assert!(waiter.join().unwrap().contains("died"));
        });
        assert!(condition.acquire().is_ok());
        let result = std::panic::catch_unwind(|| {
            let _guard = condition.acquire();
            panic!("as planned");
        });
        assert!(result.is_err() && condition.is_poisoned());
        condition.clear_poison();
        assert!(!condition.is_poisoned());
    }

    #[test]
    fn one_too_many_looks_for_itself() {
        let condition = Condition::new().unwrap();
        for ticket in 0..CAPACITY as u64 {
            WAITERS.join(condition.memory(), ticket << 1).unwrap();
        }
        let mut guard = condition.acquire().unwrap();
        guard.wait().unwrap();
        assert!(guard.wait_timeout(Duration::MAX).unwrap());
        let mut asked = 0;
        let is_third = || {
            asked += 1;
            asked == 3
        };
        guard.wait_for(is_third).unwrap();
    }
}
