//! What this process has on the disk that must not outlive it, for those who end the program at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::scratch;

static LIVING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn living() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file's or folder's place in the list.
#[derive(Debug)]
pub struct Living(PathBuf);

impl Living {
    /// Puts an absolute path on the list, until this is dropped.
    pub fn new(path: &Path) -> Living {
        living().insert(path.to_path_buf());
        Living(path.to_path_buf())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        living().remove(&self.0);
    }
}

/// Removes the temporary files and folders of this process, for whoever ends it by
/// [`exit`](std::process::exit), which drops nothing. Those who still use them meet errors.
pub fn remove_temporaries() {
    for path in living().iter() {
        // Nobody is left who could do anything about it; the next run tries again.
        let _ = std::fs::remove_file(path).or_else(|_| scratch::remove(path));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Whether a path is on the list. Tests share the process, so none may call [`remove_temporaries`].
    pub fn has(path: &Path) -> bool {
        living().contains(path)
    }
}
