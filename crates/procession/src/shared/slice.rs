//! Values that are written once and read by any number of processes, without a copy.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use procession_os::SlabView;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;
use crate::handle::Descriptor;

/// A slice in shared memory that nobody can change: `&[T]` in every process that it is sent to, without a copy.
///
/// Sending it as an argument passes a descriptor, so a gigabyte arrives as fast as a byte. Clones are the same memory,
/// which is given back when the last handle in the last process is gone.
///
/// The kernel sees to it that nobody can write (fcntl(2), F_SEAL_WRITE), and a receiver makes sure of that before it
/// lends a reference, whatever process has sent the handle. [`SharedBuffer`](crate::SharedBuffer) makes one in place.
///
/// `T` is any [`bytemuck::Pod`]: numbers, arrays of them, and structs that derive it. What processes exchange are its
/// bytes, so they must agree on what these mean: they are the same program.
///
/// # Examples
/// ```
/// use procession::{Pool, SharedSlice};
///
/// fn sum((data, part): (SharedSlice<u64>, usize)) -> u64 {
///     data.chunks(250).nth(part).unwrap_or_default().iter().sum()
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let numbers: Vec<u64> = (0..1000).collect();
///     let data = SharedSlice::from_slice(&numbers)?;
///     let sums = Pool::builder().workers(2).build()?.map(sum, (0..4).map(|part| (data.clone(), part)))?;
///     assert_eq!(sums.iter().sum::<u64>(), 499_500);
///     Ok(())
/// }
/// ```
pub struct SharedSlice<T> {
    view: Arc<SlabView>,
    descriptor: Descriptor,
    items: PhantomData<T>,
}

/// The size of an item, for types that can be shared.
pub(super) const fn item_bytes<T>() -> usize {
    const {
        assert!(size_of::<T>() > 0, "a type without bytes cannot be shared");
        assert!(align_of::<T>() <= 4096, "a type that is aligned to more than a page cannot be shared");
        size_of::<T>()
    }
}

impl<T: Pod> SharedSlice<T> {
    /// Copies `items` into new shared memory.
    ///
    /// # Errors
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) if the system refuses the memory or the descriptor.
    pub fn from_slice(items: &[T]) -> Result<SharedSlice<T>, Error> {
        let bytes = bytemuck::cast_slice(items);
        let (view, fd) = SlabView::copy_of("procession-slice", item_bytes::<T>(), bytes)
            .map_err(|e| Error::create("a shared slice", e))?;
        Ok(SharedSlice::new(view, fd))
    }

    pub(super) fn new(view: SlabView, fd: impl Into<Descriptor>) -> SharedSlice<T> {
        SharedSlice { view: Arc::new(view), descriptor: fd.into(), items: PhantomData }
    }
}

impl<T: Pod> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // Neither fails: the memory was checked to hold whole items of this size, at an address that suits any of them.
        bytemuck::cast_slice(&self.view)
    }
}

impl<T: Pod> AsRef<[T]> for SharedSlice<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> Clone for SharedSlice<T> {
    fn clone(&self) -> SharedSlice<T> {
        SharedSlice { view: Arc::clone(&self.view), descriptor: self.descriptor.clone(), items: PhantomData }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> Serialize for SharedSlice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.descriptor.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for SharedSlice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedSlice<T>, D::Error> {
        let descriptor = Descriptor::deserialize(deserializer)?;
        let view = SlabView::map(&descriptor).map_err(D::Error::custom)?;
        if view.item_bytes() != item_bytes::<T>() {
            return Err(D::Error::custom("what was passed is a slice of another type"));
        }
        Ok(SharedSlice::new(view, descriptor))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::SharedBuffer;
    use crate::segment::SharedSegment;
    use crate::shared::tests::{is_sent_refused, sent};
    use proptest::prelude::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn all_see_the_same_memory() {
        let ours = SharedSlice::from_slice(&[1.5f64, 2.5, -3.0]).unwrap();
        let theirs: SharedSlice<f64> = sent(&ours).unwrap();
        let (theirs, again): (SharedSlice<f64>, SharedSlice<f64>) = sent(&(&theirs, ours.clone())).unwrap();
        assert_eq!(ours.clone().as_ptr(), ours.as_ptr());
        drop(ours);
        assert!(theirs[..] == [1.5, 2.5, -3.0] && again.iter().sum::<f64>() == 1.0);
        assert_eq!(format!("{theirs:?}"), "[1.5, 2.5, -3.0]");
    }

    #[test]
    fn other_things_are_refused() {
        let slice = SharedSlice::from_slice(&[1u64, 2]).unwrap();
        assert!(is_sent_refused::<_, SharedSlice<u32>>(&slice));
        assert!(is_sent_refused::<_, SharedSlice<[u64; 2]>>(&slice));
        assert!(sent::<_, SharedSlice<i64>>(&slice).is_ok(), "any bytes are an i64");
        assert!(is_sent_refused::<_, SharedSlice<u8>>(&SharedSegment::create(*b"OTHER   ", 5).unwrap()));
        // A sender that keeps its right to write: its receiver would have a `&[T]` that changes.
        let parts = SharedBuffer::<u64>::zeroed(10).unwrap().split(2).unwrap();
        let (descriptor, _) = sent::<_, (Descriptor, u32)>(&parts.parts().unwrap()[0]).unwrap();
        assert!(is_sent_refused::<_, SharedSlice<u64>>(&descriptor));
        assert!(is_sent_refused::<_, SharedSlice<u8>>(&Descriptor::from(OwnedFd::from(std::io::pipe().unwrap().0))));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(bytes: Vec<u8>, words: Vec<[u16; 3]>, numbers: Vec<u128>) {
            let all = (
                SharedSlice::from_slice(&bytes).unwrap(),
                SharedSlice::from_slice(&words).unwrap(),
                SharedSlice::from_slice(&numbers).unwrap(),
            );
            let theirs: (SharedSlice<u8>, SharedSlice<[u16; 3]>, SharedSlice<u128>) = sent(&all).unwrap();
            prop_assert_eq!((&theirs.0[..], &theirs.1[..], &theirs.2[..]), (&bytes[..], &words[..], &numbers[..]));
        }
    }
}
