//! Sleeping until another process says that something has changed, whoever that is and however many sleep.
//!
//! The word counts announcements, and has a mark that somebody may sleep, so that nobody makes a system call while all
//! are awake. A process that dies asleep leaves only the mark behind, which the next announcement takes back; one that
//! dies before its announcement delays it until the sleepers' next tick.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use procession_os::{Segment, futex_wait, futex_wake};

/// Somebody may sleep.
const HAS_SLEEPERS: u32 = 1;
const ANNOUNCEMENT: u32 = 2;
/// So long a sleeper relies on being woken.
const TICK: Duration = Duration::from_millis(100);

/// Such a word, at an offset that is a multiple of 4.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sleepers(pub usize);

impl Sleepers {
    /// Says that the caller is about to sleep. It looks once more at what it waits for, and then calls
    /// [`sleep`](Sleepers::sleep) with what this returns.
    pub fn prepare(self, memory: &Segment) -> u32 {
        let seen = memory.u32(self.0).fetch_or(HAS_SLEEPERS, Ordering::SeqCst) | HAS_SLEEPERS;
        fence(Ordering::SeqCst);
        seen
    }

    /// Sleeps until there is an announcement, for at most a tick or `rest`; may return early.
    pub fn sleep(self, memory: &Segment, seen: u32, rest: Option<Duration>) {
        futex_wait(memory.u32(self.0), seen, Some(rest.map_or(TICK, |rest| rest.min(TICK))));
    }

    /// Wakes one sleeper, or all; to be called after the change that they wait for.
    #[inline]
    pub fn wake(self, memory: &Segment, who: Wake) {
        fence(Ordering::SeqCst);
        if memory.u32(self.0).load(Ordering::Relaxed) & HAS_SLEEPERS != 0 {
            self.announce(memory, who);
        }
    }

    #[cold]
    fn announce(self, memory: &Segment, who: Wake) {
        let word = memory.u32(self.0);
        let now = word.fetch_add(ANNOUNCEMENT, Ordering::SeqCst).wrapping_add(ANNOUNCEMENT);
        let count = if matches!(who, Wake::One) { 1 } else { u32::MAX };
        if futex_wake(word, count) == 0
            && word.compare_exchange(now, now & !HAS_SLEEPERS, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        {
            // Who came in between has gone to sleep on a mark that is no longer there.
            futex_wake(word, u32::MAX);
        }
    }
}

/// How many are woken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wake {
    One,
    All,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    const WORD: Sleepers = Sleepers(64);

    fn memory() -> Segment {
        Segment::create("sleepers", 4096).unwrap().0
    }

    fn is_marked(memory: &Segment) -> bool {
        memory.u32(WORD.0).load(Ordering::SeqCst) & HAS_SLEEPERS != 0
    }

    #[test]
    fn a_mark_that_nobody_sleeps_on_is_taken_back() {
        let memory = memory();
        WORD.wake(&memory, Wake::One);
        assert_eq!(memory.u32(WORD.0).load(Ordering::SeqCst), 0);
        let seen = WORD.prepare(&memory);
        assert!(is_marked(&memory));
        WORD.wake(&memory, Wake::One);
        assert!(!is_marked(&memory));
        // Announced since: does not sleep.
        assert!(futex_wait(memory.u32(WORD.0), seen, None));
    }

    #[test]
    fn no_announcement_is_missed() {
        let (memory, turn) = (memory(), AtomicU64::new(0));
        let wait_for = |n: u64| {
            while turn.load(Ordering::SeqCst) < n {
                let seen = WORD.prepare(&memory);
                if turn.load(Ordering::SeqCst) < n {
                    // Without a tick: a wake-up that is lost hangs.
                    futex_wait(memory.u32(WORD.0), seen, None);
                }
            }
        };
        let next = || {
            turn.fetch_add(1, Ordering::SeqCst);
            WORD.wake(&memory, Wake::All);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..2000).for_each(|n| {
                    wait_for(2 * n + 1);
                    next();
                })
            });
            (1..=2000).for_each(|n| {
                next();
                wait_for(2 * n);
            });
        });
        assert_eq!(turn.load(Ordering::SeqCst), 4000);
    }
}
