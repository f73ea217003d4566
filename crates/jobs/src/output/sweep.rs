//! Removes what killed runs have left: temporary files whose lock can be had.
//!
//! Only regular files of this user are touched, and only by their own name; links are never followed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::lock::{leads_to, try_lock};

/// Random characters in the names of temporary files and folders.
pub const RANDOM_CHARACTERS: usize = 6;

/// Names of one kind of temporary files.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// How they begin.
    pub prefix: &'static str,
    /// How they end.
    pub suffix: &'static str,
}

impl Names {
    /// Whether it is such a name.
    pub fn has(self, name: &[u8]) -> bool {
        let middle = name.strip_prefix(self.prefix.as_bytes()).and_then(|n| n.strip_suffix(self.suffix.as_bytes()));
        middle.is_some_and(|m| m.len() == RANDOM_CHARACTERS && m.iter().all(u8::is_ascii_alphanumeric))
    }
}

/// Calls `sweep` with each name in a folder that is one of `names`; once per folder and process, since killed runs before
/// this one leave nothing new.
pub fn sweep_once(folder: &Path, names: Names, sweep: fn(&File, &CStr) -> rustix::io::Result<()>) {
    // By path: the number of a removed folder's inode is given to another.
    static SWEPT: Mutex<BTreeSet<(PathBuf, &str)>> = Mutex::new(BTreeSet::new());
    if !SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert((folder.to_path_buf(), names.prefix)) {
        return;
    }
    let Ok(folder) = File::open(folder) else { return };
    let Ok(entries) = Dir::read_from(&folder) else { return };
    for entry in entries.flatten().filter(|entry| names.has(entry.file_name().to_bytes())) {
        // What cannot be removed is somebody's, or is left to the next run.
        let _ = sweep(&folder, entry.file_name());
    }
}

/// Removes a temporary file that nobody holds.
///
/// # Errors
/// Those of the system calls; then it stays.
pub fn sweep_file(folder: &File, name: &CStr) -> rustix::io::Result<()> {
    let is_ours = |stat: Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == rustix::process::geteuid().as_raw()
    };
    // Twice: opening what is no file may do something, and it may have become another in between.
    if !is_ours(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?) {
        return Ok(());
    }
    // For writing: NFS locks only those (flock(2)).
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    if is_ours(rustix::fs::fstat(&file)?) {
        try_lock(&file)?;
        if leads_to(folder, name, &file) {
            rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NAMES: Names = Names { prefix: ".procession-", suffix: ".tmp" };

    #[test]
    fn only_own_names_are_swept() {
        for name in [".procession-a1B2c3.tmp", ".procession-zzzzzz.tmp"] {
            assert!(NAMES.has(name.as_bytes()), "{name}");
        }
        for name in [
            ".procession-config",
            ".procession-a1B2c.tmp",
            ".procession-a1B2c34.tmp",
            ".procession-a1-2c3.tmp",
            "procession-a1B2c3.tmp",
            "",
        ] {
            assert!(!NAMES.has(name.as_bytes()), "{name}");
        }
    }

    fn sweep(folder: &Path) {
        sweep_once(folder, NAMES, sweep_file);
    }

    #[test]
    fn what_is_held_or_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let held = File::create(at(".procession-000000.tmp")).unwrap();
        try_lock(&held).unwrap();
        fs::create_dir(at(".procession-111111.tmp")).unwrap();
        fs::write(at("linked"), "x").unwrap();
        std::os::unix::fs::symlink("linked", at(".procession-222222.tmp")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at(".procession-333333.tmp"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::write(at(".procession-444444.tmp"), "left").unwrap();
        fs::write(at(".procession-config"), "another's").unwrap();
        sweep(folder.path());
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let stay = ["000000", "111111", "222222", "333333"].map(|name| format!(".procession-{name}.tmp"));
        assert_eq!(names, [&stay[..], &[".procession-config".into(), "linked".into()]].concat());
        // Once a process: a second look would be at every file of a job.
        drop(held);
        sweep(folder.path());
        assert!(at(".procession-000000.tmp").exists());
    }

    #[test]
    fn anothers_leftovers_are_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".procession-000000.tmp");
        fs::write(&path, "").unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return; // Only root can give a file away.
        }
        sweep(folder.path());
        assert!(path.exists());
    }
}
