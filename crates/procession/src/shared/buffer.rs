//! Values that are filled in place before they are shared.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use procession_os::SlabDraft;

use super::slice::item_bytes;
use super::{SharedParts, SharedSlice};
use crate::{Error, ErrorKind};

/// New memory that this process has for itself, as `&mut [T]`, until it is shared: as a whole to be read
/// ([`freeze`](SharedBuffer::freeze)), or in parts to be changed by several processes at once
/// ([`split`](SharedBuffer::split)).
///
/// Its size is sealed, and there is no limit to it but memory, which is used where it is written.
///
/// # Examples
/// ```
/// # procession::init();
/// let mut buffer = procession::SharedBuffer::<u32>::zeroed(1000)?;
/// buffer[999] = 7;
/// let slice = buffer.freeze()?;
/// assert_eq!(slice.iter().sum::<u32>(), 7);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct SharedBuffer<T> {
    draft: SlabDraft,
    items: PhantomData<T>,
}

impl<T: Pod> SharedBuffer<T> {
    /// Room for `len` values, all of whose bytes are zero.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] if the system refuses the memory or the descriptor.
    pub fn zeroed(len: usize) -> Result<SharedBuffer<T>, Error> {
        let draft = SlabDraft::create("procession-buffer", item_bytes::<T>(), len)
            .map_err(|e| Error::create("a shared buffer", e))?;
        Ok(SharedBuffer { draft, items: PhantomData })
    }

    /// Ends all writing, without a copy: what was filled in can be sent from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] if the system refuses to map it again.
    pub fn freeze(self) -> Result<SharedSlice<T>, Error> {
        let (view, fd) = self.draft.freeze().map_err(|e| Error::create("a shared slice", e))?;
        Ok(SharedSlice::new(view, fd))
    }

    /// Divides it into `parts` of nearly the same size, to be changed by several processes at once.
    ///
    /// # Errors
    /// [`ErrorKind::BadArgument`] for no parts, or more than 7680.
    pub fn split(self, parts: usize) -> Result<SharedParts<T>, Error> {
        let fd = self.draft.divide(parts).map_err(|e| {
            Error::with_source(ErrorKind::BadArgument, format!("failed to split a shared buffer into {parts}: {e}"), e)
        })?;
        Ok(SharedParts::new(fd))
    }
}

impl<T: Pod> Deref for SharedBuffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.draft)
    }
}

impl<T: Pod> DerefMut for SharedBuffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.draft)
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for SharedBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::tests::sent;

    #[test]
    fn it_is_filled_and_then_read() {
        let mut buffer = SharedBuffer::<u16>::zeroed(100_000).unwrap();
        assert!(buffer.len() == 100_000 && buffer.iter().all(|&n| n == 0));
        buffer.iter_mut().zip(0..).for_each(|(item, n)| *item = n as u16);
        let slice = buffer.freeze().unwrap();
        let theirs: SharedSlice<u16> = sent(&slice).unwrap();
        assert!(theirs.iter().zip(0..).all(|(&item, n)| item == n as u16));
    }

    #[test]
    fn sizes_at_the_borders() {
        let empty = SharedBuffer::<u64>::zeroed(0).unwrap();
        assert!(empty.is_empty() && sent::<_, SharedSlice<u64>>(&empty.freeze().unwrap()).unwrap().is_empty());
        for len in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8] {
            assert_eq!(SharedBuffer::<u64>::zeroed(len).unwrap_err().kind(), ErrorKind::Create);
        }
        // Only what is touched is memory.
        let mut huge = SharedBuffer::<u64>::zeroed(1 << 30).unwrap();
        huge[(1 << 30) - 1] = 1;
        assert_eq!(huge.freeze().unwrap()[(1 << 30) - 1], 1);
    }

    #[test]
    fn it_splits_into_some_parts() {
        for parts in [0, 7681, usize::MAX] {
            let error = SharedBuffer::<u64>::zeroed(10).unwrap().split(parts).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadArgument, "{error}");
        }
        assert_eq!(SharedBuffer::<u64>::zeroed(10).unwrap().split(7680).unwrap().parts().unwrap().len(), 7680);
    }
}
