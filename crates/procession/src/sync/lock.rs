//! A lock between processes: Python's `Lock`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::travel::travels;
use super::word::{LockWord, Taken};
use super::{LockResult, OwnerDied};
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};

const KIND: Kind = *b"LOCK    ";
const SIZE: usize = 8;
const WORD: LockWord = LockWord(AT_BODY);

/// A lock between processes: Python's `Lock`.
///
/// Clones are the same lock, and so is what a [`Process`](crate::Process) or a task gets that a lock is sent to. One
/// guard exists at a time, in all processes and threads.
///
/// When a process dies while it has the guard, the next one gets the lock as [`OwnerDied`], within about a tenth of a second.
/// The same happens when a thread panics while it has the guard, as with [`std::sync::Mutex`].
///
/// The lock is not recursive: a thread that acquires it twice waits for itself, as in Python. [`RLock`](crate::RLock)
/// is. It belongs to one machine and one PID namespace, and is of no use in a process that you have forked yourself. One
/// that replaces itself (execve(2)) while it has the guard keeps the lock until it ends.
///
/// # Examples
/// ```
/// use procession::{Lock, Process};
///
/// fn report((lock, n): (Lock, u32)) {
///     let _guard = lock.acquire().unwrap();
///     println!("process {n} prints its lines");
///     println!("and no other in between");
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let lock = Lock::new()?;
///     let mut processes = Vec::new();
///     for n in 0..2 {
///         processes.push(Process::spawn(report, (lock.clone(), n))?);
///     }
///     for mut process in processes {
///         assert!(process.join()?.success());
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Lock(Arc<SharedSegment>);

impl Lock {
    /// A lock that nobody holds.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new() -> Result<Lock, Error> {
        let segment = SharedSegment::create(KIND, SIZE).map_err(|e| Error::create("a lock", e))?;
        Ok(Lock(Arc::new(segment)))
    }

    /// Waits until nobody else holds the lock, and takes it.
    ///
    /// # Errors
    /// [`OwnerDied`] if an earlier holder died or panicked: the lock is taken all the same.
    #[inline]
    pub fn acquire(&self) -> LockResult<LockGuard<'_>> {
        loop {
            if let Some(taken) = WORD.acquire(&**self.0, None) {
                return self.guard(taken);
            }
        }
    }

    /// Takes the lock if nobody holds it; None if somebody does. Never waits.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    #[inline]
    pub fn try_acquire(&self) -> Option<LockResult<LockGuard<'_>>> {
        WORD.try_acquire(&**self.0).map(|taken| self.guard(taken))
    }

    /// As [`Lock::acquire`], but waits at most for `timeout`; None if that ran out.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<LockResult<LockGuard<'_>>> {
        // What ends later than the clock can say never ends.
        WORD.acquire(&**self.0, Instant::now().checked_add(timeout)).map(|taken| self.guard(taken))
    }

    /// Whether the next holder will be told that an earlier one died or panicked.
    pub fn is_poisoned(&self) -> bool {
        WORD.is_poisoned(&**self.0)
    }

    /// Takes that notice back: what the lock guards is whole again.
    pub fn clear_poison(&self) {
        WORD.clear_poison(&**self.0);
    }

    #[inline]
    fn guard(&self, taken: Taken) -> LockResult<LockGuard<'_>> {
        let guard = LockGuard { lock: self, was_panicking: std::thread::panicking() };
        match taken {
            Taken::Clean => Ok(guard),
            Taken::Poisoned => Err(OwnerDied::new(guard)),
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("is_poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

travels!(Lock, KIND, SIZE);

/// Holds a [`Lock`] until it is dropped. [`std::mem::forget`] keeps the lock until the process ends, which then counts
/// as a death.
#[must_use = "the lock is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    was_panicking: bool,
}

impl LockGuard<'_> {
    /// As [`Lock::clear_poison`].
    pub fn clear_poison(&self) {
        self.lock.clear_poison();
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            WORD.poison(&**self.lock.0);
        }
        WORD.release(&**self.lock.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::sent;

    #[test]
    fn one_at_a_time() {
        let lock = Lock::new().unwrap();
        let theirs: Lock = sent(&lock).unwrap();
        let guard = lock.acquire().unwrap();
        assert!(theirs.try_acquire().is_none() && lock.clone().try_acquire().is_none());
        assert!(theirs.acquire_timeout(Duration::from_millis(1)).is_none());
        drop(guard);
        assert!(theirs.acquire_timeout(Duration::MAX).unwrap().is_ok());
        drop(theirs.try_acquire().unwrap().unwrap());
        assert!(lock.acquire().is_ok());
    }

    #[test]
    fn threads_count_without_losing_one() {
        let lock = Lock::new().unwrap();
        let (memory, _fd) = procession_os::Segment::create("count", 4096).unwrap();
        let count = memory.u64(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (lock, relaxed) = (sent::<_, Lock>(&lock).unwrap(), std::sync::atomic::Ordering::Relaxed);
                scope.spawn(move || {
                    for _ in 0..5000 {
                        let _guard = lock.acquire().unwrap();
                        count.store(count.load(relaxed) + 1, relaxed);
                    }
                });
            }
        });
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 20_000);
    }

    #[test]
    fn a_panic_poisons_until_it_is_cleared() {
        let lock = Lock::new().unwrap();
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _guard = lock.acquire();
                panic!("as planned");
            });
            assert!(panics.join().is_err());
        });
        assert!(lock.is_poisoned());
        drop(lock.acquire().unwrap_err());
        let mut died = lock.try_acquire().unwrap().unwrap_err();
        assert!(died.to_string().contains("clear_poison"), "{died}");
        died.guard_mut().clear_poison();
        drop(died.into_guard());
        assert!(lock.acquire().is_ok() && !lock.is_poisoned());
        assert_eq!(Error::from(OwnerDied::new(())).kind(), crate::ErrorKind::OwnerDied);
    }
}
