//! Finds the files that a job was named: files, folders with all that is below them, and streams.
//!
//! ```text
//! PATH... -> Walk -> File { input, path, stamp } | Stream { input, path } | Problem { input, path, cause }
//! ```
//!
//! A walk is lazy: files come out while folders are still being read. It is sorted, so two walks of the same tree give
//! every file the same number.

mod filter;
mod folder;
mod root;

use std::io;
use std::iter::FusedIterator;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::opened::{FilesAhead, Opened};
use crate::stamp::Stamp;
pub use filter::{Filter, WalkArgs};
use folder::Folder;
use root::{Root, RootKind};

/// What a walk finds. `input` counts up from 0, in the order of the walk.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File {
        /// Number of the input.
        input: usize,
        /// The path as the user knows it.
        path: Arc<Path>,
        /// What it was at the time of the walk.
        stamp: Stamp,
        /// The file itself, if the walk opens files and has opened this one.
        opened: Opened,
    },
    /// Something named on the command line that only this process can read: `-`, a fifo, a device, an open descriptor.
    Stream {
        /// Number of the input.
        input: usize,
        /// The path as the user knows it; `-` is standard input.
        path: Arc<Path>,
    },
    /// Something that cannot be read.
    Problem {
        /// Number of the input.
        input: usize,
        /// The path as the user knows it.
        path: Arc<Path>,
        /// Why not.
        cause: io::Error,
    },
}

/// A lazy, sorted walk over the named paths.
#[derive(Debug)]
pub struct Walk {
    roots: std::vec::IntoIter<Root>,
    filter: Filter,
    /// The folders from the named one down to the one being read.
    folders: Vec<Folder>,
    /// Length of the named folder's path, to find what of a path is below it.
    root_len: usize,
    next_input: usize,
    files_ahead: FilesAhead,
}

impl Walk {
    /// A walk over `paths`. Looks at the named paths now, and below them only while it is pulled.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>, filter: Filter) -> Walk {
        let roots: Vec<Root> = paths.into_iter().map(Root::of).collect();
        Walk {
            roots: roots.into_iter(),
            filter,
            folders: Vec::new(),
            root_len: 0,
            next_input: 0,
            files_ahead: FilesAhead::default(),
        }
    }

    /// Opens small files in folders instead of only looking at them, as many as are allowed at the time.
    #[must_use]
    pub fn open_ahead(mut self, files_ahead: FilesAhead) -> Walk {
        self.files_ahead = files_ahead;
        self
    }

    /// The named files and folders, which are all that other processes need to read. Streams are not among them.
    pub fn access(&self) -> Vec<PathBuf> {
        let readable = |root: &&Root| matches!(root.kind, RootKind::File(_) | RootKind::Folder);
        self.roots.as_slice().iter().filter(readable).map(|root| root.path.clone()).collect()
    }

    /// Whether a stream was named.
    pub fn has_streams(&self) -> bool {
        self.roots.as_slice().iter().any(|root| matches!(root.kind, RootKind::Stream))
    }

    /// The next input's number.
    fn number(&mut self) -> usize {
        self.next_input += 1;
        self.next_input - 1
    }

    fn problem(&mut self, path: PathBuf, cause: io::Error) -> Found {
        Found::Problem { input: self.number(), path: path.into(), cause }
    }

    /// Goes into a folder; what was found if that is not possible.
    fn enter(&mut self, path: PathBuf) -> Option<Found> {
        match Folder::read(path, &self.filter, self.root_len) {
            Ok(folder) => {
                self.folders.push(folder);
                None
            }
            Err((path, cause)) => Some(self.problem(path, cause)),
        }
    }

    /// What a named path gives; nothing if it is a folder that can be read.
    fn start(&mut self, root: Root) -> Option<Found> {
        match root.kind {
            RootKind::File(stamp) => {
                let (path, opened) = (root.path.into(), Opened::default());
                Some(Found::File { input: self.number(), path, stamp, opened })
            }
            RootKind::Stream => Some(Found::Stream { input: self.number(), path: root.path.into() }),
            RootKind::Problem(cause) => Some(self.problem(root.path, cause)),
            RootKind::Folder => {
                self.root_len = root.path.as_os_str().len();
                self.enter(root.path)
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let Some(folder) = self.folders.last_mut() else {
                let root = self.roots.next()?;
                match self.start(root) {
                    Some(found) => return Some(found),
                    None => continue,
                }
            };
            let Some(entry) = folder.entries.next() else {
                let cut_short = folder.cut_short.take().map(|cause| (folder.path().to_path_buf(), cause));
                self.folders.pop();
                match cut_short {
                    Some((path, cause)) => return Some(self.problem(path, cause)),
                    None => continue,
                }
            };
            if entry.is_folder {
                folder.close();
                let path = folder.path_of(&entry).to_path_buf();
                match self.enter(path) {
                    Some(found) => return Some(found),
                    None => continue,
                }
            }
            let looked_up = match self.files_ahead.has_room() {
                true => folder.open(&entry),
                false => folder.look_up(&entry).map(|stat| (stat, None)),
            };
            let path = folder.path_of(&entry);
            match looked_up {
                Ok((stat, file)) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                    let (path, stamp) = (path.into(), Stamp::of_stat(&stat));
                    let opened = file.map(Opened::from).unwrap_or_default();
                    return Some(Found::File { input: self.number(), path, stamp, opened });
                }
                // Replaced by something else since the folder was read: no file any more.
                Ok(_) => continue,
                Err(cause) => {
                    let path = path.to_path_buf();
                    return Some(self.problem(path, cause));
                }
            }
        }
    }
}

impl FusedIterator for Walk {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::SMALL_BYTES;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn tree(files: &[&str]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |globs: &[&str]| globs.iter().map(|glob| glob.to_string()).collect();
        Filter::new(&WalkArgs { include: owned(include), exclude: owned(exclude) }).unwrap()
    }

    /// What a walk finds, with paths relative to `root`, and the kinds of what is no file.
    fn walk(root: &Path, paths: &[&str], filter: Filter) -> Vec<String> {
        let named: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
        let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let found: Vec<Found> = Walk::new(named, filter).collect();
        let mut lines = Vec::new();
        for (number, found) in found.into_iter().enumerate() {
            let (input, line) = match found {
                Found::File { input, path, stamp, .. } => {
                    assert_eq!(stamp, Stamp::of(&fs::metadata(&path).unwrap()));
                    (input, relative(&path))
                }
                Found::Stream { input, path } => (input, format!("stream {}", relative(&path))),
                Found::Problem { input, path, cause } => (input, format!("{:?} {}", cause.kind(), relative(&path))),
            };
            assert_eq!(input, number);
            lines.push(line);
        }
        lines
    }

    #[test]
    fn a_walk_is_sorted_by_path_and_takes_hidden_files() {
        let folder = tree(&["b/y.log", "a.log", "b.log", "b/.hidden/x", ".env", "b/a/deep/z.log", "b-c"]);
        let found = walk(folder.path(), &["b", ""], Filter::default());
        let mut below = vec![".env", "a.log", "b/.hidden/x", "b/a/deep/z.log", "b/y.log", "b-c", "b.log"];
        let mut expected = vec!["b/.hidden/x", "b/a/deep/z.log", "b/y.log"];
        expected.append(&mut below);
        assert_eq!(found, expected);
    }

    #[test]
    fn globs_choose_inside_folders_only() {
        let folder =
            tree(&["a.log", "a.txt", "sub/b.log", "sub/deep/c.log", "sub/skip/d.log", "target/e.log", "x/target"]);
        let root = folder.path();
        assert_eq!(
            walk(root, &["", "a.txt"], filter(&["*.log"], &["skip", "target/"])),
            ["a.log", "sub/b.log", "sub/deep/c.log", "a.txt"]
        );
        assert_eq!(walk(root, &[""], filter(&["sub/*.log"], &[])), ["sub/b.log"]);
        assert_eq!(walk(root, &[""], filter(&["sub/**"], &["**/deep"])), ["sub/b.log", "sub/skip/d.log"]);
        assert_eq!(walk(root, &[""], filter(&["/a.*"], &["./a.txt"])), ["a.log"]);
        assert_eq!(walk(root, &["sub"], filter(&["deep/*"], &[])), ["sub/deep/c.log"]);
        assert_eq!(walk(root, &["x"], filter(&[], &["target/"])), ["x/target"]);
        let wrong = Filter::new(&WalkArgs { include: vec!["[".into()], exclude: vec![] }).unwrap_err().to_string();
        assert!(wrong.contains("--include ["), "{wrong}");
    }

    #[test]
    fn links_are_followed_only_when_named() {
        let folder = tree(&["real/a.log"]);
        let root = folder.path();
        symlink(root.join("real"), root.join("named")).unwrap();
        symlink(root, root.join("real/loop")).unwrap();
        symlink(root.join("real/a.log"), root.join("real/link.log")).unwrap();
        symlink("itself", root.join("itself")).unwrap();
        assert_eq!(walk(root, &["named"], Filter::default()), ["named/a.log"]);
        assert_eq!(walk(root, &["real/link.log"], Filter::default()), ["real/link.log"]);
        assert_eq!(walk(root, &["itself", "gone"], Filter::default()).len(), 2);
    }

    #[test]
    fn small_files_are_opened_ahead_as_far_as_allowed() {
        let folder = tree(&["a", "b", "deep/c", "d", "e", "f"]);
        let root = folder.path();
        fs::write(root.join("large"), vec![b'x'; SMALL_BYTES as usize + 1]).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        symlink(root.join("a"), root.join("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
        let walk = |paths: Vec<PathBuf>, files_ahead: &FilesAhead| {
            Walk::new(paths, Filter::default()).open_ahead(files_ahead.clone()).map(|found| match found {
                Found::File { path, opened, stamp, .. } => {
                    let name = path.file_name().unwrap().to_str().unwrap().to_string();
                    let text = opened.take().map(|file| std::io::read_to_string(file.unwrap()).unwrap());
                    assert!(text.as_ref().is_none_or(|text| text.len() as u64 == stamp.bytes));
                    (name, text)
                }
                found => panic!("{found:?}"),
            })
        };
        let is_open = |name: &str, at: usize, found: &[(String, Option<String>)]| {
            assert_eq!(found[at].0, name);
            found[at].1.as_ref().is_some_and(|text| text.ends_with(name))
        };
        // Of other tests there are fewer.
        let found: Vec<_> = walk(vec![root.to_path_buf()], &FilesAhead::new(1000)).collect();
        assert!(["a", "b", "d"].iter().enumerate().all(|(at, name)| is_open(name, at, &found)), "{found:?}");
        // The folder above is closed by then.
        for (at, name) in ["c", "e", "empty", "f", "large"].iter().enumerate() {
            assert_eq!(is_open(name, 3 + at, &found), *name == "c", "{found:?}");
        }
        assert_eq!(found.len(), 8);
        assert!(walk(vec![root.join("a")], &FilesAhead::new(1000)).all(|(_, text)| text.is_none()), "it is named");
        let files_ahead = FilesAhead::default();
        let mut some = walk(vec![root.to_path_buf()], &files_ahead);
        assert_eq!(some.next().unwrap(), ("a".to_string(), None));
        files_ahead.set(1000);
        assert!(some.next().unwrap().1.is_some());
    }

    #[test]
    fn what_cannot_be_read_is_a_problem() {
        let folder = tree(&["a/x", "b/y", "c"]);
        let root = folder.path();
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o0)).unwrap();
        let locked = fs::read_dir(root.join("b")).is_err();
        let found = walk(root, &["gone", ""], Filter::default());
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o700)).unwrap();
        let b = if locked { "PermissionDenied b" } else { "b/y" };
        assert_eq!(found, ["NotFound gone", "a/x", b, "c"]);
    }

    #[test]
    fn files_that_vanish_on_the_way_are_problems() {
        let folder = tree(&["a", "b", "c", "d/e"]);
        let mut walk = Walk::new([folder.path().to_path_buf()], Filter::default());
        assert!(matches!(walk.next(), Some(Found::File { .. })));
        fs::remove_file(folder.path().join("b")).unwrap();
        fs::remove_dir_all(folder.path().join("d")).unwrap();
        let rest: Vec<Found> = walk.collect();
        assert!(matches!(
            rest.as_slice(),
            [Found::Problem { input: 1, .. }, Found::File { input: 2, .. }, Found::Problem { input: 3, .. }]
        ));
    }

    #[test]
    fn names_need_not_be_utf8() {
        let folder = tree(&[]);
        let name = OsStr::from_bytes(b"caf\xe9.log");
        fs::write(folder.path().join(name), "x").unwrap();
        let mut walk = Walk::new([folder.path().to_path_buf()], filter(&["*.log"], &["x/*"]));
        let Some(Found::File { path, .. }) = walk.next() else { panic!("no file") };
        assert_eq!(path.file_name(), Some(name));
    }

    #[test]
    fn special_files_are_streams_when_named_and_skipped_inside_folders() {
        let folder = tree(&["a"]);
        let root = folder.path();
        let made = std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
        assert!(made.success());
        symlink("/dev/stdin", root.join("input")).unwrap();
        let named = ["fifo", "", "/dev/null", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "input"];
        let found = walk(root, &named, Filter::default());
        assert_eq!(
            found,
            [
                "stream fifo",
                "a",
                "stream /dev/null",
                "stream /dev/stdin",
                "stream /dev/fd/0",
                "stream /proc/self/fd/0",
                "stream input"
            ]
        );
        let walk = Walk::new(["-".into(), root.to_path_buf(), root.join("fifo")], Filter::default());
        assert!(walk.has_streams());
        assert_eq!(walk.access(), [root.to_path_buf()]);
    }

    #[test]
    fn a_deep_tree_needs_no_descriptors() {
        let folder = tree(&[]);
        let mut path = folder.path().to_path_buf();
        for _ in 0..300 {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("x"), "x").unwrap();
        assert_eq!(Walk::new([folder.path().to_path_buf()], Filter::default()).count(), 1);
    }
}
