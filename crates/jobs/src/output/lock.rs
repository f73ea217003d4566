//! The lock by which a temporary file says that its owner lives: flock(2), which the kernel takes back at any death.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Stat};
use rustix::io::{Errno, retry_on_intr};

/// Takes the lock for as long as the file is open here. Waits for nobody.
///
/// # Errors
/// `EWOULDBLOCK` if another has it; others if the file system has no locks.
pub fn try_lock(file: impl AsFd) -> rustix::io::Result<()> {
    retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive))
}

/// Takes the lock of a file that was just created as `path`. False if a sweeper was faster: then it is gone, or about to be.
pub fn hold(file: &File, path: &Path) -> bool {
    match try_lock(file) {
        Err(Errno::WOULDBLOCK) => false,
        // Without locks (some network file systems) nobody can take it for a leftover, either.
        Ok(()) | Err(_) => leads_to(CWD, path, file),
    }
}

/// Whether a name still is that of an open file.
pub fn leads_to(folder: impl AsFd, name: impl rustix::path::Arg, file: impl AsFd) -> bool {
    let key = |stat: Stat| (stat.st_dev, stat.st_ino);
    let named = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!((named, rustix::fs::fstat(file)), (Ok(named), Ok(open)) if key(named) == key(open))
}
