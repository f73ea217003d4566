//! Opens files to read them, and closes them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use procession_os::DeferredClose;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
/// The kernel takes no path of as many bytes (PATH_MAX in path_resolution(7), which counts the NUL).
pub const TOO_LONG_BYTES: usize = 4096;
/// For how long a folder is taken to be the one that its path names: a run may take hours.
const FOLDER_TIME: Duration = Duration::from_millis(20);
/// Larger files are closed at once: those that are kept, should they be deleted, have 2 MiB of the disk at most.
pub const SMALL_BYTES: u64 = 64 << 10;

/// Opens a file by its path. Waits for nobody at a fifo, and for whoever has a lease on a file, as file servers do, to give
/// it back.
///
/// # Errors
/// Those of open(2).
pub fn open(path: &Path) -> io::Result<File> {
    let open = |flags| retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
    let opened = match open(FLAGS | OFlags::NONBLOCK) {
        // A lease (fcntl(2), F_SETLEASE): its holder has been asked, and has 45 seconds. No fifo says so.
        Err(Errno::AGAIN) => open(FLAGS),
        opened => opened,
    };
    Ok(opened?.into())
}

/// Opens one file after the other. From the second of a folder on they are looked up there, which saves the kernel the way
/// from the root: with thousands of small files that shows.
///
/// A folder that takes the place of another is noticed soon, and at once if a file is missing in the old one.
///
/// Small files that are given back are closed together, some later: that is one call to the kernel less for each.
#[derive(Debug, Default)]
pub struct FileOpener {
    /// The folder of the last file.
    folder: Vec<u8>,
    /// The same, open, and since when.
    handle: Option<(OwnedFd, Instant)>,
    /// Files that nobody reads any more.
    closing: DeferredClose,
}

impl FileOpener {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&mut self, path: &Path) -> io::Result<File> {
        let opened = self.look_up(path);
        match opened.as_ref().map_err(Errno::from_io_error) {
            // They may be those that are kept.
            Err(Some(Errno::MFILE | Errno::NFILE)) => {
                self.closing.flush();
                self.look_up(path)
            }
            _ => opened,
        }
    }

    /// Closes a file of which `bytes` bytes were read, and nothing was written; now or, if it is small, with others.
    pub fn close(&mut self, file: File, bytes: u64) {
        if bytes <= SMALL_BYTES {
            self.closing.close(file);
        }
    }

    fn look_up(&mut self, path: &Path) -> io::Result<File> {
        let bytes = path.as_os_str().as_bytes();
        // "/name" and "name" have no way to be saved.
        let Some(slash) = bytes.iter().rposition(|&byte| byte == b'/').filter(|&slash| slash > 0) else {
            return open(path);
        };
        // From its folder it could be opened, but not as the first one there, nor by those who open it by its path.
        if bytes.len() >= TOO_LONG_BYTES {
            return open(path);
        }
        let (folder, name) = (&bytes[..slash], OsStr::from_bytes(&bytes[slash + 1..]));
        if folder != self.folder {
            self.folder.clear();
            self.folder.extend_from_slice(folder);
            if let Some((handle, _)) = self.handle.take() {
                self.closing.close(handle);
            }
            return open(path);
        }
        let now = Instant::now();
        if self.handle.as_ref().is_none_or(|(_, since)| now.duration_since(*since) > FOLDER_TIME) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(CWD, OsStr::from_bytes(folder), flags, Mode::empty());
            self.handle = opened.ok().map(|handle| (handle, now));
        }
        let found = self
            .handle
            .as_ref()
            .map(|(handle, _)| rustix::fs::openat(handle, name, FLAGS | OFlags::NONBLOCK, Mode::empty()));
        match found {
            Some(Ok(fd)) => Ok(fd.into()),
            _ => {
                self.handle = None;
                open(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    use rustix::process::{Resource, Rlimit};

    fn text(opener: &mut FileOpener, path: &Path) -> io::Result<String> {
        io::read_to_string(opener.open(path)?)
    }

    /// How often this process has a file open.
    fn opened(path: &Path) -> usize {
        let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
        entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
    }

    #[test]
    fn small_files_are_closed_later_and_others_at_once() {
        let root = tempfile::TempDir::new().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "").unwrap();
        let mut opener = FileOpener::default();
        for (bytes, left) in [(SMALL_BYTES, 1), (SMALL_BYTES + 1, 1), (0, 2)] {
            let file = opener.open(&path).unwrap();
            opener.close(file, bytes);
            assert_eq!(opened(&path), left);
        }
        for _ in 0..1000 {
            let file = opener.open(&path).unwrap();
            opener.close(file, 0);
            assert!(opened(&path) <= 32);
        }
        drop(opener);
        assert_eq!(opened(&path), 0);
    }

    /// In a process that may have few descriptors, all of which it takes.
    fn read_with_few_descriptors(folder: PathBuf) {
        let few = Rlimit { current: Some(24), maximum: Some(24) };
        rustix::process::setrlimit(Resource::Nofile, few).unwrap();
        let mut opener = FileOpener::default();
        for number in 0..100 {
            let path = folder.join((number % 4).to_string()).join("file");
            for _ in 0..3 {
                let mut file = opener.open(&path).unwrap();
                assert_eq!(io::read_to_string(&mut file).unwrap(), "text");
                opener.close(file, 4);
            }
        }
    }

    #[test]
    fn files_that_are_to_be_closed_are_in_nobodys_way() {
        let root = tempfile::TempDir::new().unwrap();
        for folder in ["0", "1", "2", "3"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("file"), "text").unwrap();
        }
        let mut process = procession::Process::spawn(read_with_few_descriptors, root.path().to_path_buf()).unwrap();
        assert!(process.join().unwrap().success());
    }

    #[test]
    fn each_path_is_the_file_that_it_names() {
        let root = tempfile::TempDir::new().unwrap();
        let names = ["a/1", "a/2", "a/3", "b/1", "a/1", "b/2", "b/1", "a/deep/1", "a/deep/2", "a/deep/3", "a/3"];
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
        }
        let mut opener = FileOpener::default();
        for name in names {
            assert_eq!(text(&mut opener, &root.path().join(name)).unwrap(), name);
        }
        // What is opened by the folder, too, and a path that has none.
        for path in [format!("{}/a//2", root.path().display()), format!("{}/a/../a/2", root.path().display())] {
            for _ in 0..3 {
                assert_eq!(text(&mut opener, Path::new(&path)).unwrap(), "a/2");
            }
        }
        for _ in 0..3 {
            assert!(opener.open(Path::new("no such file")).is_err());
            assert!(opener.open(Path::new("/")).is_ok());
        }
    }

    #[test]
    fn errors_are_those_of_the_path_and_spoil_nothing() {
        let root = tempfile::TempDir::new().unwrap();
        fs::write(root.path().join("a"), "a").unwrap();
        let mut opener = FileOpener::default();
        for _ in 0..3 {
            let missing = opener.open(&root.path().join("gone")).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            let beyond = opener.open(&root.path().join("a/b")).unwrap_err();
            assert_eq!(beyond.kind(), io::ErrorKind::NotADirectory);
            assert_eq!(text(&mut opener, &root.path().join("a")).unwrap(), "a");
        }
    }

    #[test]
    fn a_folder_that_was_replaced_is_found_by_what_it_lacks() {
        let root = tempfile::TempDir::new().unwrap();
        let (folder, aside) = (root.path().join("folder"), root.path().join("aside"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1"), "old").unwrap();
        let mut opener = FileOpener::default();
        for _ in 0..2 {
            assert_eq!(text(&mut opener, &folder.join("1")).unwrap(), "old");
        }
        fs::rename(&folder, &aside).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("2"), "new").unwrap();
        assert_eq!(text(&mut opener, &folder.join("2")).unwrap(), "new");
        assert!(opener.open(&folder.join("1")).is_err());
    }

    #[test]
    fn a_folder_that_was_replaced_by_one_of_the_same_names_is_found_after_a_while() {
        let root = tempfile::TempDir::new().unwrap();
        for folder in ["old", "new"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("1"), folder).unwrap();
        }
        let [current, next] = ["current", "next"].map(|name| root.path().join(name));
        std::os::unix::fs::symlink("old", &current).unwrap();
        let mut opener = FileOpener::default();
        for _ in 0..2 {
            assert_eq!(text(&mut opener, &current.join("1")).unwrap(), "old");
        }
        std::os::unix::fs::symlink("new", &next).unwrap();
        fs::rename(next, &current).unwrap();
        opener.handle.as_mut().unwrap().1 -= FOLDER_TIME * 2;
        assert_eq!(text(&mut opener, &current.join("1")).unwrap(), "new");
    }

    #[test]
    fn a_fifo_makes_nobody_wait() {
        let root = tempfile::TempDir::new().unwrap();
        for name in ["1", "2", "3"] {
            let fifo = root.path().join(name);
            rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        }
        let mut opener = FileOpener::default();
        for name in ["1", "2", "3"] {
            assert!(opener.open(&root.path().join(name)).is_ok());
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_so_for_every_file_of_its_folder() {
        let root = tempfile::TempDir::new().unwrap();
        let mut folder = root.path().to_path_buf();
        while folder.as_os_str().len() < 3900 {
            folder.push("d".repeat(100));
        }
        fs::create_dir_all(&folder).unwrap();
        let name_bytes = 4095 - folder.as_os_str().len() - 1;
        let [fits, long] = [name_bytes, name_bytes + 1].map(|bytes| folder.join("f".repeat(bytes)));
        fs::write(&fits, "fits").unwrap();
        let handle = rustix::fs::openat(CWD, &folder, OFlags::PATH, Mode::empty()).unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY;
        rustix::fs::openat(handle, long.file_name().unwrap(), flags, Mode::RUSR).unwrap();
        let mut opener = FileOpener::default();
        for _ in 0..3 {
            assert_eq!(opener.open(&long).unwrap_err().kind(), io::ErrorKind::InvalidFilename);
            assert_eq!(text(&mut opener, &fits).unwrap(), "fits");
        }
    }

    #[test]
    fn a_file_with_a_lease_is_opened_when_that_is_given_back() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let root = tempfile::TempDir::new().unwrap();
        let mut opener = FileOpener::default();
        // The first is opened by its path, the others from their folder.
        for name in ["1", "2", "3"] {
            let path = root.path().join(name);
            fs::write(&path, name).unwrap();
            // The kernel asks for it by a signal.
            let script = "import fcntl, signal, sys\nfile = open(sys.argv[1], 'r+')\n\
                          signal.signal(signal.SIGIO, lambda *_: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK))\n\
                          fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\nprint('held', flush=True)\nsys.stdin.read()\n";
            let mut holder = Command::new("python3");
            holder.args(["-c", script]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut holder = holder.spawn().unwrap();
            let mut said = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
            assert_eq!(said, "held\n");
            assert_eq!(text(&mut opener, &path).unwrap(), name);
            drop(holder.stdin.take());
            holder.wait().unwrap();
        }
    }
}
