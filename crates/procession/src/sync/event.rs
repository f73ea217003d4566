//! Something that has happened or not, for all to see: Python's `Event`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::travel::travels;
use super::wait::{Wait, wake_all};
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};

const KIND: Kind = *b"EVENT   ";
const SIZE: usize = 4;
const WORD: usize = AT_BODY;

const IS_SET: u32 = 1;
/// Somebody may sleep until it is set.
const HAS_WAITERS: u32 = 2;
/// Above these: how often it was set.
const ONE: u32 = 4;

/// A flag between processes that can be waited for: Python's `Event`.
///
/// Clones are the same event, and so is what a [`Process`](crate::Process) or a task gets that an event is sent to.
///
/// # Examples
/// ```
/// use procession::{Event, Process};
///
/// fn work(go: Event) {
///     go.wait();
///     println!("off we go");
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let go = Event::new()?;
///     let mut process = Process::spawn(work, go.clone())?;
///     go.set();
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Event(Arc<SharedSegment>);

impl Event {
    /// An event that is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new() -> Result<Event, Error> {
        let segment = SharedSegment::create(KIND, SIZE).map_err(|e| Error::create("an event", e))?;
        Ok(Event(Arc::new(segment)))
    }

    /// Sets it: all who wait go on, and who waits later does not have to, until [`Event::clear`].
    pub fn set(&self) {
        let was = self
            .change(|word| if word & IS_SET == 0 { (word | IS_SET).wrapping_add(ONE) & !HAS_WAITERS } else { word });
        if was & HAS_WAITERS != 0 {
            wake_all(&self.0, WORD);
        }
    }

    /// Takes it back: who waits from now on waits until the next [`Event::set`]. Those who waited before the last one go
    /// on, even if they have not woken up yet.
    pub fn clear(&self) {
        self.change(|word| word & !IS_SET);
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.load() & IS_SET != 0
    }

    /// Waits until it is set.
    pub fn wait(&self) {
        while !self.wait_for(Wait::until(None)) {}
    }

    /// Waits until it is set, at most for `timeout`; false if that ran out.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_for(Wait::at_most(timeout))
    }

    fn wait_for(&self, mut wait: Wait) -> bool {
        let first = self.load();
        loop {
            let word = self.load();
            // It may have been set and cleared again while this slept.
            if word & IS_SET != 0 || word / ONE != first / ONE {
                return true;
            }
            if wait.is_over() {
                return false;
            }
            let sleeping = word | HAS_WAITERS;
            if word == sleeping || self.exchange(word, sleeping).is_ok() {
                wait.sleep_on(&self.0, WORD, sleeping);
            }
        }
    }

    fn load(&self) -> u32 {
        self.0.u32(WORD).load(Ordering::Acquire)
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.0.u32(WORD).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Returns what was there before.
    fn change(&self, new: impl Fn(u32) -> u32) -> u32 {
        let mut word = self.load();
        while let Err(now) = self.exchange(word, new(word)) {
            word = now;
        }
        word
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

travels!(Event, KIND, SIZE);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::sent;

    #[test]
    fn it_is_set_until_it_is_cleared() {
        let event = Event::new().unwrap();
        let theirs: Event = sent(&event).unwrap();
        assert!(!event.is_set() && !event.wait_timeout(Duration::from_millis(1)));
        theirs.set();
        theirs.set();
        event.wait();
        assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
        event.clear();
        assert!(!theirs.is_set() && !theirs.wait_timeout(Duration::ZERO));
    }

    #[test]
    fn all_who_wait_go_on_though_it_is_cleared_at_once() {
        let (event, begun) = (Event::new().unwrap(), std::sync::Barrier::new(5));
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        begun.wait();
                        event.wait();
                    })
                })
                .collect();
            begun.wait();
            // Nobody can be seen to have slept but in the word, and that does not say how many.
            while !waiters.iter().all(|waiter| waiter.is_finished()) {
                event.set();
                event.clear();
            }
        });
    }

    #[test]
    fn a_wait_that_began_before_the_set_sees_it() {
        let event = Event::new().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait());
            while event.load() & HAS_WAITERS == 0 {
                std::thread::yield_now();
            }
            event.set();
            event.clear();
            waiter.join().unwrap();
        });
        assert_eq!(event.load(), ONE);
    }
}
