//! A file's pages in this process's memory, for as long as the value lives.

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// How a file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read only. The mapping is private: a shared one of a write-sealed memfd is refused by kernels before 6.7.
    Read,
    /// Read and write, shared with all who map it. A process that is forked does not inherit it (MADV_DONTFORK).
    Write,
}

/// A mapping of a whole file from its start; who makes one decides what may be done with its bytes.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is an address range that never moves; those who access it answer for how.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods only tell address and length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes, which must be as many as the file has for good: its size is sealed.
    ///
    /// # Errors
    /// Those of mmap(2) and madvise(2).
    pub fn new(fd: impl AsFd, len: usize, access: Access) -> io::Result<Mapping> {
        // A slice may not be larger (`std::slice::from_raw_parts`).
        if isize::try_from(len).is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let (prot, flags) = match access {
            Access::Read => (ProtFlags::READ, MapFlags::PRIVATE),
            Access::Write => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mapping = Mapping { base, len };
        if access == Access::Write {
            // SAFETY: the range was mapped just now; the advice changes nothing in this process.
            unsafe { rustix::mm::madvise(base.as_ptr().cast(), len, Advice::LinuxDontFork)? };
        }
        Ok(mapping)
    }

    /// Where it begins: at a page.
    #[inline]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Size in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; the owners give out no reference that outlives them.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
