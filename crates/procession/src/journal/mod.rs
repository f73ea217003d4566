//! A file of what was done, so that a call that was killed can go on.

mod file;
mod format;
mod purpose;
mod recording;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use self::file::{JournalFile, Opening};
use crate::Error;

pub(crate) use self::recording::Recording;
#[cfg(fuzzing)]
pub(crate) use self::scan::fuzzing::{Found, find};

/// A file in which a call writes down the results of its tasks, so that the same call, after a crash or a kill, runs only
/// what is not there yet. [`Pool::journal`](crate::Pool::journal) uses it.
///
/// A result is recorded before the caller gets it. A task is found again by its argument, the call's context and what
/// [`identify`](Journal::identify) has added, not by its number: items may come in another order, be fewer or more. Of items
/// that are all the same each has its own record. Only results are recorded: what failed runs again, and so does what was
/// recorded but is no value of the result's type any more. Items with handles are never recorded.
///
/// A record does not tell what function made it, nor how the type of the result was defined: let `purpose` say which job
/// it is, with its arguments, and a version of your own that you raise when results change. One journal is for one
/// function; two calls at once that share one are fine if they use no [`identify`](Journal::identify).
///
/// What was recorded survives the end of the program, in whatever way it comes. It is put on the disk (fdatasync(2)) once
/// a second while the call waits for tasks, by [`flush`](Journal::flush), and when the journal is dropped: a power cut loses
/// what is younger, and that runs again. Each record has a checksum. What is cut off or damaged is dropped with all that
/// follows it.
///
/// A journal is locked (flock(2)) while it is open. It has about 50 bytes of memory for each task found, and the results
/// are read from the file when they are needed.
///
/// # Examples
/// ```
/// # procession::init();
/// # let folder = tempfile::TempDir::new().unwrap();
/// # let path = folder.path().join("squares.journal");
/// # let pool = procession::Pool::new()?;
/// use procession::Journal;
///
/// let journal = Journal::resume(&path, "squares, version 1")?;
/// assert_eq!(pool.journal(&journal).map(|n: u64| n * n, 1..=3)?, [1, 4, 9]);
/// drop(journal);
///
/// // Later, with more to do: 1, 2 and 3 are not run again.
/// let journal = Journal::resume(&path, "squares, version 1")?;
/// assert_eq!(journal.recovered(), 3);
/// for outcome in pool.journal(&journal).imap(|n: u64| n * n, 1..=4)? {
///     assert_eq!(outcome.attempts, if outcome.index < 3 { 0 } else { 1 });
/// }
/// journal.flush()?;
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Journal {
    pub(crate) file: Arc<JournalFile>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path())
            .field("recovered", &self.recovered())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Begins a journal. A file that is empty, or a journal without a record, is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`](crate::ErrorKind::Exists) if there is a file, [`ErrorKind::Busy`](crate::ErrorKind::Busy) if
    /// another program has it, [`ErrorKind::BadArgument`](crate::ErrorKind::BadArgument) for what is no regular file and
    /// for a purpose longer than 16 MiB, [`ErrorKind::Io`](crate::ErrorKind::Io) if the system refuses.
    pub fn create(path: impl AsRef<Path>, purpose: &str) -> Result<Journal, Error> {
        Journal::open(path.as_ref(), purpose, Opening::Create)
    }

    /// Goes on with a journal; begins one if there is no file, an empty one, or one whose header is not whole.
    ///
    /// # Errors
    /// As [`Journal::create`], but that there may be a journal;
    /// [`ErrorKind::OtherPurpose`](crate::ErrorKind::OtherPurpose) for one of another purpose, and
    /// [`ErrorKind::BadArgument`](crate::ErrorKind::BadArgument) for one of another version of the format and for a file
    /// that is none. Such files are left as they are.
    pub fn resume(path: impl AsRef<Path>, purpose: &str) -> Result<Journal, Error> {
        Journal::open(path.as_ref(), purpose, Opening::Resume)
    }

    /// Begins a journal, whatever file is there: its content is lost.
    ///
    /// # Errors
    /// As [`Journal::create`], but that there may be a file.
    pub fn replace(path: impl AsRef<Path>, purpose: &str) -> Result<Journal, Error> {
        Journal::open(path.as_ref(), purpose, Opening::Replace)
    }

    fn open(path: &Path, purpose: &str, opening: Opening) -> Result<Journal, Error> {
        Ok(Journal { file: Arc::new(JournalFile::open(path, purpose, opening)?) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Finished tasks that were found when it was opened.
    pub fn recovered(&self) -> u64 {
        self.file.recovered
    }

    /// Bytes that were cut off when it was opened: of a record, or a header, that was not whole or was damaged, and of
    /// what followed it.
    pub fn lost_bytes(&self) -> u64 {
        self.file.lost_bytes
    }

    /// Makes `bytes` part of the item that the call's iterator returns next: call it from there. If they are others next
    /// time (the size and the time of the last change of the file that the argument names, say) the task runs again.
    ///
    /// # Examples
    /// ```
    /// # procession::init();
    /// # let folder = tempfile::TempDir::new().unwrap();
    /// # let path = folder.path().join("lengths.journal");
    /// # let pool = procession::Pool::new()?;
    /// let journal = procession::Journal::resume(&path, "lengths, version 1")?;
    /// let files = ["Cargo.toml".to_string()].into_iter().inspect(|path| {
    ///     let changed = std::fs::metadata(path).and_then(|m| m.modified());
    ///     journal.identify(format!("{changed:?}").as_bytes());
    /// });
    /// let lengths = pool.journal(&journal).map(|path: String| std::fs::read(path).map_or(0, |b| b.len()), files)?;
    /// # assert_eq!(lengths.len(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn identify(&self, bytes: &[u8]) {
        self.file.identify(bytes);
    }

    /// Puts all that was recorded on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if that fails, or if a result could not be recorded before: the call in
    /// which that happened has ended early, and nothing is recorded any more.
    pub fn flush(&self) -> Result<(), Error> {
        self.file.sync()
    }
}
