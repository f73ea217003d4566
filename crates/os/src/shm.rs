//! Shared memory with a name, for processes that do not know each other: files in /dev/shm, where shm_open(3) has them.
//!
//! It is read and written by pread(2) and pwrite(2), never mapped: any process may cut such a file at any time, and what
//! is mapped beyond the end ends its reader (SIGBUS).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// shm_overview(7): where POSIX shared memory is.
const FOLDER: &str = "/dev/shm";
/// The kernel gives up filling memory when a signal comes (EINTR); a step this large is soon done.
const STEP_BYTES: u64 = 64 << 20;

/// Which file it is, whatever its name is by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The file system's number.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
}

/// Makes memory of `len` bytes, all zeros and all really there, that has no name yet: it is gone with its descriptor.
///
/// # Errors
/// Those of open(2) with O_TMPFILE, and of posix_fallocate(3): `StorageFull` if there is not enough.
pub fn create_shm(len: u64) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let fd = rustix::fs::open(FOLDER, flags, Mode::RUSR | Mode::WUSR)?;
    // Or it would fill all that there is before it failed. A size of 0 blocks is no limit (tmpfs(5)).
    let stat = rustix::fs::fstatvfs(&fd)?;
    if stat.f_blocks > 0 && len / stat.f_frsize.max(1) >= stat.f_bavail || i64::try_from(len).is_err() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let mut at = 0;
    while at < len {
        let step = STEP_BYTES.min(len - at);
        match rustix::fs::fallocate(&fd, FallocateFlags::empty(), at, step) {
            Ok(()) => at += step,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(fd)
}

/// Gives new memory its name.
///
/// # Errors
/// `AlreadyExists` if another has it, `InvalidInput` for what is no name.
pub fn name_shm(fd: impl AsFd, name: &str) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    Ok(rustix::fs::linkat(CWD, from, CWD, path(name)?, AtFlags::SYMLINK_FOLLOW)?)
}

/// Opens the memory called `name`.
///
/// # Errors
/// `NotFound` if there is none, `InvalidInput` for what is no name or no memory.
pub fn open_shm(name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path(name)?, flags, Mode::empty())?;
    shm_len(&fd)?;
    Ok(fd)
}

/// Its size in bytes as it is now.
///
/// # Errors
/// `InvalidInput` if it is no file that has one.
pub fn shm_len(fd: impl AsFd) -> io::Result<u64> {
    let stat = rustix::fs::fstat(fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no memory but another kind of file"));
    }
    Ok(stat.st_size as u64)
}

/// Which file it is.
///
/// # Errors
/// Those of fstat(2).
pub fn shm_id(fd: impl AsFd) -> io::Result<FileId> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
}

/// Takes the name away, if it is still that of this file. What others have opened stays theirs. Says whether it did.
///
/// # Errors
/// Those of unlink(2), but it is none if the name is gone already.
pub fn unlink_shm(name: &str, id: FileId) -> io::Result<bool> {
    let path = path(name)?;
    match rustix::fs::lstat(&path) {
        Ok(stat) if (FileId { device: stat.st_dev, inode: stat.st_ino }) == id => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(false),
        Err(e) => return Err(e.into()),
    }
    match rustix::fs::unlink(&path) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Fills `bytes` with what is at `offset`.
///
/// # Errors
/// `UnexpectedEof` if there is less.
pub fn read_shm(fd: impl AsFd, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pread(&fd, &mut *bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                offset += n as u64;
                bytes = &mut bytes[n..];
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Puts `bytes` at `offset`.
///
/// # Errors
/// Those of pwrite(2).
pub fn write_shm(fd: impl AsFd, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&fd, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                bytes = &bytes[n..];
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// A name is one of a file in one folder: it leads nowhere else.
fn path(name: &str) -> io::Result<String> {
    let is_name = !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(['/', '\0']);
    if !is_name {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a name is 1 to 255 bytes without `/`, and neither `.` nor `..`",
        ));
    }
    Ok(format!("{FOLDER}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(what: &str) -> String {
        format!("procession-test-{}-{what}", std::process::id())
    }

    #[test]
    fn memory_is_found_by_its_name_until_that_is_taken_away() {
        let name = name("found");
        let ours = create_shm(10_000).unwrap();
        assert_eq!(open_shm(&name).unwrap_err().kind(), io::ErrorKind::NotFound);
        name_shm(&ours, &name).unwrap();
        assert_eq!(name_shm(create_shm(1).unwrap(), &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let theirs = open_shm(&name).unwrap();
        assert_eq!(shm_len(&theirs).unwrap(), 10_000);
        write_shm(&ours, 9_995, b"hello").unwrap();
        let mut bytes = [1; 6];
        read_shm(&theirs, 9_994, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0hello");
        assert_eq!(read_shm(&theirs, 9_995, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let id = shm_id(&ours).unwrap();
        assert_eq!(id, shm_id(&theirs).unwrap());
        assert!(!unlink_shm(&name, FileId { inode: id.inode + 1, ..id }).unwrap(), "another's");
        assert!(unlink_shm(&name, id).unwrap());
        assert!(!unlink_shm(&name, id).unwrap());
        read_shm(&theirs, 9_995, &mut bytes[1..]).unwrap();
    }

    #[test]
    fn more_than_there_is_is_an_error_before_it_has_a_name() {
        assert_eq!(create_shm(u64::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let stat = rustix::fs::statvfs(FOLDER).unwrap();
        if stat.f_blocks > 0 {
            for len in [i64::MAX as u64, 1 << 62, stat.f_blocks * stat.f_frsize] {
                assert_eq!(create_shm(len).unwrap_err().kind(), io::ErrorKind::StorageFull);
            }
        }
    }

    #[test]
    fn names_stay_within_the_folder() {
        for bad in ["", ".", "..", "a/b", "/a", "../x", "a\0b", &"n".repeat(256)] {
            assert_eq!(open_shm(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
            assert_eq!(name_shm(create_shm(1).unwrap(), bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let long = name(&"n".repeat(255 - name("").len()));
        let fd = create_shm(1).unwrap();
        name_shm(&fd, &long).unwrap();
        assert!(unlink_shm(&long, shm_id(&fd).unwrap()).unwrap());
    }

    #[test]
    fn other_files_are_no_memory() {
        let name = name("link");
        std::os::unix::fs::symlink("/etc/passwd", format!("{FOLDER}/{name}")).unwrap();
        assert!(open_shm(&name).is_err());
        std::fs::remove_file(format!("{FOLDER}/{name}")).unwrap();
        assert!(shm_len(std::io::pipe().unwrap().0).is_err());
    }
}
