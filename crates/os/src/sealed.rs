//! Memory that nobody can write any more: a memfd under a write seal, mapped to be read as ordinary bytes.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::mapping::{Access, Mapping};

/// Bytes that no process can change, whoever has their descriptor: the kernel has taken a write seal, which it refuses as
/// long as anybody maps them to write (fcntl(2), F_SEAL_WRITE), and refuses such mappings and write(2) from then on.
///
/// So, unlike other shared memory, they can be lent as `&[u8]`, whatever the process does that sent them.
#[derive(Debug)]
pub struct Sealed(Mapping);

/// What must be sealed before bytes are lent: the size, or reading could fault, and the bytes themselves.
const ALL: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// A memfd of `len` bytes, all zeros, whose size is sealed.
///
/// # Errors
/// Those of memfd_create(2), ftruncate(2) and fcntl(2).
pub(crate) fn sized_memfd(name: &str, len: usize) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    check_size(len)?;
    rustix::fs::ftruncate(&fd, len as u64)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fd)
}

/// Whether a memfd may have `len` bytes: beyond the limit of file sizes (setrlimit(2), RLIMIT_FSIZE; `ulimit -f`) ftruncate(2)
/// would end the process by SIGXFSZ.
///
/// # Errors
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if not.
pub(crate) fn check_size(len: usize) -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if limit.is_some_and(|limit| len as u64 > limit) { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

/// The size of a memfd, if that is sealed so that it can be mapped without the risk of a fault (SIGBUS).
///
/// # Errors
/// When it is not, or `fd` is no memfd.
pub(crate) fn sealed_len(fd: impl AsFd) -> io::Result<usize> {
    // Files that are no memfd have no seals (EINVAL), or, on tmpfs, only one that forbids others.
    if !rustix::fs::fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the size of the memory is not sealed"));
    }
    usize::try_from(rustix::fs::fstat(&fd)?.st_size).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Sealed {
    /// New memory of `len` bytes with the given pieces at their offsets, and zeros elsewhere. They are copied by
    /// pwrite(2), which is cheaper than a page fault for each 4 KiB.
    ///
    /// # Errors
    /// Those of memfd_create(2), ftruncate(2), pwrite(2), fcntl(2) and mmap(2).
    pub fn create(name: &str, len: usize, pieces: &[(usize, &[u8])]) -> io::Result<(Sealed, OwnedFd)> {
        let fd = sized_memfd(name, len)?;
        for &(offset, piece) in pieces {
            write_all(&fd, offset, piece)?;
        }
        Ok((Sealed::seal(&fd)?, fd))
    }

    /// Seals the memory behind `fd` for good, and maps it.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) while any process maps it to write; those of mmap(2).
    pub fn seal(fd: impl AsFd) -> io::Result<Sealed> {
        // Sealed is sealed: to do so again is refused (EPERM).
        if !rustix::fs::fcntl_get_seals(&fd)?.contains(ALL) {
            rustix::fs::fcntl_add_seals(&fd, ALL | SealFlags::SEAL)?;
        }
        Sealed::map(fd)
    }

    /// Maps what is behind `fd`.
    ///
    /// # Errors
    /// When it is no memfd, or it is not sealed, or mmap(2) fails.
    pub fn map(fd: impl AsFd) -> io::Result<Sealed> {
        if !rustix::fs::fcntl_get_seals(&fd)?.contains(ALL) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the memory is not sealed against writing"));
        }
        let len = sealed_len(&fd)?;
        Ok(Sealed(Mapping::new(fd, len, Access::Read)?))
    }
}

fn write_all(fd: &OwnedFd, offset: usize, mut bytes: &[u8]) -> io::Result<()> {
    let mut offset = offset as u64;
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

impl Deref for Sealed {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: mapped with this length, which cannot shrink, and readable; `map` has made sure that the kernel lets
        // nobody write to these pages any more, and seals cannot be taken away. The mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.0.base().as_ptr(), self.0.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

    #[test]
    fn what_is_sealed_is_read_by_all_and_written_by_none() {
        let (ours, fd) = Sealed::create("test", 10_000, &[(0, b"head"), (9_000, &[7; 1000])]).unwrap();
        let theirs = Sealed::map(&fd).unwrap();
        for sealed in [&ours, &theirs] {
            assert_eq!((&sealed[..5], sealed[8_999], &sealed[9_000..]), (&b"head\0"[..], 0, &[7; 1000][..]));
        }
        assert!(rustix::io::pwrite(&fd, b"x", 0).is_err());
        assert!(rustix::fs::ftruncate(&fd, 5).is_err());
        assert!(rustix::fs::ftruncate(&fd, 50_000).is_err());
        assert!(Mapping::new(&fd, 10_000, Access::Write).is_err());
        assert!(Segment::map(&fd).is_err());
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert!(rustix::fs::fallocate(&fd, punch, 0, 4096).is_err());
    }

    #[test]
    fn memory_that_is_mapped_to_write_is_not_sealed() {
        let fd = sized_memfd("test", 4096).unwrap();
        let writable = Mapping::new(&fd, 4096, Access::Write).unwrap();
        assert_eq!(Sealed::seal(&fd).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        crate::shm::write_shm(&fd, 100, b"still").unwrap();
        drop(writable);
        for _ in 0..2 {
            assert_eq!(&Sealed::seal(&fd).unwrap()[100..105], b"still");
        }
    }

    #[test]
    fn memory_of_others_is_refused_unless_it_is_sealed() {
        let refused = |fd: &OwnedFd| Sealed::map(fd).unwrap_err().kind() == io::ErrorKind::InvalidInput;
        let (mut seals, unsealed) = (SealFlags::empty(), rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING));
        let unsealed = unsealed.unwrap();
        rustix::fs::ftruncate(&unsealed, 4096).unwrap();
        for next in [SealFlags::empty(), SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE] {
            seals |= next;
            rustix::fs::fcntl_add_seals(&unsealed, seals).unwrap();
            assert!(refused(&unsealed), "{seals:?}");
        }
        assert!(refused(&std::fs::File::open("/proc/self/exe").unwrap().into()));
        assert!(refused(&std::io::pipe().unwrap().0.into()));
        let bare = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::fcntl_add_seals(&bare, ALL).unwrap();
        assert!(Sealed::map(&bare).is_err(), "nothing to map");
    }
}
