//! A folder while it is walked.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::retry_on_intr;

use super::filter::Filter;
use crate::open::{SMALL_BYTES, TOO_LONG_BYTES};

/// A folder being walked.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its path, a slash, and the name of the last entry that was asked for.
    path: Vec<u8>,
    /// The length of its path, and of path and slash.
    path_len: usize,
    prefix_len: usize,
    /// The open folder, until the walk goes deeper: names are looked up in it faster than by their path.
    open: Option<Dir>,
    /// One name behind the other.
    names: Vec<u8>,
    pub entries: std::vec::IntoIter<Entry>,
    /// Why reading it ended early; told after the entries that were read.
    pub cut_short: Option<io::Error>,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Its place among the names.
    name: Range<usize>,
    pub is_folder: bool,
}

impl Folder {
    /// Reads the names in a folder, sorted. Sizes are looked up later, one by one, so that the first file of a folder
    /// need not wait for the last.
    pub fn read(path: PathBuf, filter: &Filter, root_len: usize) -> Result<Folder, (PathBuf, io::Error)> {
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

    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path[..self.path_len]))
    }

    pub fn path_of(&mut self, entry: &Entry) -> &Path {
        self.path.truncate(self.prefix_len);
        self.path.extend_from_slice(&self.names[entry.name.clone()]);
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Keeps no descriptor while folders below it are walked, so depth costs none.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// What an entry is, and the file itself if it is a small one that can be opened. One that has taken a file's place is
    /// not opened for long: a fifo waits for nobody.
    pub fn open(&mut self, entry: &Entry) -> io::Result<(Stat, Option<File>)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let opened = match self.open.as_ref().map(Dir::fd) {
            // By its path a longer one could not be opened.
            Some(Ok(folder)) if self.prefix_len + entry.name.len() < TOO_LONG_BYTES => {
                rustix::fs::openat(folder, &self.names[entry.name.clone()], flags, Mode::empty()).ok()
            }
            _ => None,
        };
        // Why it cannot be opened the worker will tell.
        let Some(file) = opened else { return self.look_up(entry).map(|stat| (stat, None)) };
        let stat = rustix::fs::fstat(&file)?;
        let is_small = (1..=SMALL_BYTES).contains(&(stat.st_size as u64));
        let is_wanted = is_small && FileType::from_raw_mode(stat.st_mode).is_file();
        Ok((stat, is_wanted.then(|| file.into())))
    }

    /// What an entry is.
    pub fn look_up(&mut self, entry: &Entry) -> io::Result<Stat> {
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
