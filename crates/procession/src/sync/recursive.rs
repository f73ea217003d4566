//! A lock that its holder can take again: Python's `RLock`.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::travel::travels;
use super::word::{LockWord, Taken};
use super::{LockResult, OwnerDied};
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};

const KIND: Kind = *b"RLOCK   ";
const SIZE: usize = 24;
const WORD: LockWord = LockWord(AT_BODY);
/// The thread that holds the lock. Only who holds the word writes it, and the depth.
const THREAD: usize = AT_BODY + 8;
/// How many guards that thread has.
const DEPTH: usize = AT_BODY + 16;

/// A lock between processes that its holder can take again: Python's `RLock`.
///
/// As [`Lock`](crate::Lock), but a thread that has a guard can get more of them. The lock is free for others when the
/// last one is dropped.
///
/// # Examples
/// ```
/// # procession::init();
/// let lock = procession::RLock::new()?;
/// let outer = lock.acquire()?;
/// let inner = lock.acquire()?;
/// drop((outer, inner));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone)]
pub struct RLock(Arc<SharedSegment>);

impl RLock {
    /// A lock that nobody holds.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new() -> Result<RLock, Error> {
        let segment = SharedSegment::create(KIND, SIZE).map_err(|e| Error::create("a recursive lock", e))?;
        Ok(RLock(Arc::new(segment)))
    }

    /// Waits until no other thread holds the lock, and takes it, or takes it once more.
    ///
    /// # Errors
    /// [`OwnerDied`] if an earlier holder died or panicked: the lock is taken all the same.
    pub fn acquire(&self) -> LockResult<RLockGuard<'_>> {
        loop {
            if let Some(result) = self.take(|| WORD.acquire(&**self.0, None)) {
                return result;
            }
        }
    }

    /// Takes the lock if no other thread holds it; None if one does. Never waits.
    ///
    /// # Errors
    /// As [`RLock::acquire`].
    pub fn try_acquire(&self) -> Option<LockResult<RLockGuard<'_>>> {
        self.take(|| WORD.try_acquire(&**self.0))
    }

    /// As [`RLock::acquire`], but waits at most for `timeout`; None if that ran out.
    ///
    /// # Errors
    /// As [`RLock::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<LockResult<RLockGuard<'_>>> {
        // What ends later than the clock can say never ends.
        self.take(|| WORD.acquire(&**self.0, Instant::now().checked_add(timeout)))
    }

    /// Whether the next holder will be told that an earlier one died or panicked.
    pub fn is_poisoned(&self) -> bool {
        WORD.is_poisoned(&**self.0)
    }

    /// Takes that notice back: what the lock guards is whole again.
    pub fn clear_poison(&self) {
        WORD.clear_poison(&**self.0);
    }

    fn take(&self, first: impl FnOnce() -> Option<Taken>) -> Option<LockResult<RLockGuard<'_>>> {
        let (thread, depth) = (self.0.u64(THREAD), self.0.u64(DEPTH));
        // Only this thread stores its own number, and takes it back before it lets go.
        let taken = if WORD.is_own(&**self.0) && thread.load(Ordering::Relaxed) == own_thread() {
            depth.store(depth.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
            if self.is_poisoned() { Taken::Poisoned } else { Taken::Clean }
        } else {
            let taken = first()?;
            depth.store(1, Ordering::Relaxed);
            thread.store(own_thread(), Ordering::Relaxed);
            taken
        };
        let guard = RLockGuard { lock: self, was_panicking: std::thread::panicking(), _not_send: PhantomData };
        Some(match taken {
            Taken::Clean => Ok(guard),
            Taken::Poisoned => Err(OwnerDied::new(guard)),
        })
    }
}

/// A number that no other thread has, in whichever process and at whatever time: a dead holder's may still stand in the
/// lock when another process of the same number takes it. So it begins at random.
fn own_thread() -> u64 {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    thread_local! {
        static OWN: u64 = NEXT
            .get_or_init(|| AtomicU64::new(RandomState::new().build_hasher().finish()))
            .fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock").field("is_poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

travels!(RLock, KIND, SIZE);

/// Holds an [`RLock`], as long as the thread has one of them.
#[must_use = "the lock is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    was_panicking: bool,
    /// The lock belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl RLockGuard<'_> {
    /// As [`RLock::clear_poison`].
    pub fn clear_poison(&self) {
        self.lock.clear_poison();
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        let memory = &**self.lock.0;
        if !self.was_panicking && std::thread::panicking() {
            WORD.poison(memory);
        }
        let depth = memory.u64(DEPTH).load(Ordering::Relaxed).saturating_sub(1);
        memory.u64(DEPTH).store(depth, Ordering::Relaxed);
        if depth == 0 {
            memory.u64(THREAD).store(0, Ordering::Relaxed);
            WORD.release(memory);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::{DEAD, sent};

    fn others_get_it(lock: &RLock) -> bool {
        let lock = lock.clone();
        std::thread::spawn(move || lock.try_acquire().is_some()).join().unwrap()
    }

    #[test]
    fn its_holder_takes_it_again() {
        let lock = RLock::new().unwrap();
        let theirs: RLock = sent(&lock).unwrap();
        let first = lock.acquire().unwrap();
        let second = theirs.try_acquire().unwrap().unwrap();
        let third = lock.acquire_timeout(Duration::ZERO).unwrap().unwrap();
        drop(first);
        assert!(!others_get_it(&lock));
        drop(third);
        assert!(!others_get_it(&lock));
        drop(second);
        assert!(others_get_it(&lock) && others_get_it(&theirs));
        // Or this thread would take it for its own in the moment in which another of this process takes it.
        assert_eq!(lock.0.u64(THREAD).load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_count_without_losing_one() {
        let (lock, count) = (RLock::new().unwrap(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        let _guards = (lock.acquire().unwrap(), lock.acquire().unwrap());
                        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 12_000);
    }

    #[test]
    fn a_dead_holder_leaves_neither_its_depth_nor_its_thread() {
        let lock = RLock::new().unwrap();
        std::mem::forget((lock.acquire(), lock.acquire()));
        lock.0.u64(AT_BODY).store(DEAD, Ordering::Relaxed);
        let died = lock.acquire().unwrap_err();
        // One that takes it again is told, too.
        drop(lock.acquire().unwrap_err());
        died.guard().clear_poison();
        drop(lock.acquire().unwrap());
        assert!(!others_get_it(&lock));
        drop(died);
        assert!(others_get_it(&lock));
    }

    #[test]
    fn a_panic_in_the_inner_guard_poisons() {
        let lock = RLock::new().unwrap();
        let result = std::panic::catch_unwind(|| {
            let _outer = lock.acquire().unwrap();
            let _inner = lock.acquire().unwrap();
            panic!("as planned");
        });
        assert!(result.is_err() && lock.is_poisoned() && others_get_it(&lock));
    }
}
