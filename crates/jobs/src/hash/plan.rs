//! Makes the tasks of one input after the other, while they are pulled.

use std::fs::{self, File};
use std::io;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use crate::opened::Opened;
use crate::stamp::Stamp;
use crate::walk::{Filter, Found, Walk};
use crate::{Item, Planned};

use super::algorithm::Algorithm;
use super::list::Entry;
use super::problem::Problem;
use super::read;
use super::split::Split;
use super::task::{Done, Task};

/// The tasks of one input.
pub type Tasks = Box<dyn Iterator<Item = Planned<Task>>>;

/// Makes tasks.
#[derive(Debug, Clone, Copy)]
pub struct Planner {
    /// How large files are cut.
    pub split: Split,
    /// Whether an unusable input is a result and no failure.
    pub check: bool,
}

impl Planner {
    /// The tasks of what a walk found.
    pub fn found(self, found: Found, algorithm: Algorithm) -> Tasks {
        match found {
            Found::File { input, path, stamp, opened } => self.file(input, path, stamp, opened, algorithm),
            Found::Stream { input, path } => one(self.stream(input, path, algorithm)),
            Found::Problem { input, path, cause } => one(self.problem(input, path, &Problem::Io(cause))),
        }
    }

    /// The tasks of the file that a line of a list names.
    pub fn entry(self, input: usize, path: Arc<Path>, algorithm: Algorithm) -> Tasks {
        if path.as_os_str() == "-" {
            return one(self.stream(input, path, algorithm));
        }
        match fs::symlink_metadata(&path) {
            // By far the most frequent, and no walk is needed to tell.
            Ok(metadata) if metadata.is_file() => {
                return self.file(input, path, Stamp::of(&metadata), Opened::default(), algorithm);
            }
            // A walk would go into it.
            Ok(_) if path.is_dir() => return one(self.folder(input, path)),
            _ => {}
        }
        match Walk::new([path.to_path_buf()], Filter::default()).next() {
            Some(Found::File { path: found, stamp, opened, .. }) if found == path => {
                self.file(input, path, stamp, opened, algorithm)
            }
            Some(Found::Stream { path, .. }) => one(self.stream(input, path, algorithm)),
            Some(Found::Problem { path, cause, .. }) => one(self.problem(input, path, &Problem::Io(cause))),
            // It became a folder just now.
            Some(Found::File { .. }) | None => one(self.folder(input, path)),
        }
    }

    fn folder(self, input: usize, path: Arc<Path>) -> Planned<Task> {
        self.problem(input, path, &Problem::Io(io::ErrorKind::IsADirectory.into()))
    }

    fn file(self, input: usize, path: Arc<Path>, stamp: Stamp, opened: Opened, algorithm: Algorithm) -> Tasks {
        let bytes = stamp.bytes;
        if algorithm == Algorithm::Blake3 && self.split.cuts(bytes) {
            return self.pieces(input, path);
        }
        let item = Item { input, path: path.clone(), bytes, stamp: Some(stamp) };
        one(Planned::Task(item, Task::File { path: path.into(), algorithm, bytes, opened }))
    }

    fn pieces(self, input: usize, path: Arc<Path>) -> Tasks {
        let stamp = match fs::metadata(&path) {
            // Much shorter all of a sudden, so it is being written to.
            Ok(metadata) if !self.split.cuts(metadata.len()) => {
                return one(self.problem(input, path, &Problem::Changed));
            }
            Ok(metadata) => Stamp::of(&metadata),
            Err(cause) => return one(self.problem(input, path, &Problem::Io(cause))),
        };
        Box::new(self.split.pieces(stamp.bytes).map(move |piece| {
            let item = Item { input, path: path.clone(), bytes: piece.bytes, stamp: Some(stamp) };
            Planned::Task(item, Task::Piece { path: path.clone().into(), piece, stamp })
        }))
    }

    /// Hashes what no worker can open, here and now.
    fn stream(self, input: usize, path: Arc<Path>, algorithm: Algorithm) -> Planned<Task> {
        let hashed = match path.as_os_str() == "-" {
            true => read::stream(io::stdin().lock(), algorithm),
            false => File::open(&path).and_then(|file| read::stream(file, algorithm)),
        };
        match hashed {
            Ok((bytes, digest)) => {
                Planned::Task(Item { input, path, bytes, stamp: None }, Task::Ready(Done::File { bytes, digest }))
            }
            Err(cause) => self.problem(input, path, &Problem::Io(cause)),
        }
    }

    fn problem(self, input: usize, path: Arc<Path>, problem: &Problem) -> Planned<Task> {
        let item = Item { input, path: path.clone(), bytes: 0, stamp: None };
        match self.check {
            true => Planned::Task(item, Task::Ready(problem.unreadable(&path))),
            false => Planned::Failed(item, problem.task_error(&path)),
        }
    }
}

/// What is kept of an entry to plan it: the digests stay with the result.
pub fn entries(planner: Planner, entries: &[Entry]) -> Tasks {
    let named: Vec<_> = entries.iter().map(|entry| (entry.path.clone(), entry.algorithm)).collect();
    let numbered = named.into_iter().enumerate();
    Box::new(numbered.flat_map(move |(input, (path, algorithm))| planner.entry(input, path, algorithm)))
}

fn one(planned: Planned<Task>) -> Tasks {
    Box::new(iter::once(planned))
}
