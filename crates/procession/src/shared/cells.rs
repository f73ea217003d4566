//! Values in a segment that any process may change at any time: they are copied in and out, never lent.
//!
//! A value of 1, 2, 4 or 8 bytes is one atomic access. A larger one is an access for each 8 bytes of it.

use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::slice::item_bytes;
use crate::Error;
use crate::segment::{AT_BODY, Kind, SharedSegment};
use crate::sync::{LockWord, Taken};

const AT_ITEM_BYTES: usize = AT_BODY;
const AT_COUNT: usize = AT_BODY + 8;
/// 1 if values that are no single access are guarded by the lock.
const AT_GUARDED: usize = AT_BODY + 16;
const LOCK: LockWord = LockWord(AT_BODY + 24);
/// For the use of [`Value`](super::Value).
pub(super) const AT_VERSION: usize = AT_BODY + 32;
const AT_CELLS: usize = AT_BODY + 64;

/// Whether a value is read and written in one access.
pub(super) const fn is_single<T>() -> bool {
    matches!(size_of::<T>(), 1 | 2 | 4 | 8)
}

/// How far values lie apart.
const fn stride<T>() -> usize {
    if is_single::<T>() { item_bytes::<T>() } else { item_bytes::<T>().next_multiple_of(8) }
}

/// `len` values in shared memory, and a lock.
#[derive(Debug)]
pub(super) struct Cells<T> {
    segment: SharedSegment,
    len: usize,
    is_guarded: bool,
    items: PhantomData<T>,
}

impl<T: Pod> Cells<T> {
    /// New memory, all zeros; `what` is it to be?
    pub fn create(kind: Kind, what: &str, len: usize, is_guarded: bool) -> Result<Cells<T>, Error> {
        let bytes = len.checked_mul(stride::<T>()).and_then(|cells| cells.checked_add(AT_CELLS - AT_BODY));
        let segment = bytes.ok_or_else(|| std::io::ErrorKind::OutOfMemory.into());
        let segment =
            segment.and_then(|bytes| SharedSegment::create(kind, bytes)).map_err(|e| Error::create(what, e))?;
        for (at, word) in [(AT_ITEM_BYTES, item_bytes::<T>()), (AT_COUNT, len), (AT_GUARDED, is_guarded.into())] {
            segment.u64(at).store(word as u64, Ordering::Relaxed);
        }
        Ok(Cells { segment, len, is_guarded, items: PhantomData })
    }

    /// What another process has sent, checked: `len` values of this size, or however many for None.
    pub fn receive<'de, D: Deserializer<'de>>(
        deserializer: D,
        kind: Kind,
        len: Option<usize>,
    ) -> Result<Self, D::Error> {
        let segment = SharedSegment::deserialize(deserializer)?;
        segment.check(kind, AT_CELLS - AT_BODY).map_err(D::Error::custom)?;
        let word = |at| segment.u64(at).load(Ordering::Relaxed);
        let (bytes, count, is_guarded) = (word(AT_ITEM_BYTES), word(AT_COUNT), word(AT_GUARDED) != 0);
        let has_room = count <= ((segment.len() - AT_CELLS) / stride::<T>()) as u64;
        if bytes != item_bytes::<T>() as u64 || !has_room || len.is_some_and(|len| len as u64 != count) {
            return Err(D::Error::custom("what was passed holds values of another type"));
        }
        // From here on the lengths in shared memory do not matter any more.
        Ok(Cells { segment, len: count as usize, is_guarded, items: PhantomData })
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether values that are no single access are to be guarded by the lock.
    #[inline]
    pub fn needs_lock(&self) -> bool {
        !is_single::<T>() && self.is_guarded
    }

    /// The value at `index`, which is below `len`.
    #[inline]
    pub fn load(&self, index: usize, order: Ordering) -> T {
        let at = self.at(index);
        // Only one of these is compiled for a type.
        match size_of::<T>() {
            1 => bytemuck::cast(self.segment.u8(at).load(order)),
            2 => bytemuck::cast(self.segment.u16(at).load(order)),
            4 => bytemuck::cast(self.segment.u32(at).load(order)),
            8 => bytemuck::cast(self.segment.u64(at).load(order)),
            _ => self.load_words(at),
        }
    }

    #[inline]
    pub fn store(&self, index: usize, value: T, order: Ordering) {
        let at = self.at(index);
        match size_of::<T>() {
            1 => self.segment.u8(at).store(bytemuck::cast(value), order),
            2 => self.segment.u16(at).store(bytemuck::cast(value), order),
            4 => self.segment.u32(at).store(bytemuck::cast(value), order),
            8 => self.segment.u64(at).store(bytemuck::cast(value), order),
            _ => self.store_words(at, &value),
        }
    }

    /// Fills `values` with those from `first` on, which lie within.
    pub fn load_all(&self, first: usize, values: &mut [T]) {
        fn copy<T: Pod, A, W: Pod>(from: &[A], to: &mut [T], load: impl Fn(&A) -> W) {
            to.iter_mut().zip(from).for_each(|(value, word)| *value = bytemuck::cast(load(word)));
        }
        let (at, count, relaxed) = (self.range(first, values.len()), values.len(), Ordering::Relaxed);
        match size_of::<T>() {
            1 => copy(self.segment.u8s(at, count), values, |word| word.load(relaxed)),
            2 => copy(self.segment.u16s(at, count), values, |word| word.load(relaxed)),
            4 => copy(self.segment.u32s(at, count), values, |word| word.load(relaxed)),
            8 => copy(self.segment.u64s(at, count), values, |word| word.load(relaxed)),
            _ => (at..).step_by(stride::<T>()).zip(values).for_each(|(at, value)| *value = self.load_words(at)),
        }
    }

    /// Copies `values` to those from `first` on, which lie within.
    pub fn store_all(&self, first: usize, values: &[T]) {
        fn copy<T: Pod, A, W: Pod>(from: &[T], to: &[A], store: impl Fn(&A, W)) {
            from.iter().zip(to).for_each(|(value, word)| store(word, bytemuck::cast(*value)));
        }
        let (at, count, relaxed) = (self.range(first, values.len()), values.len(), Ordering::Relaxed);
        match size_of::<T>() {
            1 => copy(values, self.segment.u8s(at, count), |word, value| word.store(value, relaxed)),
            2 => copy(values, self.segment.u16s(at, count), |word, value| word.store(value, relaxed)),
            4 => copy(values, self.segment.u32s(at, count), |word, value| word.store(value, relaxed)),
            8 => copy(values, self.segment.u64s(at, count), |word, value| word.store(value, relaxed)),
            _ => (at..).step_by(stride::<T>()).zip(values).for_each(|(at, value)| self.store_words(at, value)),
        }
    }

    /// Where values begin that lie within.
    fn range(&self, first: usize, count: usize) -> usize {
        let is_within = first <= self.len && count <= self.len - first;
        assert!(is_within, "{count} values from {first} on of {}", self.len);
        AT_CELLS + first * stride::<T>()
    }

    /// Where the value is in the segment, for atomic operations.
    #[inline]
    pub fn at(&self, index: usize) -> usize {
        assert!(index < self.len, "index {index} of {} values", self.len);
        AT_CELLS + index * stride::<T>()
    }

    fn load_words(&self, at: usize) -> T {
        let mut value = T::zeroed();
        for (n, bytes) in bytemuck::bytes_of_mut(&mut value).chunks_mut(8).enumerate() {
            let word = self.segment.u64(at + 8 * n).load(Ordering::Relaxed);
            bytes.copy_from_slice(&word.to_ne_bytes()[..bytes.len()]);
        }
        value
    }

    fn store_words(&self, at: usize, value: &T) {
        for (n, bytes) in bytemuck::bytes_of(value).chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.segment.u64(at + 8 * n).store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    /// Waits for the lock. A thread that holds it already waits for itself.
    pub fn lock(&self) -> (CellsGuard<'_, T>, Taken) {
        loop {
            if let Some(taken) = LOCK.acquire(&*self.segment, None) {
                return (CellsGuard { cells: self, was_panicking: std::thread::panicking() }, taken);
            }
        }
    }

    pub fn is_poisoned(&self) -> bool {
        LOCK.is_poisoned(&*self.segment)
    }

    pub fn clear_poison(&self) {
        LOCK.clear_poison(&*self.segment);
    }

    pub fn segment(&self) -> &SharedSegment {
        &self.segment
    }
}

impl<T> Serialize for Cells<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.segment.serialize(serializer)
    }
}

/// Holds the lock of the cells.
#[derive(Debug)]
pub(super) struct CellsGuard<'a, T> {
    cells: &'a Cells<T>,
    was_panicking: bool,
}

impl<T> CellsGuard<'_, T> {
    /// Whether this thread has begun to panic since it has the lock.
    pub fn has_panicked(&self) -> bool {
        !self.was_panicking && std::thread::panicking()
    }
}

impl<T> Drop for CellsGuard<'_, T> {
    fn drop(&mut self) {
        if self.has_panicked() {
            LOCK.poison(&*self.cells.segment);
        }
        LOCK.release(&*self.cells.segment);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::tests::sent;
    use crate::{Array, Value};
    use proptest::prelude::*;

    const KIND: Kind = *b"TEST    ";

    /// Reads and writes values of one size at random places, and compares with a vector.
    fn is_like_a_vector<T: Pod + PartialEq + std::fmt::Debug>(len: usize, writes: &[(usize, u8)]) {
        let cells = Cells::<T>::create(KIND, "a test", len, true).unwrap();
        let mut model = vec![T::zeroed(); len];
        for &(index, seed) in writes.iter().filter(|_| len > 0) {
            let mut value = T::zeroed();
            let bytes = bytemuck::bytes_of_mut(&mut value);
            bytes.iter_mut().zip(0u8..).for_each(|(byte, n)| *byte = seed.wrapping_mul(31).wrapping_add(n));
            cells.store(index % len, value, Ordering::Relaxed);
            model[index % len] = value;
        }
        let found: Vec<T> = (0..len).map(|index| cells.load(index, Ordering::Relaxed)).collect();
        assert_eq!(found, model);
        let (first, last) = (len / 3, len - len / 4);
        let mut some = vec![T::zeroed(); last - first];
        cells.load_all(first, &mut some);
        assert_eq!(some, model[first..last]);
        some.reverse();
        cells.store_all(first, &some);
        model[first..last].reverse();
        let found: Vec<T> = (0..len).map(|index| cells.load(index, Ordering::Relaxed)).collect();
        assert_eq!(found, model);
    }

    proptest! {
        #[test]
        fn values_of_every_size(len in 0usize..20, writes: Vec<(usize, u8)>) {
            is_like_a_vector::<u8>(len, &writes);
            is_like_a_vector::<i16>(len, &writes);
            is_like_a_vector::<[u8; 3]>(len, &writes);
            is_like_a_vector::<[u8; 4]>(len, &writes);
            is_like_a_vector::<[u16; 3]>(len, &writes);
            is_like_a_vector::<[u8; 7]>(len, &writes);
            is_like_a_vector::<i64>(len, &writes);
            is_like_a_vector::<[u8; 8]>(len, &writes);
            is_like_a_vector::<[u8; 9]>(len, &writes);
            is_like_a_vector::<u128>(len, &writes);
            is_like_a_vector::<[u32; 5]>(len, &writes);
            is_like_a_vector::<[u64; 16]>(len, &writes);
        }

        /// Whatever another process has written into the header: it is refused, or all values lie within the memory.
        #[test]
        fn hostile_headers(bytes: u64, count: u64, near in 0u64..40, guarded: u64) {
            for (bytes, count) in [(bytes, count), (8, count), (8, near), (8, u64::MAX / 8 + near)] {
                let segment = SharedSegment::create(*b"ARRAY   ", 64 + 8 * 20).unwrap();
                for (at, word) in [(AT_ITEM_BYTES, bytes), (AT_COUNT, count), (AT_GUARDED, guarded)] {
                    segment.u64(at).store(word, Ordering::Relaxed);
                }
                match sent::<_, Array<f64>>(&segment) {
                    Ok(array) => {
                        prop_assert!(array.len() <= 20);
                        prop_assert_eq!(array.to_vec(), vec![0.0; array.len()]);
                    }
                    Err(_) => prop_assert!(bytes != 8 || count > 20),
                }
            }
        }
    }

    #[test]
    fn other_objects_are_refused() {
        let (array, value) = (Array::from_slice(&[1u64, 2]).unwrap(), Value::new(1u64).unwrap());
        assert!(sent::<_, Array<u32>>(&array).is_err() && sent::<_, Value<u32>>(&value).is_err());
        assert!(sent::<_, Value<u64>>(&array).is_err() && sent::<_, Array<u64>>(&value).is_err());
        assert!(sent::<_, Value<u64>>(&SharedSegment::create(*b"VALUE   ", 0).unwrap()).is_err());
        assert_eq!(sent::<_, Array<i64>>(&array).unwrap().to_vec(), [1, 2]);
        for len in [usize::MAX, usize::MAX / 8, usize::MAX / 16] {
            assert_eq!(Array::<u64>::new(len).unwrap_err().kind(), crate::ErrorKind::Create);
        }
    }
}
