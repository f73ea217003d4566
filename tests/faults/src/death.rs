//! Ways to die, at a moment that is noted.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bound::now_nanos;

/// How a process ends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    Kill,
    Segv,
    Abort,
    Exit,
}

impl Way {
    /// The exit code and the signal by which it is told.
    pub fn told_as(self) -> (Option<i32>, Option<i32>) {
        match self {
            Way::Kill => (None, Some(9)),
            Way::Segv => (None, Some(11)),
            Way::Abort => (None, Some(6)),
            Way::Exit => (Some(0), None),
        }
    }

    pub fn end(self) {
        match self {
            Way::Kill => raise(9),
            Way::Segv => raise(11),
            Way::Abort => std::process::abort(),
            Way::Exit => std::process::exit(0),
        }
    }
}

/// Sends a signal to the calling thread, which has had it when this returns.
pub fn raise(signal: i32) {
    // Rust's handler of SIGSEGV, which is there to find stack overflows, takes the first one, and expects that the same
    // access will fail again. Raising fails only for numbers that are no signal's.
    for _ in 0..if signal == 11 { 2 } else { 1 } {
        let _ = signal_hook::low_level::raise(signal);
    }
}

/// A death that happens once, in whichever process comes to it first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Death {
    note: PathBuf,
    pub way: Way,
}

impl Death {
    /// `folder` is one of its own.
    pub fn new(folder: &Path, way: Way) -> Death {
        Death { note: folder.join("died"), way }
    }

    /// Ends this process, if no other has died of it.
    pub fn strike(&self) {
        let Ok(mut note) = OpenOptions::new().write(true).create_new(true).open(&self.note) else { return };
        if note.write_all(&now_nanos().to_le_bytes()).is_ok() {
            drop(note);
            self.way.end();
        }
    }

    /// The moment at which it happened, if it did.
    pub fn moment(&self) -> Option<u64> {
        read_moment(&self.note)
    }
}

/// Notes this moment under a name in a folder.
pub fn note_moment(folder: &Path, name: &str) {
    let _ = std::fs::write(folder.join(name), now_nanos().to_le_bytes());
}

/// A moment that was noted.
pub fn read_moment(note: &Path) -> Option<u64> {
    Some(u64::from_le_bytes(std::fs::read(note).ok()?.try_into().ok()?))
}
