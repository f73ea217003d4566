//! Shared memory between processes: one sealed memfd, mapped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// A mapping of shared memory of fixed size, zeroed when it is made.
///
/// The other side may write at any moment, so there are no references to plain bytes: words are atomics, bytes are
/// copied in and out. The size is sealed before the first mapping, so no access can fault after the other side
/// truncated the file (memfd_create(2), F_SEAL_SHRINK).
///
/// A process that is forked does not inherit the mapping (MADV_DONTFORK).
#[derive(Debug)]
pub struct Segment {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: all access goes through atomics or through copies of raw bytes; the mapping itself never moves.
unsafe impl Send for Segment {}
// SAFETY: as above; concurrent copies into the same bytes are the caller's protocol, and never create references.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes and maps a segment of `len` bytes; the file descriptor is what another process needs to map it too.
    ///
    /// # Errors
    /// Those of memfd_create(2), ftruncate(2), fcntl(2) and mmap(2); [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond the
    /// process's limit of file sizes.
    pub fn create(name: &str, len: usize) -> io::Result<(Segment, OwnedFd)> {
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        crate::sealed::check_size(len)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Segment::map_len(&fd, len)?, fd))
    }

    /// Maps the segment behind `fd`.
    ///
    /// # Errors
    /// When `fd` is no memfd, or its size is not sealed, or mmap(2) fails.
    pub fn map(fd: impl AsFd) -> io::Result<Segment> {
        // The last seal tells it from a slab, whose bytes may be lent.
        if !rustix::fs::fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK | SealFlags::SEAL) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the size of the segment is not sealed"));
        }
        let len = rustix::fs::fstat(&fd)?.st_size;
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Segment::map_len(&fd, len)
    }

    fn map_len(fd: impl AsFd, len: usize) -> io::Result<Segment> {
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            let base = rustix::mm::mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0)?;
            rustix::mm::madvise(base, len, Advice::LinuxDontFork)?;
            base
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Segment { base, len })
    }

    /// Size in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The byte at `offset`.
    ///
    /// # Panics
    /// When it is not within the segment.
    #[inline]
    pub fn u8(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < self.len, "byte outside of the segment");
        // SAFETY: as in `u32`.
        unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(offset)) }
    }

    /// The 16-bit word at `offset` bytes.
    ///
    /// # Panics
    /// As [`Segment::u32`].
    #[inline]
    pub fn u16(&self, offset: usize) -> &AtomicU16 {
        assert!(offset.is_multiple_of(2) && offset + 2 <= self.len, "word outside of the segment");
        // SAFETY: as in `u32`.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// The `count` bytes from `offset` on.
    ///
    /// # Panics
    /// When they are not all within the segment.
    #[inline]
    pub fn u8s(&self, offset: usize, count: usize) -> &[AtomicU8] {
        self.check_words(offset, count, 1);
        // SAFETY: in bounds (checked above), and as in `u32`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    /// The `count` 16-bit words from `offset` bytes on.
    ///
    /// # Panics
    /// When they are unaligned or not all within the segment.
    #[inline]
    pub fn u16s(&self, offset: usize, count: usize) -> &[AtomicU16] {
        self.check_words(offset, count, 2);
        // SAFETY: in bounds and aligned (checked above), and as in `u32`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    /// The `count` 32-bit words from `offset` bytes on.
    ///
    /// # Panics
    /// As [`Segment::u16s`].
    #[inline]
    pub fn u32s(&self, offset: usize, count: usize) -> &[AtomicU32] {
        self.check_words(offset, count, 4);
        // SAFETY: as in `u16s`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    /// The `count` 64-bit words from `offset` bytes on.
    ///
    /// # Panics
    /// As [`Segment::u16s`].
    #[inline]
    pub fn u64s(&self, offset: usize, count: usize) -> &[AtomicU64] {
        self.check_words(offset, count, 8);
        // SAFETY: as in `u16s`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    fn check_words(&self, offset: usize, count: usize, size: usize) {
        let is_within = offset <= self.len && count <= (self.len - offset) / size;
        assert!(offset.is_multiple_of(size) && is_within, "words outside of the segment");
    }

    /// The 32-bit word at `offset` bytes.
    ///
    /// # Panics
    /// When the word is unaligned or not within the segment: offsets are constants of our own layout, never received.
    #[inline]
    pub fn u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len, "word outside of the segment");
        // SAFETY: in bounds and aligned (checked above; a mapping starts at a page), and every access to shared words
        // is atomic on both sides.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// The 64-bit word at `offset` bytes.
    ///
    /// # Panics
    /// As [`Segment::u32`].
    #[inline]
    pub fn u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len, "word outside of the segment");
        // SAFETY: as in `u32`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// When they do not fit.
    #[inline]
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "write outside of the segment");
        // SAFETY: in bounds (checked above); `bytes` is ordinary memory and cannot overlap a mapping that no
        // reference points into.
        unsafe {
            let to = self.base.as_ptr().add(offset);
            if let Ok(word) = <[u8; 8]>::try_from(bytes) {
                return to.cast::<[u8; 8]>().write(word);
            }
            if bytes.len() > 8 {
                return std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            }
            // Cheaper than a call, and than wide loads of bytes that were stored one by one just before. Volatile, or the
            // compiler makes it that call again.
            for (at, byte) in bytes.iter().enumerate() {
                to.add(at).write_volatile(*byte);
            }
        }
    }

    /// Appends the `len` bytes at `offset` to `out`.
    ///
    /// # Panics
    /// When they are not within the segment.
    #[inline]
    pub fn read(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        assert!(offset <= self.len && len <= self.len - offset, "read outside of the segment");
        out.reserve(len);
        // SAFETY: in bounds (checked above); the destination has room for `len` more bytes, which this call
        // initialises. Should the other side write at the same time, against the protocol, then the copy holds a mix of
        // old and new bytes: they are parsed as hostile input.
        unsafe {
            let end = out.as_mut_ptr().add(out.len());
            std::ptr::copy_nonoverlapping(self.base.as_ptr().add(offset), end, len);
            out.set_len(out.len() + len);
        }
    }

    /// Gives the memory of `len` bytes from `offset` on back to the system, in whole pages: they read as zeros from then
    /// on. A hint only: should the system refuse, then nothing changes.
    ///
    /// # Panics
    /// When they are not within the segment.
    pub fn discard(&self, offset: usize, len: usize) {
        assert!(offset <= self.len && len <= self.len - offset, "discarded outside of the segment");
        let page = rustix::param::page_size();
        let (start, end) = (offset.next_multiple_of(page), (offset + len) / page * page);
        if start < end {
            // SAFETY: within the mapping (checked above); no references point into it, and words that are discarded are
            // still there to be read, as zeros (madvise(2), MADV_REMOVE).
            let _ = unsafe {
                let from = self.base.as_ptr().add(start).cast();
                rustix::mm::madvise(from, end - start, Advice::LinuxRemove)
            };
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped by `map_len` with this length; no reference outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Asks for huge pages under the unused room of `buffer`, which makes filling a large one cheaper; a hint only.
pub fn advise_huge_pages(buffer: &mut Vec<u8>) {
    const HUGE: usize = 2 << 20;
    let room: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    let start = (room.as_ptr() as usize).next_multiple_of(HUGE);
    let end = (room.as_ptr() as usize + room.len()) / HUGE * HUGE;
    if start < end {
        // SAFETY: the range lies within the vector's own allocation; MADV_HUGEPAGE changes no content.
        let _ = unsafe { rustix::mm::madvise(start as *mut _, end - start, Advice::LinuxHugepage) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_see_the_same_bytes() {
        let (ours, fd) = Segment::create("test", 8192).unwrap();
        let theirs = Segment::map(&fd).unwrap();
        ours.write(4096, b"hello");
        ours.u64(8).store(7, Ordering::Release);
        let mut out = vec![b'>'];
        theirs.read(4096, 5, &mut out);
        assert_eq!(out, b">hello");
        assert_eq!(theirs.u64(8).load(Ordering::Acquire), 7);
        assert_eq!(theirs.len(), 8192);
    }

    #[test]
    fn words_of_every_size_lie_where_they_should() {
        let (segment, _fd) = Segment::create("test", 4096).unwrap();
        segment.u64(4088).store(u64::from_le(0x0807_0605_0403_0201), Ordering::Relaxed);
        assert_eq!(segment.u8(4095).load(Ordering::Relaxed), 8);
        assert_eq!(segment.u16(4092).load(Ordering::Relaxed), u16::from_le(0x0605));
        let refuses = |access: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(access)).is_err();
        assert!(refuses(&|| segment.u8(4096).store(1, Ordering::Relaxed)));
        assert!(refuses(&|| segment.u16(4095).store(1, Ordering::Relaxed)));
        assert!(refuses(&|| segment.u16(4096).store(1, Ordering::Relaxed)));
        assert_eq!(segment.u8s(4088, 8)[7].load(Ordering::Relaxed), 8);
        assert_eq!(segment.u16s(4090, 3)[1].load(Ordering::Relaxed), u16::from_le(0x0605));
        assert_eq!(segment.u32s(4088, 2)[1].load(Ordering::Relaxed), u32::from_le(0x0807_0605));
        assert_eq!(segment.u64s(0, 512)[511].load(Ordering::Relaxed), u64::from_le(0x0807_0605_0403_0201));
        assert!(segment.u64s(4096, 0).is_empty());
        for (offset, count) in [(4096, 1), (4104, 0), (4, 1), (8, 512), (0, usize::MAX), (usize::MAX - 7, 1)] {
            assert!(refuses(&|| _ = segment.u64s(offset, count)), "{offset} {count}");
        }
        assert!(refuses(&|| _ = segment.u8s(4090, 7)) && refuses(&|| _ = segment.u16s(1, 1)));
    }

    #[test]
    fn the_size_is_sealed() {
        let (_segment, fd) = Segment::create("test", 4096).unwrap();
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        let unsealed = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        assert!(Segment::map(&unsealed).is_err());
    }

    #[test]
    fn writes_of_any_length_change_just_their_bytes() {
        let (segment, _fd) = Segment::create("test", 4096).unwrap();
        for len in 0..20usize {
            let bytes: Vec<u8> = (1..=len as u8).collect();
            segment.write(99, &[0xee; 22]);
            segment.write(100, &bytes);
            let mut out = Vec::new();
            segment.read(99, 22, &mut out);
            assert_eq!((out[0], &out[1..=len], out[len + 1]), (0xee, &bytes[..], 0xee));
        }
    }

    #[test]
    fn discarded_pages_are_zeros_and_no_others() {
        let (segment, fd) = Segment::create("test", 64 << 10).unwrap();
        segment.write(0, &[7; 64 << 10]);
        let held = || rustix::fs::fstat(&fd).unwrap().st_blocks * 512;
        assert!(held() >= 64 << 10);
        segment.discard(10_000, 44_000);
        let mut out = Vec::new();
        segment.read(0, 64 << 10, &mut out);
        let page = rustix::param::page_size();
        let gone = 10_000usize.next_multiple_of(page)..54_000 / page * page;
        assert!(out.iter().enumerate().all(|(at, &byte)| byte == if gone.contains(&at) { 0 } else { 7 }));
        segment.discard(4096, 1);
        segment.discard(64 << 10, 0);
    }

    #[test]
    #[should_panic(expected = "outside of the segment")]
    fn what_is_discarded_stays_inside() {
        Segment::create("test", 4096).unwrap().0.discard(1, 4096);
    }

    #[test]
    #[should_panic(expected = "outside of the segment")]
    fn writes_stay_inside() {
        let (segment, _fd) = Segment::create("test", 4096).unwrap();
        segment.write(4090, b"too long");
    }

    #[test]
    fn huge_pages_are_only_a_hint() {
        let mut big = Vec::with_capacity(8 << 20);
        advise_huge_pages(&mut big);
        big.resize(8 << 20, 1);
        assert!(big.iter().all(|&b| b == 1));
        advise_huge_pages(&mut Vec::new());
    }
}
