//! Open files as arguments.

use std::fs::File;
use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::{self, Descriptor};

/// A file that is open here, on its way to a task: the worker needs no path, and no right to open anything.
///
/// It can be an argument, or a field of one, of a task of a [`Pool`](crate::Pool) or of a [`Process`](crate::Process), and
/// can be sent through a [`Pipe`](crate::Pipe). Unlike ends of pipes, files travel with other items in one chunk, and wait in
/// a worker's queue like any item: up to 250 in a chunk.
///
/// The worker's file is the program's: they share the place where the next read begins (open(2), "open file
/// description"). A task that may be tried again, and tasks that get clones of one file, do best to say where they read
/// ([`FileExt::read_at`](std::os::unix::fs::FileExt::read_at)).
///
/// Until its task has ended, or all of a chunk, a file stays open in the program too, and counts there towards
/// RLIMIT_NOFILE (`ulimit -n`), and so does each that a worker has not received yet. [`OpenFile::count`] helps to stay below.
/// Whoever opens hundreds should know that a program with several threads waits some milliseconds whenever its table of
/// descriptors has to grow: once at the start, while there is one thread, it is free.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession::{OpenFile, Pool, Sandbox};
/// use std::fs::File;
/// use std::io::{Error, read_to_string};
///
/// fn count_lines(file: OpenFile) -> Result<usize, Error> {
///     Ok(read_to_string(file.into_file()?)?.lines().count())
/// }
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("lines");
/// # std::fs::write(&path, "1\n2\n")?;
/// // The workers may open nothing at all.
/// let pool = Pool::builder().workers(1).sandbox(Sandbox::compute()).build()?;
/// let file = OpenFile::from(File::open(path)?);
/// let lines: Vec<_> = pool.try_imap_unordered(count_lines, [file])?.map(|outcome| outcome.result).collect();
/// assert_eq!(lines.into_iter().collect::<Result<Vec<usize>, _>>()?, [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenFile(Descriptor);

impl OpenFile {
    /// How many this process has open, with those in arguments of tasks that have not ended. Clones count as one.
    pub fn count() -> usize {
        handle::open_files()
    }

    /// The file itself; a copy of its descriptor if there are clones.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn into_file(self) -> io::Result<File> {
        self.0.into_fd().map(File::from)
    }
}

impl From<File> for OpenFile {
    fn from(file: File) -> OpenFile {
        OpenFile(Descriptor::of_file(file.into()))
    }
}

impl Serialize for OpenFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OpenFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OpenFile, D::Error> {
        let fd = Descriptor::deserialize(deserializer)?.into_fd();
        fd.map(|fd| OpenFile(Descriptor::of_file(fd))).map_err(serde::de::Error::custom)
    }
}
