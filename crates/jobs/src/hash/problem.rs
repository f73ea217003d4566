//! Why a file has no digest.

use std::io;
use std::path::Path;

use crate::TaskError;

use super::task::Done;

/// Why a file has no digest.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read.
    Io(io::Error),
    /// It is no longer the file that was planned.
    Changed,
}

impl Problem {
    /// The error of the task that met it.
    pub fn task_error(&self, path: &Path) -> TaskError {
        match self {
            Problem::Io(cause) => TaskError::io("read", path, cause),
            Problem::Changed => {
                TaskError::new(format_args!("failed to hash `{}`: it changed in the meantime", path.display()))
            }
        }
    }

    /// The result of a file of a list that met it.
    pub fn unreadable(&self, path: &Path) -> Done {
        let missing = matches!(self, Problem::Io(cause) if cause.kind() == io::ErrorKind::NotFound);
        Done::Unreadable { message: self.task_error(path).to_string(), missing }
    }
}

impl From<io::Error> for Problem {
    fn from(cause: io::Error) -> Problem {
        Problem::Io(cause)
    }
}
