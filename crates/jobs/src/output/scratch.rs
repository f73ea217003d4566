//! A temporary folder for files that live no longer than the job.
//!
//! A file `lock` in it is held by its owner. Folders whose lock can be had are removed by the next run. A killed owner can
//! have been anywhere: the lock is the last file to go, and an empty folder is swept without one.

use std::ffi::CStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::living::Living;
use super::lock::{hold, try_lock};
use super::sweep::{Names, RANDOM_CHARACTERS, sweep_once};

const NAMES: Names = Names { prefix: "procession-", suffix: "" };
const LOCK: &CStr = c"lock";
/// A sweeper may come between the folder and its lock, but not as often as that.
const ATTEMPTS: usize = 100;

/// A temporary folder for regular files; it is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    living: Living,
    /// Whose lock says that the folder is in use.
    _lock: File,
}

impl Scratch {
    /// A new folder among the system's temporary ones (`TMPDIR`), which only this user can look into. The name `lock` is
    /// taken there. Leftovers of killed runs are removed before.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> io::Result<Scratch> {
        let within = std::path::absolute(std::env::temp_dir())?;
        sweep_once(&within, NAMES, sweep_folder);
        for _ in 0..ATTEMPTS {
            let mut names = tempfile::Builder::new();
            names.prefix(NAMES.prefix).rand_bytes(RANDOM_CHARACTERS).permissions(Permissions::from_mode(0o700));
            let living = Living::new(&names.tempdir_in(&within)?.keep());
            let lock = living.path().join("lock");
            match File::create_new(&lock) {
                Ok(file) if hold(&file, &lock) => return Ok(Scratch { living, _lock: file }),
                Ok(_) => {}
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => {
                    let _ = std::fs::remove_dir(living.path());
                    return Err(cause);
                }
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.living.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the next run.
        let _ = remove(self.path());
    }
}

/// Removes a folder of files.
///
/// # Errors
/// Those of the system calls; also if something else than files is in it.
pub fn remove(path: &Path) -> io::Result<()> {
    empty(&open(CWD, path)?)?;
    Ok(rustix::fs::rmdir(path)?)
}

fn open(parent: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes the files in a folder, the lock at last.
fn empty(folder: &OwnedFd) -> rustix::io::Result<()> {
    for entry in Dir::read_from(folder)?.flatten() {
        if ![c".", c"..", LOCK].contains(&entry.file_name()) {
            rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(folder, LOCK, AtFlags::empty())
}

/// Removes a folder that nobody holds.
fn sweep_folder(parent: &File, name: &CStr) -> rustix::io::Result<()> {
    let folder = open(parent, name)?;
    if rustix::fs::fstat(&folder)?.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, LOCK, flags, Mode::empty()) {
        Ok(lock) => {
            try_lock(&lock)?;
            empty(&folder)?;
        }
        // Its owner died before it had made the lock, or after it had removed it; or it is no folder of ours, and not empty.
        Err(Errno::NOENT) => {}
        Err(cause) => return Err(cause),
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_goes_with_its_owner() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_path_buf();
        fs::write(path.join("0"), "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn folders_without_an_owner_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        for (name, files) in [
            ("procession-000000", &["lock", "0", "1"][..]),
            ("procession-111111", &[]),
            ("procession-222222", &["lock", "0"]),
            ("procession-333333", &["notes"]),
            ("procession-444444", &["lock"]),
            ("procession-notes", &["lock"]),
            ("elsewhere", &["0"]),
        ] {
            fs::create_dir(parent.join(name)).unwrap();
            for file in files {
                fs::write(parent.join(name).join(file), "x").unwrap();
            }
        }
        // One is held, one has something in it that no run has put there, one is but a link.
        let held = File::open(parent.join("procession-222222/lock")).unwrap();
        try_lock(&held).unwrap();
        fs::create_dir(parent.join("procession-444444/folder")).unwrap();
        std::os::unix::fs::symlink("elsewhere", parent.join("procession-555555")).unwrap();
        sweep_once(parent, NAMES, sweep_folder);
        let mut names: Vec<_> = fs::read_dir(parent).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        let stay = ["elsewhere", "procession-222222", "procession-333333", "procession-444444", "procession-555555"];
        assert_eq!(names, [&stay[..], &["procession-notes"]].concat());
        assert!(parent.join("elsewhere/0").exists() && parent.join("procession-222222/0").exists());
        assert!(parent.join("procession-333333/notes").exists());
    }
}
