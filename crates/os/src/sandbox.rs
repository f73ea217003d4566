//! A sandbox for the calling thread, and for the threads and processes that it starts: what the kernel gives, and how it
//! is put in force. It cannot be taken back.
//!
//! Landlock limits paths ([`confine_paths`]), seccomp limits system calls ([`confine_calls`]); each is a wall of its own,
//! and closes gaps of the other.

use std::io;
use std::sync::OnceLock;

use crate::sandbox_calls;
use crate::sandbox_paths;

pub use crate::sandbox_calls::confine_calls;
pub use crate::sandbox_paths::{PathGrants, confine_paths};

/// What this kernel gives a process to sandbox itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSupport {
    /// The version of Landlock's interface that the kernel and we know (landlock(7)), or why there is none.
    pub landlock: Result<u32, String>,
    /// Whether filters for system calls can be set (seccomp(2)), or why not.
    pub seccomp: Result<(), String>,
}

impl SandboxSupport {
    /// Finds out by trying, once, in a thread that ends with the sandbox that it got: containers may refuse what the
    /// kernel has.
    pub fn look() -> &'static SandboxSupport {
        static SUPPORT: OnceLock<SandboxSupport> = OnceLock::new();
        SUPPORT.get_or_init(|| {
            std::thread::Builder::new().name("sandbox".to_string()).spawn(try_both).and_then(join).unwrap_or_else(|e| {
                let why = format!("it could not be tried: {e}");
                SandboxSupport { landlock: Err(why.clone()), seccomp: Err(why) }
            })
        })
    }
}

fn try_both() -> SandboxSupport {
    SandboxSupport { landlock: sandbox_paths::try_landlock(), seccomp: sandbox_calls::try_seccomp() }
}

fn join<T>(thread: std::thread::JoinHandle<T>) -> io::Result<T> {
    thread.join().map_err(|_| io::Error::other("the thread panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_confines_nobody_who_looks() {
        let support = SandboxSupport::look();
        assert_eq!(support, SandboxSupport::look());
        assert!(std::fs::read_dir("/").is_ok() && std::process::Command::new("true").status().is_ok());
        let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
        assert_eq!(support.seccomp.is_ok(), actions.contains("errno"), "{support:?}");
    }
}
