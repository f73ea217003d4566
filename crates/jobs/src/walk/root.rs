//! What a path is that was named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::stamp::Stamp;

/// A path that was named.
#[derive(Debug)]
pub(super) struct Root {
    pub path: PathBuf,
    pub kind: RootKind,
}

#[derive(Debug)]
pub(super) enum RootKind {
    File(Stamp),
    Folder,
    Stream,
    Problem(io::Error),
}

impl Root {
    pub fn of(path: PathBuf) -> Root {
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
