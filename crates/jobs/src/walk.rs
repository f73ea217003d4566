//! Finds the files that a job was named: files, folders with all that is below them, and streams.
//!
//! ```text
//! PATH... -> Walk -> File { input, path, stamp } | Stream { input, path } | Problem { input, path, cause }
//! ```
//!
//! A walk is lazy: files come out while folders are still being read. It is sorted, so two walks of the same tree give
//! every file the same number.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::iter::FusedIterator;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::retry_on_intr;

use crate::PlanError;
use crate::stamp::Stamp;

/// The flags that choose among the files inside folders.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WalkArgs {
    /// Inside folders, read only files that match GLOB (repeatable). A GLOB without `/` is compared with the file's
    /// name, one with `/` with its path below the named folder.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Inside folders, leave out files and whole folders that match GLOB (repeatable). `GLOB/` is for folders only.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

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
}

impl Walk {
    /// A walk over `paths`. Looks at the named paths now, and below them only while it is pulled.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>, filter: Filter) -> Walk {
        let roots: Vec<Root> = paths.into_iter().map(Root::of).collect();
        Walk { roots: roots.into_iter(), filter, folders: Vec::new(), root_len: 0, next_input: 0 }
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
            RootKind::File(stamp) => Some(Found::File { input: self.number(), path: root.path.into(), stamp }),
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
            let looked_up = folder.look_up(&entry);
            let path = folder.path_of(&entry);
            match looked_up {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                    let (path, stamp) = (path.into(), Stamp::of_stat(&stat));
                    return Some(Found::File { input: self.number(), path, stamp });
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

/// A path that was named.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    kind: RootKind,
}

#[derive(Debug)]
enum RootKind {
    File(Stamp),
    Folder,
    Stream,
    Problem(io::Error),
}

impl Root {
    fn of(path: PathBuf) -> Root {
        let kind = match fs::symlink_metadata(&path) {
            _ if path.as_os_str() == "-" => RootKind::Stream,
            // Most are: of thousands of names, one call each is what can be had. Own descriptors are links.
            Ok(meta) if meta.is_file() => RootKind::File(Stamp::of(&meta)),
            _ if is_own_descriptor(&path) => RootKind::Stream,
            _ => match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => RootKind::Folder,
                Ok(meta) if meta.is_file() => RootKind::File(Stamp::of(&meta)),
                Ok(_) => RootKind::Stream,
                Err(cause) => RootKind::Problem(cause),
            },
        };
        Root { path, kind }
    }
}

/// Whether `path` names something else in every process (`/dev/stdin`, `/dev/fd/63` of a process substitution), be it
/// through symbolic links.
fn is_own_descriptor(path: &Path) -> bool {
    // The kernel follows at most 40 links.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let own = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"].iter().any(|folder| path.starts_with(folder))
            || path.as_os_str() == "/dev/stdin"
            || path.starts_with(format!("/proc/{}/fd", std::process::id()));
        if own {
            // The folder of descriptors itself is no stream.
            return path.file_name().is_some_and(|name| name != "fd");
        }
        let Ok(target) = fs::read_link(&path) else { return false };
        path = match path.parent() {
            Some(parent) => parent.join(target),
            None => target,
        };
    }
    false
}

/// A folder being walked.
#[derive(Debug)]
struct Folder {
    /// Its path, a slash, and the name of the last entry that was asked for.
    path: Vec<u8>,
    /// The length of its path, and of path and slash.
    path_len: usize,
    prefix_len: usize,
    /// The open folder, until the walk goes deeper: names are looked up in it faster than by their path.
    open: Option<Dir>,
    /// One name behind the other.
    names: Vec<u8>,
    entries: std::vec::IntoIter<Entry>,
    /// Why reading it ended early; told after the entries that were read.
    cut_short: Option<io::Error>,
}

#[derive(Debug)]
struct Entry {
    /// Its place among the names.
    name: Range<usize>,
    is_folder: bool,
}

impl Folder {
    /// Reads the names in a folder, sorted. Sizes are looked up later, one by one, so that the first file of a folder
    /// need not wait for the last.
    fn read(path: PathBuf, filter: &Filter, root_len: usize) -> Result<Folder, (PathBuf, io::Error)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut open = match retry_on_intr(|| rustix::fs::open(&path, flags, Mode::empty())).and_then(Dir::new) {
            Ok(open) => open,
            Err(cause) => return Err((path, cause.into())),
        };
        let below = below_root(&path, root_len);
        let (mut names, mut entries) = (Vec::new(), Vec::new());
        let mut cut_short = None;
        while let Some(entry) = open.read() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(cause) => {
                    cut_short = Some(cause.into());
                    break;
                }
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Not every file system tells.
                FileType::Unknown => kind_of(&path.join(name)),
                kind => kind,
            };
            let is_folder = match kind {
                FileType::Directory if filter.takes_folder(below, name) => true,
                // One of unknown kind is a problem, or not, once it is looked up.
                FileType::RegularFile | FileType::Unknown if filter.takes_file(below, name) => false,
                _ => continue,
            };
            let begin = names.len();
            names.extend_from_slice(name.as_bytes());
            entries.push(Entry { name: begin..names.len(), is_folder });
        }
        entries.sort_unstable_by(|a, b| names[a.name.clone()].cmp(&names[b.name.clone()]));
        let mut path = path.into_os_string().into_vec();
        let path_len = path.len();
        if path.last().is_some_and(|&last| last != b'/') {
            path.push(b'/');
        }
        let prefix_len = path.len();
        Ok(Folder { path, path_len, prefix_len, open: Some(open), names, entries: entries.into_iter(), cut_short })
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path[..self.path_len]))
    }

    fn path_of(&mut self, entry: &Entry) -> &Path {
        self.path.truncate(self.prefix_len);
        self.path.extend_from_slice(&self.names[entry.name.clone()]);
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Keeps no descriptor while folders below it are walked, so depth costs none.
    fn close(&mut self) {
        self.open = None;
    }

    /// What an entry is.
    fn look_up(&mut self, entry: &Entry) -> io::Result<Stat> {
        let stat = match self.open.as_ref().map(Dir::fd) {
            Some(Ok(folder)) => rustix::fs::statat(folder, &self.names[entry.name.clone()], AtFlags::SYMLINK_NOFOLLOW),
            _ => rustix::fs::lstat(self.path_of(entry)),
        };
        Ok(stat?)
    }
}

fn kind_of(path: &Path) -> FileType {
    rustix::fs::lstat(path).map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

/// The part of `path` below the named folder, whose path is `root_len` long.
fn below_root(path: &Path, root_len: usize) -> &Path {
    let bytes = path.as_os_str().as_bytes().get(root_len..).unwrap_or_default();
    let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
    Path::new(OsStr::from_bytes(&bytes[slashes..]))
}

/// Which files and folders inside the named folders are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Option<Globs>,
    exclude: Globs,
    exclude_folders: Globs,
}

impl Filter {
    /// The filter that the flags ask for.
    ///
    /// # Errors
    /// When a glob is malformed.
    pub fn new(args: &WalkArgs) -> Result<Filter, PlanError> {
        let (folders, others): (Vec<&str>, Vec<&str>) =
            args.exclude.iter().map(String::as_str).partition(|glob| glob.len() > 1 && glob.ends_with('/'));
        let folders: Vec<&str> = folders.into_iter().map(|glob| glob.trim_end_matches('/')).collect();
        let include: Vec<&str> = args.include.iter().map(String::as_str).collect();
        Ok(Filter {
            include: if include.is_empty() { None } else { Some(Globs::new("--include", &include)?) },
            exclude: Globs::new("--exclude", &others)?,
            exclude_folders: Globs::new("--exclude", &folders)?,
        })
    }

    pub(crate) fn takes_file(&self, folder: &Path, name: &OsStr) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.matches(folder, name)) && !self.exclude.matches(folder, name)
    }

    pub(crate) fn takes_folder(&self, folder: &Path, name: &OsStr) -> bool {
        !self.exclude.matches(folder, name) && !self.exclude_folders.matches(folder, name)
    }
}

/// Globs for names, and globs for paths below the named folder.
#[derive(Debug, Clone, Default)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Globs {
    fn new(flag: &str, globs: &[&str]) -> Result<Globs, PlanError> {
        let wrong = |glob: &str, cause: &globset::Error| {
            PlanError::new(format_args!("failed to read `{flag} {glob}`: {}", cause.kind()))
        };
        let mut names = GlobSetBuilder::new();
        let mut paths = GlobSetBuilder::new();
        for glob in globs {
            let set = if glob.contains('/') { &mut paths } else { &mut names };
            // `./x` and `/x` both mean `x` right below the named folder.
            let bare = glob.strip_prefix("./").unwrap_or(glob).trim_start_matches('/');
            set.add(GlobBuilder::new(bare).literal_separator(true).build().map_err(|cause| wrong(glob, &cause))?);
        }
        let whole = globs.join(" ");
        Ok(Globs {
            names: names.build().map_err(|cause| wrong(&whole, &cause))?,
            paths: paths.build().map_err(|cause| wrong(&whole, &cause))?,
        })
    }

    fn matches(&self, folder: &Path, name: &OsStr) -> bool {
        (!self.names.is_empty() && self.names.is_match_candidate(&Candidate::new(name)))
            || (!self.paths.is_empty() && self.paths.is_match(folder.join(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
                Found::File { input, path, stamp } => {
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
