//! Locks on files: one program at a time.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::FlockOperation;
use rustix::io::{Errno, retry_on_intr};

/// Takes the lock on an open file (flock(2), `LOCK_EX | LOCK_NB`); false if somebody else has it. It belongs to the open
/// file, and ends when that is closed, be it by a kill.
///
/// # Errors
/// Those of flock(2): not every file system has locks.
pub fn try_lock_file(file: impl AsFd) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Gives the lock back at once. Closing the file does so only when no copy of the descriptor is left, and a process that
/// another thread is just starting may have one until it executes its program.
pub fn unlock_file(file: impl AsFd) {
    // Closing does it at the latest.
    let _ = retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::Unlock));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_belongs_to_one_open_file() {
        let path = std::env::temp_dir().join(format!("procession-lock-{}", std::process::id()));
        let first = std::fs::File::create(&path).unwrap();
        let second = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(try_lock_file(&first).unwrap() && try_lock_file(&first).unwrap());
        assert!(!try_lock_file(&second).unwrap());
        let copy = first.try_clone().unwrap();
        drop(first);
        assert!(!try_lock_file(&second).unwrap());
        unlock_file(&copy);
        assert!(try_lock_file(&second).unwrap());
    }
}
