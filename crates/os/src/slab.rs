//! Items of one size in shared memory: filled by one process, then changed part by part in several, then read by all.
//!
//! In each of these states other references exist, and no two states exist at once:
//! - [`SlabDraft`]: one process has the memory alone; its descriptor was never given out.
//! - [`SlabParts`](crate::SlabParts): who claims a part has it alone; see there.
//! - [`SlabView`]: the kernel lets nobody write any more, and has refused that while any of the above was mapped.

use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::{AsFd, OwnedFd};

use crate::mapping::{Access, Mapping};
use crate::sealed::{Sealed, sealed_len, sized_memfd};

const MAGIC: u64 = u64::from_le_bytes(*b"procSLAB");
/// Four words: the magic, the size of an item, how many there are, into how many parts they are divided.
const HEADER: usize = 32;
/// One word for each part; see [`SlabParts`](crate::SlabParts).
pub(crate) const AT_CLAIMS: usize = 4096;
/// At a page, so that items of any alignment up to 4096 are aligned. What lies before it and is not used is never touched,
/// and so costs no memory.
const AT_ITEMS: usize = 65536;
/// Into how many parts a slab can be divided.
pub const MAX_SLAB_PARTS: usize = (AT_ITEMS - AT_CLAIMS) / 8;

/// What the header says, checked: all items lie within the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub item_bytes: usize,
    pub count: usize,
    pub parts: usize,
}

impl Shape {
    fn len(self) -> io::Result<usize> {
        let items = self.item_bytes.checked_mul(self.count);
        items.and_then(|items| items.checked_add(AT_ITEMS)).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let words = [MAGIC, self.item_bytes as u64, self.count as u64, self.parts as u64];
        for (place, word) in header.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        header
    }

    /// Parses a header that another process has written, of memory of `len` bytes.
    pub fn parse(header: &[u8], len: usize) -> io::Result<Shape> {
        let mut words = [0; HEADER / 8];
        for (word, bytes) in words.iter_mut().zip(header.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        let [magic, item_bytes, count, parts] = words;
        let is_valid = magic == MAGIC && item_bytes > 0 && parts <= MAX_SLAB_PARTS as u64;
        let end = u128::from(item_bytes) * u128::from(count) + AT_ITEMS as u128;
        if !is_valid || end > len as u128 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "what was passed is another kind of object"));
        }
        Ok(Shape { item_bytes: item_bytes as usize, count: count as usize, parts: parts as usize })
    }

    /// Where all items are, in bytes.
    pub fn items(self) -> Range<usize> {
        AT_ITEMS..AT_ITEMS + self.item_bytes * self.count
    }

    /// Which items a part has: they differ by one at most, and each belongs to exactly one part.
    pub fn part(self, part: usize) -> Range<usize> {
        let (each, more) = (self.count / self.parts, self.count % self.parts);
        let start = part * each + part.min(more);
        start..start + each + usize::from(part < more)
    }

    /// Where they are, in bytes.
    pub fn part_bytes(self, part: usize) -> Range<usize> {
        let Range { start, end } = self.part(part);
        AT_ITEMS + start * self.item_bytes..AT_ITEMS + end * self.item_bytes
    }
}

/// New memory, all zeros, that this process has for itself: its bytes are those of the items.
#[derive(Debug)]
pub struct SlabDraft {
    mapping: Mapping,
    fd: OwnedFd,
    shape: Shape,
}

impl SlabDraft {
    /// Room for `count` items of `item_bytes` each.
    ///
    /// # Errors
    /// Those of memfd_create(2), ftruncate(2), fcntl(2) and mmap(2).
    pub fn create(name: &str, item_bytes: usize, count: usize) -> io::Result<SlabDraft> {
        let shape = Shape { item_bytes, count, parts: 0 };
        let len = shape.len()?;
        let fd = sized_memfd(name, len)?;
        write_header(&fd, shape)?;
        Ok(SlabDraft { mapping: Mapping::new(&fd, len, Access::Write)?, fd, shape })
    }

    /// Ends all writing.
    ///
    /// # Errors
    /// Those of fcntl(2) and mmap(2).
    pub fn freeze(self) -> io::Result<(SlabView, OwnedFd)> {
        drop(self.mapping);
        Ok((SlabView::seal(&self.fd)?, self.fd))
    }

    /// Divides the items for [`SlabParts`](crate::SlabParts). The descriptor is to be used by these types only, in processes of this
    /// program; whoever else writes by it takes their safety away.
    ///
    /// # Errors
    /// `InvalidInput` for no parts, or more than [`MAX_SLAB_PARTS`].
    pub fn divide(self, parts: usize) -> io::Result<OwnedFd> {
        if parts == 0 || parts > MAX_SLAB_PARTS {
            let why = format!("there can be 1 to {MAX_SLAB_PARTS} parts");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        drop(self.mapping);
        write_header(&self.fd, Shape { parts, ..self.shape })?;
        Ok(self.fd)
    }
}

fn write_header(fd: &OwnedFd, shape: Shape) -> io::Result<()> {
    crate::shm::write_shm(fd, 0, &shape.header())
}

impl Deref for SlabDraft {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let Range { start, end } = self.shape.items();
        // SAFETY: the items lie within the mapping (`create` made it as long as `Shape::len`), which is readable, does
        // not shrink and lives as long as `self`. Nobody else writes: the descriptor leaves `self` only in `freeze` and
        // `divide`, which end it, and a forked process does not inherit the mapping.
        unsafe { std::slice::from_raw_parts(self.mapping.base().as_ptr().add(start), end - start) }
    }
}

impl DerefMut for SlabDraft {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Range { start, end } = self.shape.items();
        // SAFETY: as in `deref`; in this process `self` is borrowed for as long as the bytes are.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.base().as_ptr().add(start), end - start) }
    }
}

/// A slab that nobody can write any more; its bytes are those of the items.
#[derive(Debug)]
pub struct SlabView {
    sealed: Sealed,
    shape: Shape,
}

impl SlabView {
    /// A copy of `items`, which are `item_bytes` each.
    ///
    /// # Errors
    /// As [`Sealed::create`].
    pub fn copy_of(name: &str, item_bytes: usize, items: &[u8]) -> io::Result<(SlabView, OwnedFd)> {
        let count = items.len().checked_div(item_bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let shape = Shape { item_bytes, count, parts: 0 };
        let (sealed, fd) = Sealed::create(name, shape.len()?, &[(0, &shape.header()), (AT_ITEMS, items)])?;
        Ok((SlabView { sealed, shape }, fd))
    }

    /// Ends all writing of the slab behind `fd`.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) while any process has it mapped as [`SlabParts`](crate::SlabParts).
    pub fn seal(fd: impl AsFd) -> io::Result<SlabView> {
        SlabView::new(Sealed::seal(fd)?)
    }

    /// Maps what another process has sent.
    ///
    /// # Errors
    /// When it is no slab, or can be written.
    pub fn map(fd: impl AsFd) -> io::Result<SlabView> {
        SlabView::new(Sealed::map(fd)?)
    }

    fn new(sealed: Sealed) -> io::Result<SlabView> {
        let shape = Shape::parse(&sealed, sealed.len())?;
        Ok(SlabView { sealed, shape })
    }

    /// Size of an item.
    pub fn item_bytes(&self) -> usize {
        self.shape.item_bytes
    }
}

impl Deref for SlabView {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.sealed[self.shape.items()]
    }
}

/// Maps a slab to be written.
pub(crate) fn map_parts(fd: impl AsFd) -> io::Result<(Mapping, Shape)> {
    let len = sealed_len(&fd)?;
    let mut header = [0; HEADER];
    crate::shm::read_shm(&fd, 0, &mut header)?;
    let shape = Shape::parse(&header, len)?;
    if shape.parts == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "what was passed is not divided into parts"));
    }
    Ok((Mapping::new(&fd, len, Access::Write)?, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_filled_frozen_and_read() {
        let mut draft = SlabDraft::create("test", 8, 1000).unwrap();
        assert!(draft.len() == 8000 && draft.iter().all(|&b| b == 0));
        draft[7999] = 9;
        let (view, fd) = draft.freeze().unwrap();
        let other = SlabView::map(&fd).unwrap();
        for view in [view, other] {
            assert_eq!((view.len(), view[7998], view[7999], view.item_bytes()), (8000, 0, 9, 8));
        }
        let (copy, fd) = SlabView::copy_of("test", 2, b"abcdef").unwrap();
        assert_eq!((&copy[..], &SlabView::map(fd).unwrap()[..]), (&b"abcdef"[..], &b"abcdef"[..]));
        assert!(SlabView::copy_of("test", 0, b"").is_err());
    }

    #[test]
    fn there_may_be_no_items() {
        let draft = SlabDraft::create("test", 3, 0).unwrap();
        assert!(draft.is_empty() && draft.freeze().unwrap().0.is_empty());
        assert!(SlabDraft::create("test", usize::MAX, 2).is_err());
        assert!(SlabDraft::create("test", 1, usize::MAX - AT_ITEMS - 4096).is_err());
    }

    #[test]
    fn parts_hold_each_item_once() {
        for count in [0, 1, 5, 6, 7, 100, usize::MAX / 1024] {
            for parts in [1, 2, 3, 7, MAX_SLAB_PARTS] {
                let shape = Shape { item_bytes: 8, count, parts };
                let mut end = 0;
                for part in 0..parts {
                    let range = shape.part(part);
                    assert_eq!(range.start, end);
                    assert!(range.len().abs_diff(count / parts) <= 1);
                    end = range.end;
                }
                assert_eq!(end, count);
            }
        }
    }

    #[test]
    fn headers_of_others_are_checked() {
        let words = |item: u64, count: u64, parts: u64| [MAGIC, item, count, parts].map(u64::to_le_bytes).concat();
        let len = AT_ITEMS + 80;
        let good = Shape { item_bytes: 8, count: 10, parts: 2 };
        assert_eq!(Shape::parse(&words(8, 10, 2), len).unwrap(), good);
        assert_eq!(good.header()[..], words(8, 10, 2));
        let bad = [
            (8, 11, 2),
            (0, 10, 2),
            (8, 10, MAX_SLAB_PARTS as u64 + 1),
            (u64::MAX, u64::MAX, 0),
            (1 << 63, 2, 0),
            (8, u64::MAX / 8 + 2, 0),
        ];
        for (item, count, parts) in bad {
            assert!(Shape::parse(&words(item, count, parts), len).is_err());
        }
        for cut in 0..16 {
            assert!(Shape::parse(&words(8, 10, 2)[..cut], len).is_err());
        }
        assert!(Shape::parse(&[1; 100], len).is_err());
        let (_, other) = Sealed::create("test", 10, &[(0, b"procSLAB")]).unwrap();
        assert!(SlabView::map(other).is_err());
    }
}
