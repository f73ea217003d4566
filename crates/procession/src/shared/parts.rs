//! Disjoint parts of one buffer, each changed by one process at a time.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use procession_os::{Claim, SlabParts, SlabView};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SharedSlice;
use super::slice::item_bytes;
use crate::handle::Descriptor;
use crate::sync::{LockResult, OwnerDied};
use crate::{Error, ErrorKind};

/// A buffer that is divided into parts, made by [`SharedBuffer::split`](crate::SharedBuffer::split): send each of the
/// [`parts`](SharedParts::parts) to a process, then [`freeze`](SharedParts::freeze) the whole and read it.
///
/// # Examples
/// ```
/// use procession::{Pool, SharedBuffer, SharedPart};
///
/// fn fill(part: SharedPart<u64>) {
///     let range = part.range();
///     let mut items = part.lock().unwrap();
///     for (item, n) in items.iter_mut().zip(range) {
///         *item = (n * n) as u64;
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let parts = SharedBuffer::<u64>::zeroed(1000)?.split(4)?;
///     Pool::builder().workers(2).build()?.map(fill, parts.parts()?)?;
///     let squares = parts.freeze()?;
///     assert_eq!(squares[999], 998_001);
///     Ok(())
/// }
/// ```
pub struct SharedParts<T> {
    descriptor: Descriptor,
    items: PhantomData<T>,
}

impl<T: Pod> SharedParts<T> {
    pub(super) fn new(fd: OwnedFd) -> SharedParts<T> {
        SharedParts { descriptor: fd.into(), items: PhantomData }
    }

    /// All parts, in order. Asked again it gives the same parts: each can be held by one process at a time, whichever
    /// handle that has.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] if the system refuses to map the memory, as it does once it is frozen.
    pub fn parts(&self) -> Result<Vec<SharedPart<T>>, Error> {
        let parts = SlabParts::map(&self.descriptor).map_err(|e| Error::create("parts of a shared buffer", e))?;
        let parts = Arc::new(parts);
        let part = |index| SharedPart {
            parts: Arc::clone(&parts),
            descriptor: self.descriptor.clone(),
            index,
            items: PhantomData,
        };
        Ok((0..parts.parts()).map(part).collect())
    }

    /// Ends all writing, without a copy: the whole can be read from now on, and sent.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while a process still has a part, locked or not, this one included: wait for it to drop that
    /// or to end, and try again. [`ErrorKind::Create`] if the system refuses to map the memory again.
    pub fn freeze(&self) -> Result<SharedSlice<T>, Error> {
        match SlabView::seal(&self.descriptor) {
            Ok(view) => Ok(SharedSlice::new(view, self.descriptor.clone())),
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                let message = "failed to freeze a shared buffer: a process still has a part of it (this one, or one that a \
                               part was sent to); drop all parts, and try again";
                Err(Error::with_source(ErrorKind::Busy, message.to_string(), e))
            }
            Err(e) => Err(Error::create("a shared slice", e)),
        }
    }
}

impl<T> fmt::Debug for SharedParts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedParts").finish_non_exhaustive()
    }
}

/// One part of a [`SharedParts`], to be sent to a process that changes it. Clones are the same part.
pub struct SharedPart<T> {
    parts: Arc<SlabParts>,
    descriptor: Descriptor,
    index: usize,
    items: PhantomData<T>,
}

impl<T: Pod> SharedPart<T> {
    /// Its place among all parts.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Which values of the whole it has.
    pub fn range(&self) -> Range<usize> {
        self.parts.items(self.index)
    }

    /// Waits until no other process and no other thread holds the part, and takes it. A thread that holds it already waits
    /// for itself.
    ///
    /// # Errors
    /// [`OwnerDied`] if a process died while it held the part, or a thread panicked: it is taken all the same, as it was
    /// left. The notice stays until [`PartGuard::clear_poison`].
    pub fn lock(&self) -> LockResult<PartGuard<'_, T>> {
        loop {
            if let Some(result) = self.lock_until(None) {
                return result;
            }
        }
    }

    /// Takes the part if nobody holds it; None if somebody does.
    ///
    /// # Errors
    /// As [`SharedPart::lock`].
    pub fn try_lock(&self) -> Option<LockResult<PartGuard<'_, T>>> {
        self.lock_timeout(Duration::ZERO)
    }

    /// As [`SharedPart::lock`], but waits at most for `timeout`; None if that ran out.
    ///
    /// # Errors
    /// As [`SharedPart::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockResult<PartGuard<'_, T>>> {
        // What ends later than the clock can say never ends.
        self.lock_until(Instant::now().checked_add(timeout))
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Option<LockResult<PartGuard<'_, T>>> {
        let claim = self.parts.claim(self.index, deadline)?;
        let is_poisoned = claim.is_poisoned();
        let guard = PartGuard { claim, was_panicking: std::thread::panicking(), items: PhantomData };
        Some(if is_poisoned { Err(OwnerDied::new(guard)) } else { Ok(guard) })
    }
}

impl<T> Clone for SharedPart<T> {
    fn clone(&self) -> SharedPart<T> {
        let (parts, descriptor) = (Arc::clone(&self.parts), self.descriptor.clone());
        SharedPart { parts, descriptor, index: self.index, items: PhantomData }
    }
}

impl<T: Pod> fmt::Debug for SharedPart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPart").field("index", &self.index).field("range", &self.range()).finish_non_exhaustive()
    }
}

impl<T> Serialize for SharedPart<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.descriptor, self.index as u32).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for SharedPart<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedPart<T>, D::Error> {
        let (descriptor, index) = <(Descriptor, u32)>::deserialize(deserializer)?;
        let (parts, index) = (SlabParts::map(&descriptor).map_err(D::Error::custom)?, index as usize);
        if parts.item_bytes() != item_bytes::<T>() || index >= parts.parts() {
            return Err(D::Error::custom("what was passed is a part of another buffer"));
        }
        Ok(SharedPart { parts: Arc::new(parts), descriptor, index, items: PhantomData })
    }
}

/// Holds a [`SharedPart`] until it is dropped: its values as `&mut [T]`.
#[must_use = "the part is free again as soon as the guard is dropped"]
#[derive(Debug)]
pub struct PartGuard<'a, T> {
    claim: Claim<'a>,
    was_panicking: bool,
    items: PhantomData<T>,
}

impl<T> PartGuard<'_, T> {
    /// Says that the part is whole again, after [`OwnerDied`].
    pub fn clear_poison(&self) {
        self.claim.clear_poison();
    }
}

impl<T: Pod> Deref for PartGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.claim)
    }
}

impl<T: Pod> DerefMut for PartGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.claim)
    }
}

impl<T> Drop for PartGuard<'_, T> {
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            self.claim.poison();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::SharedBuffer;
    use crate::shared::tests::{is_sent_refused, sent};

    fn buffer(len: u32) -> SharedBuffer<u32> {
        let mut buffer = SharedBuffer::zeroed(len as usize).unwrap();
        buffer.iter_mut().zip(0..).for_each(|(item, n)| *item = n);
        buffer
    }

    #[test]
    fn parts_are_changed_and_the_whole_is_read() {
        let whole = buffer(1003).split(7).unwrap();
        let parts = whole.parts().unwrap();
        assert_eq!(parts.iter().flat_map(SharedPart::range).collect::<Vec<_>>(), (0..1003).collect::<Vec<_>>());
        std::thread::scope(|scope| {
            for part in &parts {
                let part: SharedPart<u32> = sent(part).unwrap();
                scope.spawn(move || {
                    let start = part.range().start as u32;
                    let mut items = part.lock().unwrap();
                    assert_eq!(items[0], start);
                    items.iter_mut().for_each(|item| *item += 1);
                });
            }
        });
        let error = whole.freeze().unwrap_err();
        assert!(error.kind() == ErrorKind::Busy && error.to_string().contains("still has a part"), "{error}");
        drop(parts);
        let all = whole.freeze().unwrap();
        assert!(all.iter().zip(1..).all(|(&item, n)| item == n));
        assert_eq!(whole.parts().unwrap_err().kind(), ErrorKind::Create);
        assert_eq!(whole.freeze().unwrap().as_ref(), all.as_ref(), "asked again it is the same");
    }

    #[test]
    fn one_holds_a_part_at_a_time() {
        let whole = buffer(10).split(2).unwrap();
        let parts = whole.parts().unwrap();
        let theirs: SharedPart<u32> = sent(&parts[0]).unwrap();
        let guard = parts[0].lock().unwrap();
        assert!(theirs.try_lock().is_none() && parts[0].clone().try_lock().is_none());
        assert!(whole.parts().unwrap()[0].lock_timeout(Duration::from_millis(2)).is_none());
        assert!(parts[1].try_lock().unwrap().is_ok());
        drop(guard);
        assert!(theirs.try_lock().unwrap().is_ok());
    }

    #[test]
    fn a_panic_leaves_a_notice() {
        let whole = buffer(10).split(1).unwrap();
        let part = &whole.parts().unwrap()[0];
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let mut items = part.lock().unwrap();
                items[0] = 99;
                panic!("as planned");
            });
            assert!(panics.join().is_err());
        });
        let died = part.lock().unwrap_err();
        assert_eq!(died.guard()[0], 99);
        died.guard().clear_poison();
        drop(died);
        assert!(part.lock().is_ok());
    }

    #[test]
    fn other_things_are_refused() {
        let whole = buffer(10).split(2).unwrap();
        let parts = whole.parts().unwrap();
        assert!(is_sent_refused::<_, SharedPart<u64>>(&parts[0]));
        assert!(is_sent_refused::<_, SharedPart<u32>>(&(&parts[0].descriptor, 2u32)));
        assert!(is_sent_refused::<_, SharedPart<u32>>(&(SharedSlice::from_slice(&[1u32]).unwrap(), 0u32)));
        drop(parts);
        let stale = (whole.descriptor.clone(), 0u32);
        assert!(sent::<_, SharedPart<u32>>(&stale).is_ok());
        whole.freeze().unwrap();
        assert!(is_sent_refused::<_, SharedPart<u32>>(&stale));
    }
}
