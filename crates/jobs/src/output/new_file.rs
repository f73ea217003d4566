//! The one writer of files: a temporary file beside the target, synced, renamed, and the folder synced.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::living::Living;
use super::lock::hold;
use super::sweep::{Names, RANDOM_CHARACTERS, sweep_file, sweep_once};
use crate::TaskError;

const NAMES: Names = Names { prefix: ".procession-", suffix: ".tmp" };
/// A sweeper may come between the creation of a file and its lock, but not as often as that.
const ATTEMPTS: usize = 100;
const BUFFER_BYTES: usize = 64 << 10;
/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Whether a new file may take the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// What exists stays, and is an error.
    Never,
    /// A file that exists is replaced.
    Allowed,
}

/// A file that appears under its name when it is whole, and not before.
///
/// Whatever happens (a full disk, an error at any step, `kill -9`), under the name is what was there before, or all of the new
/// file; and once [`NewFile::commit`] has returned, a power failure does not change that. Dropped without `commit`, it leaves
/// nothing. What a killed process leaves is `.procession-XXXXXX.tmp` beside the target; whoever writes into that folder next
/// removes it.
///
/// A replaced file's permissions are kept, but not its owner, its further names (hard links), its ACL. If the name is a
/// symbolic link, the file that it leads to is replaced, as `>` of a shell would, and the link stays.
///
/// # Examples
/// ```
/// use std::io::Write;
///
/// use procession_jobs::{NewFile, Replace};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("sums");
/// let mut file = NewFile::create(&path, Replace::Never)?;
/// file.write_all(b"whole").map_err(|cause| file.error(&cause))?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"whole");
/// # Ok::<(), procession_jobs::TaskError>(())
/// ```
#[derive(Debug)]
pub struct NewFile {
    /// As the caller names it.
    name: PathBuf,
    /// The same behind all links.
    target: PathBuf,
    replace: Replace,
    replaced: Option<Permissions>,
    folder: File,
    /// Removed when dropped.
    temporary: Temporary,
    out: BufWriter<File>,
}

impl NewFile {
    /// Begins a file. Its folder must exist, and be one that can be read and written. Removes what killed writers have left in
    /// that folder, at this process's first file there.
    ///
    /// # Errors
    /// When `path` cannot be written, or exists and may not be replaced.
    pub fn create(path: impl AsRef<Path>, replace: Replace) -> Result<NewFile, TaskError> {
        let name = path.as_ref();
        NewFile::begin(name, replace).map_err(|cause| TaskError::io("write", name, &cause))
    }

    fn begin(name: &Path, replace: Replace) -> io::Result<NewFile> {
        if replace == Replace::Never && name.symlink_metadata().is_ok() {
            return Err(exists());
        }
        if name.as_os_str().as_bytes().ends_with(b"/") {
            return Err(io::Error::other("it is a folder"));
        }
        let target = behind_links(std::path::absolute(name)?)?;
        let found = target.symlink_metadata().ok();
        match &found {
            Some(found) if found.is_dir() => return Err(io::Error::other("it is a folder")),
            Some(found) if !found.is_file() => return Err(io::Error::other("it is no regular file")),
            _ => {}
        }
        let Some(parent) = target.parent() else { return Err(io::Error::other("it is a folder")) };
        if !parent.is_dir() {
            return Err(io::Error::other("its folder does not exist"));
        }
        let folder = File::open(parent)?;
        sweep_once(parent, NAMES, sweep_file);
        let replaced = found.as_ref().map(permissions);
        // Until it is whole, nobody reads it who could not read what it replaces.
        let mode = if replaced.is_some() { 0o600 } else { 0o666 };
        let (temporary, file) = Temporary::create(parent, Permissions::from_mode(mode))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(NewFile { name: name.to_path_buf(), target, replace, replaced, folder, temporary, out })
    }

    /// An error of writing, with the file's name.
    pub fn error(&self, cause: &io::Error) -> TaskError {
        TaskError::io("write", &self.name, cause)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When that fails, and the name is what it was; or when the folder cannot be synced: then the new file is there, but may
    /// not survive a power failure.
    pub fn commit(mut self) -> Result<(), TaskError> {
        self.publish().map_err(|cause| self.error(&cause))?;
        match self.folder.sync_all() {
            // Some file systems cannot, and need not (fsync(2)).
            Err(cause) if cause.raw_os_error() != Some(Errno::INVAL.raw_os_error()) => {
                Err(TaskError::new(format_args!(
                    "failed to sync the folder of `{}`: {}; the file is there, but may not survive a power failure",
                    self.name.display(),
                    crate::describe(&cause)
                )))
            }
            _ => Ok(()),
        }
    }

    fn publish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_ref();
        // Of what is replaced in the end, not of what was there at first.
        let now = self.target.symlink_metadata().ok().filter(Metadata::is_file).as_ref().map(permissions);
        if let Some(permissions) = now.or(self.replaced.take()) {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        let (from, to) = (self.temporary.0.path(), &self.target);
        match self.replace {
            Replace::Allowed => Ok(rustix::fs::rename(from, to)?),
            Replace::Never => rename_to_free(from, to),
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The name of a temporary file; the file is unlinked when this is dropped, if it still has the name.
#[derive(Debug)]
struct Temporary(Living);

impl Temporary {
    fn create(folder: &Path, permissions: Permissions) -> io::Result<(Temporary, File)> {
        for _ in 0..ATTEMPTS {
            let mut names = tempfile::Builder::new();
            names.prefix(NAMES.prefix).suffix(NAMES.suffix).rand_bytes(RANDOM_CHARACTERS);
            let (file, path) = names.permissions(permissions.clone()).tempfile_in(folder)?.into_parts();
            if hold(&file, &path) {
                let path = path.keep().map_err(io::Error::from)?;
                return Ok((Temporary(Living::new(&path)), file));
            }
        }
        Err(Errno::AGAIN.into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has another name by now, if all went well.
        let _ = std::fs::remove_file(self.0.path());
    }
}

fn exists() -> io::Error {
    io::Error::other("it exists (--force replaces it)")
}

/// Permissions that a new file takes over: not those to run as its owner.
fn permissions(of: &Metadata) -> Permissions {
    Permissions::from_mode(of.permissions().mode() & 0o777)
}

/// Renames a file to a name that nobody has.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system, or a kernel, without that (rename(2)): a second name for the file, of which the first one goes.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::link(from, to),
        renamed => renamed,
    };
    renamed.map_err(|cause| if cause == Errno::EXIST { exists() } else { cause.into() })
}

/// The file that a path leads to, which need not exist.
fn behind_links(mut path: PathBuf) -> io::Result<PathBuf> {
    // The kernel's word on links that it does not follow, such as another user's in /tmp (proc_sys_fs(5), protected_symlinks).
    if let Err(cause) = path.metadata().map(drop)
        && ![io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&cause.kind())
    {
        return Err(cause);
    }
    for _ in 0..MAX_LINKS {
        let Ok(link) = path.read_link() else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(Errno::LOOP.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, replace: Replace, bytes: &[u8]) -> Result<(), TaskError> {
        let mut file = NewFile::create(path, replace)?;
        file.write_all(bytes).map_err(|cause| file.error(&cause))?;
        file.commit()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let mut file = NewFile::create(&path, Replace::Never).unwrap();
        file.write_all(&[1; 200_000]).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        assert!(!path.exists());
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_that_came_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let file = NewFile::create(&path, Replace::Never).unwrap();
        fs::write(&path, "another's").unwrap();
        for error in [file.commit().unwrap_err(), NewFile::create(&path, Replace::Never).unwrap_err()] {
            let expected = format!("failed to write `{}`: it exists (--force replaces it)", path.display());
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(names(folder.path()), ["new"]);
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        for (before, after) in [(0o640, 0o640), (0o444, 0o444), (0o606, 0o606), (0o4755, 0o755)] {
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            let mut file = NewFile::create(&path, Replace::Allowed).unwrap();
            assert_eq!(mode(file.temporary.0.path()), 0o600);
            file.write_all(b"new").unwrap();
            file.commit().unwrap();
            assert_eq!(mode(&path), after, "{before:o}");
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
    }

    #[test]
    fn what_links_lead_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        fs::write(at("far/file"), "old").unwrap();
        symlink("far/file", at("one")).unwrap();
        symlink("one", at("two")).unwrap();
        symlink("far/none", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for link in ["two", "dangling"] {
            assert!(write(&at(link), Replace::Never, b"new").is_err());
            write(&at(link), Replace::Allowed, b"new").unwrap();
            assert!(at(link).is_symlink());
        }
        assert!(at("one").is_symlink());
        assert_eq!(
            (fs::read(at("far/file")).unwrap(), fs::read(at("far/none")).unwrap()),
            (b"new".into(), b"new".into())
        );
        let error = NewFile::create(at("loop"), Replace::Allowed).unwrap_err().to_string();
        assert!(error.contains("loop`: too many levels of symbolic links"), "{error}");
        assert_eq!(names(&at("far")), ["file", "none"]);
    }

    #[test]
    fn what_is_no_place_for_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("folder")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        for (place, cause) in [
            ("none/x", "its folder does not exist"),
            ("file/x", "its folder does not exist"),
            ("folder", "it is a folder"),
            ("new/", "it is a folder"),
            ("fifo", "it is no regular file"),
        ] {
            let error = NewFile::create(at(place), Replace::Allowed).unwrap_err().to_string();
            assert_eq!(error, format!("failed to write `{}`: {cause}", at(place).display()));
        }
        assert_eq!(names(folder.path()), ["fifo", "file", "folder"]);
        assert!(NewFile::create("/proc/x", Replace::Never).is_err());
        assert!(NewFile::create("/", Replace::Allowed).is_err());
        assert!(NewFile::create("", Replace::Allowed).is_err());
    }

    #[test]
    fn those_who_end_the_program_leave_nothing() {
        // In a process of its own this would be all temporary files; here it must be those of this test alone.
        let folder = tempfile::tempdir().unwrap();
        let file = NewFile::create(folder.path().join("new"), Replace::Never).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        let path = file.temporary.0.path().to_path_buf();
        assert!(super::super::living::tests::has(&path));
        drop(file);
        assert!(!super::super::living::tests::has(&path));
    }
}
