//! One value that processes share: Python's `Value`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cells::{AT_VERSION, Cells, CellsGuard, is_single};
use super::integer::Integer;
use crate::Error;
use crate::segment::Kind;
use crate::sync::{LockResult, OwnerDied, Taken};

const KIND: Kind = *b"VALUE   ";

/// One value that processes share: Python's `Value`.
///
/// Clones are the same value, and so is what a process or a task gets that it is sent to. `T` is any [`bytemuck::Pod`].
///
/// [`get`](Value::get) and [`set`](Value::set) are whole: they never see or leave a mix of two values, wherever a process is
/// killed. To change a value depending on what it is, use [`update`](Value::update), the lock, or for integers the atomic
/// [`fetch_add`](Value::fetch_add) and its like. `get` never waits, and what it returns was written with all that its
/// writer had written to shared memory before.
///
/// # Examples
/// ```
/// use procession::{Pool, Value};
///
/// fn work((counter, n): (Value<u64>, u64)) {
///     counter.fetch_add(n);
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let counter = Value::new(0u64)?;
///     Pool::builder().workers(2).build()?.map(work, (1..=100).map(|n| (counter.clone(), n)))?;
///     assert_eq!(counter.get(), 5050);
///     counter.update(|n| *n *= 2);
///     assert_eq!(counter.get(), 10_100);
///     Ok(())
/// }
/// ```
pub struct Value<T>(Arc<Cells<T>>);

/// A value that is no single access has two cells: one is written while the other is valid, and one step exchanges them.
const fn cells<T>() -> usize {
    if is_single::<T>() { 1 } else { 2 }
}

impl<T: Pod> Value<T> {
    /// A value with a lock.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new(value: T) -> Result<Value<T>, Error> {
        Value::create(value, true)
    }

    /// As [`Value::new`], but [`set`](Value::set) takes no lock: Python's `Value(..., lock=False)`. That makes a
    /// difference for values that are not of 1, 2, 4 or 8 bytes only: if two processes set such a one at the same time, it
    /// may become a mix of both, in pieces of 8 bytes.
    ///
    /// # Errors
    /// As [`Value::new`].
    pub fn unlocked(value: T) -> Result<Value<T>, Error> {
        Value::create(value, false)
    }

    fn create(value: T, is_guarded: bool) -> Result<Value<T>, Error> {
        let this = Value(Arc::new(Cells::create(KIND, "a shared value", cells::<T>(), is_guarded)?));
        this.put(value);
        Ok(this)
    }

    /// The value as it is now. Never waits.
    #[inline]
    pub fn get(&self) -> T {
        if is_single::<T>() { self.0.load(0, Ordering::Acquire) } else { self.get_pieces() }
    }

    fn get_pieces(&self) -> T {
        let version = self.0.segment().u64(AT_VERSION);
        loop {
            let before = version.load(Ordering::Acquire);
            let value = self.0.load(before as usize & 1, Ordering::Relaxed);
            fence(Ordering::Acquire);
            // This cell is written again only after the next version is there.
            if version.load(Ordering::Relaxed) == before {
                return value;
            }
        }
    }

    /// Sets the value. One of 1, 2, 4 or 8 bytes is set at once, also while somebody holds the lock. For another the lock
    /// is waited for: a thread that holds it sets the value by its guard.
    #[inline]
    pub fn set(&self, value: T) {
        let _guard = self.0.needs_lock().then(|| self.0.lock());
        self.put(value);
    }

    /// Sets the value; one that is no single access by who has the lock.
    #[inline]
    fn put(&self, value: T) {
        if is_single::<T>() {
            return self.0.store(0, value, Ordering::Release);
        }
        let version = self.0.segment().u64(AT_VERSION);
        let next = version.load(Ordering::Relaxed).wrapping_add(1);
        // Who sees one of the stores below sees the current version too, and looks again.
        fence(Ordering::Release);
        self.0.store(next as usize & 1, value, Ordering::Relaxed);
        version.store(next, Ordering::Release);
    }

    /// Changes the value under the lock, which it waits for, and returns what `change` returns. It happens as a whole or,
    /// if `change` panics or the process dies, not at all.
    ///
    /// What is set meanwhile without the lock, or by an atomic step, is overwritten. `change` must not use this value's
    /// lock, or it waits for itself.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let (_lock, _) = self.0.lock();
        let mut copy = self.get();
        let result = change(&mut copy);
        self.put(copy);
        result
    }

    /// Waits for the lock: Python's `get_lock()`. The guard is a copy of the value that is written back when it is dropped,
    /// if it was changed. So a holder that is killed before leaves the old value, as does one that panics.
    ///
    /// A thread that holds the lock already waits for itself.
    ///
    /// # Errors
    /// [`OwnerDied`] if a process died while it held the lock, or a thread panicked: the lock is taken all the same. This
    /// value is whole then, but what else the lock may guard need not be. The notice stays until
    /// [`Value::clear_poison`].
    pub fn get_lock(&self) -> LockResult<ValueGuard<'_, T>> {
        let (lock, taken) = self.0.lock();
        let guard = ValueGuard { value: self, copy: self.get(), is_changed: false, lock };
        if taken == Taken::Poisoned { Err(OwnerDied::new(guard)) } else { Ok(guard) }
    }

    /// Whether the next holder of the lock will be told that an earlier one died or panicked.
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Takes that notice back.
    pub fn clear_poison(&self) {
        self.0.clear_poison();
    }
}

/// Atomic steps: they need no lock, and heed none. Each returns the value before, and wraps around at the type's ends.
impl<T: Integer> Value<T> {
    /// Adds `n`.
    #[inline]
    pub fn fetch_add(&self, n: T) -> T {
        T::add(self.0.segment(), self.0.at(0), n)
    }

    /// Subtracts `n`.
    #[inline]
    pub fn fetch_sub(&self, n: T) -> T {
        T::sub(self.0.segment(), self.0.at(0), n)
    }

    /// Keeps only what is set in `bits` too.
    #[inline]
    pub fn fetch_and(&self, bits: T) -> T {
        T::and(self.0.segment(), self.0.at(0), bits)
    }

    /// Sets `bits`.
    #[inline]
    pub fn fetch_or(&self, bits: T) -> T {
        T::or(self.0.segment(), self.0.at(0), bits)
    }

    /// Flips `bits`.
    #[inline]
    pub fn fetch_xor(&self, bits: T) -> T {
        T::xor(self.0.segment(), self.0.at(0), bits)
    }

    /// Sets it to `n` if that is greater.
    #[inline]
    pub fn fetch_max(&self, n: T) -> T {
        T::max(self.0.segment(), self.0.at(0), n)
    }

    /// Sets it to `n` if that is less.
    #[inline]
    pub fn fetch_min(&self, n: T) -> T {
        T::min(self.0.segment(), self.0.at(0), n)
    }

    /// Sets it to `n`.
    #[inline]
    pub fn swap(&self, n: T) -> T {
        T::swap(self.0.segment(), self.0.at(0), n)
    }

    /// Sets it to `to` if it is `from`.
    ///
    /// # Errors
    /// What it is instead.
    #[inline]
    pub fn compare_exchange(&self, from: T, to: T) -> Result<T, T> {
        T::change(self.0.segment(), self.0.at(0), from, to)
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value(Arc::clone(&self.0))
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.get()).finish()
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        Ok(Value(Arc::new(Cells::receive(deserializer, KIND, Some(cells::<T>()))?)))
    }
}

/// Holds the lock of a [`Value`] until it is dropped, and is a copy of the value, which is written back then if it was
/// changed.
#[must_use = "the lock is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct ValueGuard<'a, T: Pod> {
    value: &'a Value<T>,
    copy: T,
    is_changed: bool,
    /// Dropped after [`ValueGuard::drop`] has run.
    lock: CellsGuard<'a, T>,
}

impl<T: Pod> ValueGuard<'_, T> {
    /// As [`Value::clear_poison`].
    pub fn clear_poison(&self) {
        self.value.clear_poison();
    }
}

impl<T: Pod> Deref for ValueGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.copy
    }
}

impl<T: Pod> DerefMut for ValueGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.copy
    }
}

impl<T: Pod> Drop for ValueGuard<'_, T> {
    fn drop(&mut self) {
        if self.is_changed && !self.lock.has_panicked() {
            self.value.put(self.copy);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::tests::sent;

    type Large = [u64; 8];

    #[test]
    fn all_see_what_one_sets() {
        let ours = Value::new(1.5f32).unwrap();
        let theirs: Value<f32> = sent(&ours).unwrap();
        assert_eq!(theirs.get(), 1.5);
        theirs.set(-2.0);
        assert_eq!((ours.get(), ours.clone().get()), (-2.0, -2.0));
        assert_eq!(format!("{ours:?}"), "Value(-2.0)");
        for large in [Value::new([7; 3]), Value::unlocked([7; 3])] {
            let large: Value<[u64; 3]> = large.unwrap();
            let theirs: Value<[u64; 3]> = sent(&large).unwrap();
            for n in 0..10 {
                theirs.set([n; 3]);
                assert_eq!(large.get(), [n; 3]);
            }
        }
    }

    #[test]
    fn a_guard_is_written_back_when_it_was_changed() {
        let value = Value::new([0u64; 8]).unwrap();
        let theirs: Value<Large> = sent(&value).unwrap();
        let mut guard = value.get_lock().unwrap();
        guard[3] = 3;
        assert_eq!((guard[3], theirs.get()), (3, [0; 8]));
        drop(guard);
        assert_eq!(theirs.get(), [0, 0, 0, 3, 0, 0, 0, 0]);
        let single = Value::new(5u8).unwrap();
        let guard = single.get_lock().unwrap();
        single.set(6);
        assert_eq!(*guard, 5);
        drop(guard);
        assert_eq!(single.get(), 6, "it was only read");
        // Like a holder that is killed: nothing is written.
        let mut guard = theirs.get_lock().unwrap();
        *guard = [9; 8];
        std::mem::forget(guard);
        assert_eq!(value.get()[3], 3);
    }

    #[test]
    fn a_panic_changes_nothing_and_leaves_a_notice() {
        for by_guard in [true, false] {
            let value = Value::new(7i64).unwrap();
            let panics = std::panic::AssertUnwindSafe(|| {
                if by_guard {
                    let mut guard = value.get_lock().unwrap();
                    *guard = 99;
                    panic!("as planned");
                }
                value.update(|n| {
                    *n = 99;
                    panic!("as planned")
                })
            });
            assert!(std::panic::catch_unwind(panics).is_err());
            assert_eq!(value.get(), 7);
            let died = value.get_lock().unwrap_err();
            assert_eq!(**died.guard(), 7);
            drop(died);
            value.update(|n| *n += 1);
            assert!(value.is_poisoned());
            value.clear_poison();
            assert_eq!(*value.get_lock().unwrap(), 8);
        }
    }

    #[test]
    fn atomic_steps_give_the_value_before() {
        fn check<T: Integer + PartialEq + fmt::Debug>(from: impl Fn(i8) -> T, low: T) {
            let value = Value::new(from(12)).unwrap();
            assert_eq!(value.fetch_add(from(3)), from(12));
            assert_eq!(value.fetch_sub(from(5)), from(15));
            assert_eq!(value.fetch_and(from(6)), from(10));
            assert_eq!(value.fetch_or(from(5)), from(2));
            assert_eq!(value.fetch_xor(from(1)), from(7));
            assert_eq!(value.fetch_max(from(100)), from(6));
            assert_eq!(value.fetch_max(from(99)), from(100));
            assert_eq!(value.fetch_min(low), from(100));
            assert_eq!(value.fetch_max(from(1)), low);
            assert_eq!(value.swap(from(9)), from(1));
            assert_eq!(value.compare_exchange(from(8), from(1)), Err(from(9)));
            assert_eq!(value.compare_exchange(from(9), from(1)), Ok(from(9)));
            assert_eq!(value.get(), from(1));
        }
        check(|n| n as u8, u8::MIN);
        check(|n| n as u16, u16::MIN);
        check(|n| n as u32, u32::MIN);
        check(|n| n as u64, u64::MIN);
        check(|n| n as usize, usize::MIN);
        check(|n| n, i8::MIN);
        check(i16::from, i16::MIN);
        check(i32::from, i32::MIN);
        check(i64::from, i64::MIN);
        check(isize::from, isize::MIN);
        let value = Value::new(u16::MAX).unwrap();
        assert_eq!((value.fetch_add(1), value.fetch_sub(1), value.get()), (u16::MAX, 0, u16::MAX));
    }

    /// Every value set has eight equal words. Half of the writers use the lock's guard.
    #[test]
    fn large_values_are_never_a_mix() {
        let value: Value<Large> = Value::new([0; 8]).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|writer| {
                    let value: Value<Large> = sent(&value).unwrap();
                    scope.spawn(move || {
                        for n in 0..20_000 {
                            if writer == 0 { value.set([n; 8]) } else { value.update(|v| *v = v.map(|w| w + 1)) }
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let found = value.get();
                    assert_eq!(found, [found[0]; 8]);
                    seen += u64::from(found[0] > 0);
                }
                seen
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            is_over.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
    }

    #[test]
    fn updates_are_not_lost() {
        let (counter, pair) = (Value::new(0u32).unwrap(), Value::new([0u64; 2]).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        counter.update(|n| *n += 1);
                        pair.get_lock().unwrap()[1] += 1;
                    }
                });
            }
        });
        assert_eq!((counter.get(), pair.get()), (8000, [0, 8000]));
    }
}
