//! Many values that processes share: Python's `Array`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cells::{Cells, CellsGuard};
use super::integer::Integer;
use crate::Error;
use crate::segment::Kind;
use crate::sync::{LockResult, OwnerDied, Taken};

const KIND: Kind = *b"ARRAY   ";

/// Many values that processes share and change: Python's `Array`.
///
/// Clones are the same array, and so is what a process or a task gets that it is sent to. `T` is any [`bytemuck::Pod`];
/// an `Array<u8>` holds text as Python's `Array('c', ...)` does.
///
/// [`get`](Array::get) and [`set`](Array::set) copy one value. For values of 1, 2, 4 or 8 bytes each is a plain load or
/// store (a relaxed atomic one), without a lock, and always whole; what one process writes to two values another may see in
/// another order, unless a lock, a queue or the end of a task comes in between. For other sizes they take the lock.
/// References to values that others can write do not exist: to work on a part as `&mut [T]`, see
/// [`SharedBuffer`](crate::SharedBuffer).
///
/// # Examples
/// ```
/// use procession::{Array, Pool};
///
/// fn square((numbers, part): (Array<f64>, usize)) {
///     for n in part * 250..(part + 1) * 250 {
///         let number = numbers.get(n).unwrap();
///         numbers.set(n, number * number);
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
///     let numbers = Array::from_slice(&numbers)?;
///     Pool::builder().workers(2).build()?.map(square, (0..4).map(|part| (numbers.clone(), part)))?;
///     assert_eq!(numbers.get(999), Some(998_001.0));
///     Ok(())
/// }
/// ```
pub struct Array<T>(Arc<Cells<T>>);

impl<T: Pod> Array<T> {
    /// `len` values, all of whose bytes are zero.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn new(len: usize) -> Result<Array<T>, Error> {
        Ok(Array(Arc::new(Cells::create(KIND, "a shared array", len, true)?)))
    }

    /// Copies of `values`.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn from_slice(values: &[T]) -> Result<Array<T>, Error> {
        let array = Array::new(values.len())?;
        array.0.store_all(0, values);
        Ok(array)
    }

    /// As [`Array::new`], but nothing here takes the lock by itself: Python's `Array(..., lock=False)`. That makes a
    /// difference for values that are not of 1, 2, 4 or 8 bytes only: one that is read or written while another process
    /// writes it may be a mix, in pieces of 8 bytes.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn unlocked(len: usize) -> Result<Array<T>, Error> {
        Ok(Array(Arc::new(Cells::create(KIND, "a shared array", len, false)?)))
    }

    /// How many values there are; that never changes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`; None if there is none.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        let _lock = self.lock_if_needed();
        Some(self.0.load(index, Ordering::Relaxed))
    }

    /// Sets the value at `index`. A thread that holds the lock of an array of values that are not of 1, 2, 4 or 8 bytes
    /// does so by its guard.
    ///
    /// # Panics
    /// If there is none, as `slice[index] = value` does.
    #[inline]
    pub fn set(&self, index: usize, value: T) {
        let _lock = self.lock_if_needed();
        self.0.store(index, value, Ordering::Relaxed);
    }

    /// Copies of all values.
    pub fn to_vec(&self) -> Vec<T> {
        let _lock = self.lock_if_needed();
        self.copies()
    }

    /// Copies `values` to all.
    ///
    /// # Panics
    /// If there are more or less of them, as [`slice::copy_from_slice`] does.
    pub fn copy_from_slice(&self, values: &[T]) {
        assert_eq!(self.len(), values.len(), "an array and a slice of different lengths");
        self.write(0, values);
    }

    /// Fills `values` with copies of those from `first` on.
    ///
    /// # Panics
    /// If they are not all within the array.
    pub fn read(&self, first: usize, values: &mut [T]) {
        let _lock = self.lock_if_needed();
        self.0.load_all(first, values);
    }

    /// Copies `values` to those from `first` on.
    ///
    /// # Panics
    /// If they are not all within the array.
    pub fn write(&self, first: usize, values: &[T]) {
        let _lock = self.lock_if_needed();
        self.0.store_all(first, values);
    }

    /// Copies of all values, one after the other, each as it is when its turn comes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| {
            let _lock = self.lock_if_needed();
            self.0.load(index, Ordering::Relaxed)
        })
    }

    /// Waits for the lock: Python's `get_lock()`. The guard reads and writes the values.
    ///
    /// A thread that holds the lock already waits for itself.
    ///
    /// # Errors
    /// [`OwnerDied`] if a process died while it held the lock, or a thread panicked: the lock is taken all the same, and the
    /// values are as they were left. The notice stays until [`Array::clear_poison`].
    pub fn get_lock(&self) -> LockResult<ArrayGuard<'_, T>> {
        let (lock, taken) = self.0.lock();
        let guard = ArrayGuard { array: self, _lock: lock };
        if taken == Taken::Poisoned { Err(OwnerDied::new(guard)) } else { Ok(guard) }
    }

    /// Whether the next holder of the lock will be told that an earlier one died or panicked.
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Takes that notice back: the values are whole again.
    pub fn clear_poison(&self) {
        self.0.clear_poison();
    }

    #[inline]
    fn lock_if_needed(&self) -> Option<CellsGuard<'_, T>> {
        self.0.needs_lock().then(|| self.0.lock().0)
    }

    fn copies(&self) -> Vec<T> {
        let mut values = vec![T::zeroed(); self.len()];
        self.0.load_all(0, &mut values);
        values
    }

    fn all(&self) -> impl ExactSizeIterator<Item = T> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.0.load(index, Ordering::Relaxed))
    }
}

/// Atomic steps: they need no lock, and heed none. Each returns the value before, and wraps around at the type's ends.
impl<T: Integer> Array<T> {
    /// Adds `n` to the value at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn fetch_add(&self, index: usize, n: T) -> T {
        T::add(self.0.segment(), self.0.at(index), n)
    }

    /// Subtracts `n` from the value at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn fetch_sub(&self, index: usize, n: T) -> T {
        T::sub(self.0.segment(), self.0.at(index), n)
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array(Arc::clone(&self.0))
    }
}

impl<T: Pod> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Array<T>, D::Error> {
        Ok(Array(Arc::new(Cells::receive(deserializer, KIND, None)?)))
    }
}

/// Holds the lock of an [`Array`] until it is dropped. What it writes is written at once: if the holder dies, the next one
/// finds the values as they were left, and is told so.
#[must_use = "the lock is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct ArrayGuard<'a, T: Pod> {
    array: &'a Array<T>,
    _lock: CellsGuard<'a, T>,
}

impl<T: Pod> ArrayGuard<'_, T> {
    /// How many values there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// The value at `index`; None if there is none.
    pub fn get(&self, index: usize) -> Option<T> {
        (index < self.len()).then(|| self.array.0.load(index, Ordering::Relaxed))
    }

    /// Sets the value at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn set(&mut self, index: usize, value: T) {
        self.array.0.store(index, value, Ordering::Relaxed);
    }

    /// Copies of all values, one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + DoubleEndedIterator + '_ {
        self.array.all()
    }

    /// Copies of all values.
    pub fn to_vec(&self) -> Vec<T> {
        self.array.copies()
    }

    /// As [`Array::copy_from_slice`].
    ///
    /// # Panics
    /// If there are more or less of them.
    pub fn copy_from_slice(&mut self, values: &[T]) {
        assert_eq!(self.len(), values.len(), "an array and a slice of different lengths");
        self.array.0.store_all(0, values);
    }

    /// As [`Array::read`].
    ///
    /// # Panics
    /// If they are not all within the array.
    pub fn read(&self, first: usize, values: &mut [T]) {
        self.array.0.load_all(first, values);
    }

    /// As [`Array::write`].
    ///
    /// # Panics
    /// If they are not all within the array.
    pub fn write(&mut self, first: usize, values: &[T]) {
        self.array.0.store_all(first, values);
    }

    /// As [`Array::clear_poison`].
    pub fn clear_poison(&self) {
        self.array.clear_poison();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::tests::sent;

    fn refuses(access: impl Fn()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(access)).is_err()
    }

    #[test]
    fn all_see_what_one_sets() {
        let ours = Array::from_slice(b"John Doe").unwrap();
        let theirs: Array<u8> = sent(&ours).unwrap();
        theirs.set(0, b'j');
        theirs.write(5, b"doe");
        assert_eq!((ours.to_vec(), ours.len(), ours.is_empty()), (b"john doe".to_vec(), 8, false));
        theirs.copy_from_slice(b"12345678");
        assert_eq!(ours.iter().rev().map(char::from).collect::<String>(), "87654321");
        let mut some = [0; 3];
        ours.read(2, &mut some);
        assert_eq!(&some, b"345");
        assert_eq!(
            (ours.fetch_add(7, 1), ours.fetch_sub(0, 1), ours.get(7), ours.get(0)),
            (56, 49, Some(57), Some(48))
        );
        assert!(Array::<u64>::new(3).unwrap().iter().eq([0; 3]));
    }

    #[test]
    fn borders() {
        for array in [Array::<u32>::new(10).unwrap(), Array::unlocked(10).unwrap()] {
            assert_eq!((array.get(9), array.get(10), array.get(usize::MAX)), (Some(0), None, None));
            assert!(refuses(|| array.set(10, 1)) && refuses(|| array.set(usize::MAX, 1)));
            assert!(refuses(|| array.write(9, &[1, 2])) && refuses(|| array.write(usize::MAX, &[1])));
            assert!(refuses(|| array.read(11, &mut [])) && refuses(|| array.copy_from_slice(&[1; 9])));
            assert!(refuses(|| _ = array.fetch_add(10, 1)));
            array.write(10, &[]);
            assert!(array.iter().eq([0; 10]), "a refused write writes nothing");
        }
        let empty = sent::<_, Array<f64>>(&Array::<f64>::from_slice(&[]).unwrap()).unwrap();
        assert!(empty.is_empty() && empty.to_vec().is_empty() && empty.get(0).is_none());
        let guarded = Array::<[u8; 3]>::new(2).unwrap();
        assert!(refuses(|| guarded.set(2, [1; 3])));
        assert!(guarded.is_poisoned(), "it had the lock");
        assert_eq!(guarded.get(1), Some([0; 3]), "which does not hold up the next");
    }

    #[test]
    fn the_lock_keeps_others_out() {
        let array = Array::from_slice(&[0u64; 100]).unwrap();
        let wide = Array::from_slice(&[[0u64; 3]; 10]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (array, wide): (Array<u64>, Array<[u64; 3]>) = sent(&(&array, &wide)).unwrap();
                scope.spawn(move || {
                    for n in 0..1000 {
                        let mut guard = array.get_lock().unwrap();
                        let sum = guard.get(n % 100).unwrap();
                        guard.set(n % 100, sum + 1);
                        drop(guard);
                        let found = wide.get(n % 10).unwrap();
                        assert_eq!(found, [found[0]; 3], "a mix");
                        wide.set(n % 10, [n as u64; 3]);
                    }
                });
            }
        });
        assert_eq!(array.to_vec(), [40; 100]);
    }

    #[test]
    fn a_guard_reads_and_writes_all() {
        let array = Array::from_slice(&[[1u16; 3]; 4]).unwrap();
        let mut guard = array.get_lock().unwrap();
        guard.set(0, [2; 3]);
        guard.write(2, &[[3; 3], [4; 3]]);
        let mut some = [[0; 3]; 2];
        guard.read(1, &mut some);
        assert_eq!((some, guard.get(0), guard.get(4), guard.len()), ([[1; 3], [3; 3]], Some([2; 3]), None, 4));
        let all = guard.to_vec();
        assert!(guard.iter().eq(all));
        guard.copy_from_slice(&[[5; 3]; 4]);
        drop(guard);
        assert_eq!(array.to_vec(), [[5; 3]; 4]);
    }

    #[test]
    fn a_panic_leaves_a_notice() {
        let array = Array::from_slice(&[1u8]).unwrap();
        assert!(refuses(|| {
            let mut guard = array.get_lock().unwrap();
            guard.set(0, 2);
            guard.set(1, 2);
        }));
        let died = array.get_lock().unwrap_err();
        assert_eq!(died.guard().get(0), Some(2));
        died.guard().clear_poison();
        drop(died);
        assert!(!array.is_poisoned() && array.get_lock().is_ok());
    }
}
