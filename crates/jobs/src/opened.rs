//! Files that the program opens while it plans, for workers that then need not.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::rc::Rc;

use procession::OpenFile;
use serde::{Deserialize, Deserializer, Serialize};

/// A file of a task that was opened with the plan, if it was. In a sandbox that is cheaper than to open it in the worker,
/// where the kernel looks at each folder above it (landlock(7)).
///
/// It may have been read before, by a worker that died: read it by [`read_at`](std::os::unix::fs::FileExt::read_at).
#[derive(Debug, Default, Serialize)]
pub struct Opened(Option<OpenFile>);

/// How many files may be open here at a time to be handed to workers. Clones are the same number, which changes while a
/// job runs.
#[derive(Debug, Clone, Default)]
pub struct FilesAhead(Rc<Cell<usize>>);

impl FilesAhead {
    /// At most `count`, from the start.
    pub fn new(count: usize) -> FilesAhead {
        FilesAhead(Rc::new(Cell::new(count)))
    }

    /// From now on at most `count`.
    pub fn set(&self, count: usize) {
        self.0.set(count);
    }

    /// Whether one more may be opened.
    pub fn has_room(&self) -> bool {
        OpenFile::count() < self.0.get()
    }
}

impl Opened {
    /// The file; none if it has to be opened.
    pub fn take(self) -> Option<io::Result<File>> {
        self.0.map(OpenFile::into_file)
    }
}

impl From<File> for Opened {
    fn from(file: File) -> Opened {
        Opened(Some(file.into()))
    }
}

/// What did not arrive, because the worker may have no more descriptors, is opened there after all.
impl<'de> Deserialize<'de> for Opened {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Opened, D::Error> {
        Ok(Opened(Option::deserialize(deserializer).unwrap_or_default()))
    }
}
