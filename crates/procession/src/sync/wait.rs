//! A wait that ends its sleep from time to time, to look whether those that could end it are still alive.
//!
//! A process that dies may take a wake-up with it, or what others wait for. So nobody sleeps longer than a tick at a
//! time. That costs each waiter ten wake-ups a second, and needs no list in the kernel and no process that watches.

use std::time::{Duration, Instant};

use procession_os::Segment;

/// How long a sleeper leaves it until it first looks whether those it waits for are alive, and at most.
const FIRST_TICK: Duration = Duration::from_millis(5);
const LAST_TICK: Duration = Duration::from_millis(100);

/// One thread's wait for something, from its first sleep on.
#[derive(Debug)]
pub(crate) struct Wait {
    deadline: Option<Instant>,
    tick: Duration,
    /// When it last looked who is alive; None before the first sleep.
    looked: Option<Instant>,
}

impl Wait {
    /// A wait that ends at `deadline`, or only with what it waits for.
    pub fn until(deadline: Option<Instant>) -> Wait {
        Wait { deadline, tick: FIRST_TICK, looked: None }
    }

    /// A wait that ends after `timeout`. What ends later than the clock can say never ends.
    pub fn at_most(timeout: Duration) -> Wait {
        Wait::until(Instant::now().checked_add(timeout))
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether it has slept.
    pub fn has_slept(&self) -> bool {
        self.looked.is_some()
    }

    /// Calls `sleep` with the time that it may take; it returns false if it was not woken before. True if the time has
    /// come to look who is alive.
    ///
    /// The clock decides that, too: signals may end each sleep before its time.
    pub fn sleep(&mut self, sleep: impl FnOnce(Duration) -> bool) -> bool {
        let now = Instant::now();
        let next = *self.looked.get_or_insert(now) + self.tick;
        let end = self.deadline.map_or(next, |deadline| deadline.min(next));
        if sleep(end.saturating_duration_since(now)) && Instant::now() < next {
            return false;
        }
        self.looked = Some(Instant::now());
        self.tick = LAST_TICK.min(self.tick * 2);
        true
    }

    /// [`Wait::sleep`] on the 32-bit word at `at`, unless it is no longer `expected`.
    pub fn sleep_on(&mut self, memory: &Segment, at: usize, expected: u32) -> bool {
        self.sleep(|rest| procession_os::futex_wait(memory.u32(at), expected, Some(rest)))
    }
}

/// Wakes all who sleep on the 32-bit word at `at`.
pub(crate) fn wake_all(memory: &Segment, at: usize) {
    // The kernel takes the count as a signed number (futex(2)).
    procession_os::futex_wake(memory.u32(at), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_grow_and_signals_do_not_put_them_off() {
        let mut wait = Wait::until(None);
        assert!(!wait.has_slept() && !wait.is_over());
        let mut rests = Vec::new();
        for _ in 0..8 {
            assert!(wait.sleep(|rest| {
                rests.push(rest);
                false
            }));
        }
        assert!(rests[0] <= FIRST_TICK && rests[1] > FIRST_TICK && rests[7] > LAST_TICK / 2, "{rests:?}");
        let since = Instant::now();
        while !wait.sleep(|_| true) {}
        assert!(wait.has_slept() && since.elapsed() > LAST_TICK / 2);
    }

    #[test]
    fn it_ends_at_its_deadline() {
        let mut wait = Wait::at_most(Duration::from_millis(3));
        while !wait.is_over() {
            wait.sleep(|rest| {
                assert!(rest <= Duration::from_millis(3));
                std::thread::sleep(rest);
                false
            });
        }
        assert!(Wait::at_most(Duration::ZERO).is_over() && !Wait::at_most(Duration::MAX).is_over());
    }
}
