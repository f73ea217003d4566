//! A place where all wait for the last: Python's `Barrier`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use procession_os::Segment;

use super::parties::{CAPACITY, Inside, LOOKS, Parties};
use super::travel::travels;
use super::wait::{Wait, wake_all};
use super::word::{LockWord, low_half};
use crate::segment::{AT_BODY, Kind, SharedSegment};
use crate::{Error, ErrorKind};

const KIND: Kind = *b"BARRIER ";
const SIZE: usize = 64 + Parties::SIZE;
const WORD: LockWord = LockWord(AT_BODY);
const STATE: usize = AT_BODY + 8;
const PARTIES: usize = AT_BODY + 16;
/// Who waits, and in which round. Who has gone on may need a moment to leave.
const WAITERS: Parties = Parties(AT_BODY + 64);
/// Half of the table: those of the last round may still be in it.
const MOST: usize = CAPACITY / 2;

/// All that is to be known of the rounds, in one word, so that a round ends for all at once.
///
/// Bit 0: the round is broken. Bits 1 to 32: its number. From bit 32 on, of each of the last 32 rounds whether it was
/// reset: a waiter that wakes up late finds there how its own has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State(u64);

const IS_BROKEN: u64 = 1;
const ROUND: u32 = u32::MAX >> 1;

impl State {
    fn round(self) -> u32 {
        self.0 as u32 >> 1
    }

    fn is_broken(self) -> bool {
        self.0 & IS_BROKEN != 0
    }

    fn broken(self) -> State {
        State(self.0 | IS_BROKEN)
    }

    fn next(self, is_reset: bool) -> State {
        let round = self.round().wrapping_add(1) & ROUND;
        let history = self.0 >> 32 << 33 | u64::from(is_reset) << 32;
        State(history | u64::from(round) << 1)
    }

    /// Whether all have come in `round`; None while they may. One that sleeps through 32 more rounds is not told of a
    /// success: that takes more threads than the barrier has parties.
    fn has_passed(self, round: u32) -> Option<bool> {
        match self.round().wrapping_sub(round) & ROUND {
            0 if self.is_broken() => Some(false),
            0 => None,
            age @ 1..=32 => Some(self.0 >> (31 + age) & 1 == 0),
            _ => Some(false),
        }
    }
}

/// A place where so many threads, of whichever processes, wait until all are there: Python's `Barrier`.
///
/// Then all go on, and the next round begins. Clones are the same barrier, and so is what a [`Process`](crate::Process)
/// or a task gets that one is sent to.
///
/// When a process dies while it waits, the barrier breaks: the others get [`BrokenBarrier`] within about a tenth of a
/// second, and so does everybody who comes later, until [`Barrier::reset`]. Of one that dies before it comes the barrier
/// cannot know: [`Barrier::wait_timeout`] helps against that.
///
/// It belongs to one machine and one PID namespace, and is of no use in a process that you have forked yourself.
///
/// # Examples
/// ```
/// use procession::{Barrier, Process};
///
/// fn work(barrier: Barrier) {
///     // ... what has to be done before anybody goes on ...
///     if barrier.wait().unwrap() == 0 {
///         println!("all are there");
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let barrier = Barrier::new(2)?;
///     let mut process = Process::spawn(work, barrier.clone())?;
///     barrier.wait()?;
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Barrier(Arc<SharedSegment>);

impl Barrier {
    /// A barrier for so many parties, from 1 to 2048.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] for another number, or if the system refuses the memory or the descriptor.
    pub fn new(parties: usize) -> Result<Barrier, Error> {
        if !(1..=MOST).contains(&parties) {
            let cause = format!("it takes 1 to {MOST} parties, not {parties}");
            return Err(Error::create("a barrier", io::Error::new(io::ErrorKind::InvalidInput, cause)));
        }
        let segment = SharedSegment::create(KIND, SIZE).map_err(|e| Error::create("a barrier", e))?;
        segment.u64(PARTIES).store(parties as u64, Ordering::Relaxed);
        Ok(Barrier(Arc::new(segment)))
    }

    /// Waits until all parties are there; returns how many were there before, which is another number for each.
    ///
    /// # Errors
    /// [`BrokenBarrier`] if the barrier is broken, or is broken or reset during the wait.
    pub fn wait(&self) -> Result<usize, BrokenBarrier> {
        self.wait_for(Wait::until(None))
    }

    /// As [`Barrier::wait`], but waits at most for `timeout`. If that runs out, the barrier breaks.
    ///
    /// # Errors
    /// As [`Barrier::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrier> {
        self.wait_for(Wait::at_most(timeout))
    }

    /// Breaks the barrier: all who wait, or come before the next [`Barrier::reset`], get [`BrokenBarrier`].
    pub fn abort(&self) {
        let inside = self.enter();
        self.end(inside, self.state().broken());
    }

    /// Makes it as it was at first. All who wait get [`BrokenBarrier`].
    pub fn reset(&self) {
        let inside = self.enter();
        self.end(inside, self.state().next(true));
    }

    /// How many wait now; 0 if the barrier is broken.
    pub fn n_waiting(&self) -> usize {
        let state = self.state();
        if state.is_broken() { 0 } else { self.count(state.round()) }
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.state().is_broken()
    }

    /// How many have to be there.
    pub fn parties(&self) -> usize {
        // Not more than fit, whatever another process has written there.
        usize::try_from(self.0.u64(PARTIES).load(Ordering::Relaxed)).map_or(MOST, |parties| parties.clamp(1, MOST))
    }

    fn memory(&self) -> &Segment {
        &self.0
    }

    fn state(&self) -> State {
        State(self.0.u64(STATE).load(Ordering::Acquire))
    }

    fn count(&self, round: u32) -> usize {
        WAITERS.all(self.memory()).filter(|party| party.number == u64::from(round)).count()
    }

    /// Who dies within may have been about to wait, and then the others would wait for it in vain.
    fn enter(&self) -> Inside<'_> {
        Inside::enter(self.memory(), WORD, || self.set(self.state().broken()))
    }

    fn set(&self, state: State) {
        self.0.u64(STATE).store(state.0, Ordering::Release);
        wake_all(self.memory(), low_half(STATE));
    }

    fn end(&self, inside: Inside<'_>, state: State) {
        self.0.u64(STATE).store(state.0, Ordering::Release);
        drop(inside);
        // Not before: those who wake up may want to come again.
        wake_all(self.memory(), low_half(STATE));
    }

    fn wait_for(&self, mut wait: Wait) -> Result<usize, BrokenBarrier> {
        let (round, before, entry) = loop {
            let inside = self.enter();
            let state = self.state();
            if state.is_broken() {
                return Err(BrokenBarrier);
            }
            let round = state.round();
            let before = self.count(round);
            if before + 1 >= self.parties() {
                // Who goes on may rely on it that nobody has died who waited.
                let has_dead = !WAITERS.dead(self.memory(), CAPACITY, |number| number == u64::from(round)).is_empty();
                self.end(inside, if has_dead { state.broken() } else { state.next(false) });
                return if has_dead { Err(BrokenBarrier) } else { Ok(before) };
            }
            if let Some(entry) = WAITERS.join(self.memory(), u64::from(round)) {
                break (round, before, entry);
            }
            // Full of those who have gone on, or died since.
            drop(inside);
            self.bury();
            wait.sleep(|rest| {
                std::thread::sleep(rest);
                false
            });
        };
        loop {
            let state = self.state();
            if let Some(has_passed) = state.has_passed(round) {
                WAITERS.leave(self.memory(), entry);
                return if has_passed { Ok(before) } else { Err(BrokenBarrier) };
            }
            if wait.is_over() {
                self.give_up(round);
            } else if wait.sleep_on(self.memory(), low_half(STATE), state.0 as u32) {
                self.bury();
            }
        }
    }

    /// Breaks the barrier, unless the round has ended.
    fn give_up(&self, round: u32) {
        let inside = self.enter();
        let state = self.state();
        if state.has_passed(round).is_none() {
            self.end(inside, state.broken());
        }
    }

    /// Frees the entries of some of the dead, and breaks the barrier if they are waited for.
    fn bury(&self) {
        let dead = WAITERS.dead(self.memory(), LOOKS, |_| true);
        if dead.is_empty() {
            return;
        }
        let inside = self.enter();
        let mut state = self.state();
        for party in dead {
            if WAITERS.is_still(self.memory(), party) {
                if WAITERS.get(self.memory(), party.index).number == u64::from(state.round()) {
                    state = state.broken();
                    // First of all: without the entry nobody would know.
                    self.set(state);
                }
                WAITERS.leave(self.memory(), party.index);
            }
        }
        drop(inside);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Barrier");
        out.field("parties", &self.parties()).field("n_waiting", &self.n_waiting());
        out.field("is_broken", &self.is_broken()).finish_non_exhaustive()
    }
}

travels!(Barrier, KIND, SIZE);

/// Not all have come to a [`Barrier`]: one died, ran out of time, or somebody has called [`Barrier::abort`] or
/// [`Barrier::reset`].
///
/// As an [`Error`] it is [`ErrorKind::BrokenBarrier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the barrier is broken: a process died while it waited there, or ran out of time, or it was aborted or reset; \
             `reset` makes it whole",
        )
    }
}

impl std::error::Error for BrokenBarrier {}

impl From<BrokenBarrier> for Error {
    fn from(broken: BrokenBarrier) -> Error {
        Error::new(ErrorKind::BrokenBarrier, broken.to_string())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::{DEAD, sent};
    use proptest::prelude::*;

    fn until(is_true: impl Fn() -> bool) {
        while !is_true() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn all_go_on_with_the_last_round_after_round() {
        let barrier = Barrier::new(4).unwrap();
        let rounds: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let barrier: Barrier = sent(&barrier).unwrap();
                    scope.spawn(move || (0..300).map(|_| barrier.wait().unwrap()).collect::<Vec<_>>())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for round in 0..300 {
            let mut places: Vec<_> = rounds.iter().map(|places| places[round]).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3]);
        }
        assert_eq!(WAITERS.all(barrier.memory()).count(), 0);
        assert_eq!((barrier.parties(), barrier.n_waiting(), barrier.is_broken()), (4, 0, false));
    }

    #[test]
    fn abort_and_reset_and_time_break_it() {
        let barrier = Barrier::new(2).unwrap();
        let told = |end: fn(&Barrier)| {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| barrier.wait());
                until(|| barrier.n_waiting() == 1);
                end(&barrier);
                assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier));
            });
        };
        told(Barrier::abort);
        assert!(barrier.is_broken() && barrier.wait() == Err(BrokenBarrier) && barrier.n_waiting() == 0);
        barrier.reset();
        told(Barrier::reset);
        assert!(!barrier.is_broken());
        assert_eq!(barrier.wait_timeout(Duration::from_millis(2)), Err(BrokenBarrier));
        assert!(barrier.is_broken());
        barrier.reset();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait());
            until(|| barrier.n_waiting() == 1);
            assert_eq!(barrier.wait_timeout(Duration::ZERO), Ok(1));
            assert_eq!(waiter.join().unwrap(), Ok(0));
        });
        assert_eq!(Error::from(BrokenBarrier).kind(), ErrorKind::BrokenBarrier);
    }

    #[test]
    fn parties_are_few() {
        for parties in [0, MOST + 1] {
            let error = Barrier::new(parties).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Create);
            assert!(error.to_string().contains(&format!("not {parties}")), "{error}");
        }
        assert_eq!(Barrier::new(1).unwrap().wait(), Ok(0));
    }

    fn dies(barrier: &Barrier) {
        let entry = WAITERS.join(barrier.memory(), u64::from(barrier.state().round())).unwrap();
        barrier.memory().u64(WAITERS.at_number(entry) - 8).store(DEAD, Ordering::Relaxed);
    }

    #[test]
    fn a_dead_one_breaks_it_for_those_who_wait_and_for_the_last() {
        let barrier = Barrier::new(3).unwrap();
        dies(&barrier);
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        barrier.reset();
        let barrier = Barrier::new(2).unwrap();
        dies(&barrier);
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        // One that was about to wait when it died.
        barrier.reset();
        barrier.memory().u64(AT_BODY).store(DEAD, Ordering::Relaxed);
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        // One that has gone on does no harm.
        barrier.reset();
        dies(&barrier);
        barrier.reset();
        barrier.bury();
        assert!(!barrier.is_broken() && WAITERS.all(barrier.memory()).count() == 0);
    }

    proptest! {
        /// Each of the last 32 rounds has ended as it has.
        #[test]
        fn rounds_are_remembered(first: u64, resets in proptest::collection::vec(any::<bool>(), 1..50)) {
            let mut state = State(first & !IS_BROKEN);
            let mut rounds = Vec::new();
            for is_reset in resets {
                prop_assert_eq!(state.has_passed(state.round()), None);
                prop_assert_eq!(state.broken().has_passed(state.round()), Some(false));
                rounds.push((state.round(), !is_reset));
                state = state.next(is_reset);
                for (age, &(round, has_passed)) in (1..).zip(rounds.iter().rev()) {
                    prop_assert_eq!(state.has_passed(round), Some(has_passed && age <= 32));
                }
            }
        }
    }
}
