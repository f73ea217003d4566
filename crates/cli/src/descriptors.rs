//! Room for open files.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setrlimit};

/// So many files may be open at a time to be handed to workers: what keeps many workers busy for some milliseconds.
const FILES_AHEAD: u64 = 4096;
/// All else may be open besides, and be on its way: several programs of one user count together there (unix(7),
/// ETOOMANYREFS).
const SHARE: u64 = 4;

/// Descriptors of a program with some workers, which are no files for them.
const OTHERS: u64 = 128;

/// Lets this process have more descriptors than the shell gives it, if it may, as processes with few are only kept from
/// select(2), which is not used here. Returns how many files it can have open at a time for its workers.
///
/// To be called while there is one thread: later the kernel makes a process wait some milliseconds whenever its table of
/// descriptors grows, for all of its threads.
pub fn make_room() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(FILES_AHEAD * SHARE);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // It is only a wish.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let files = getrlimit(Resource::Nofile).current.map_or(FILES_AHEAD, |current| FILES_AHEAD.min(current / SHARE));
    let highest = i32::try_from(files + OTHERS).unwrap_or_default();
    match fcntl_dupfd_cloexec(std::io::stderr(), highest) {
        // It is closed again; the table stays as large.
        Ok(_) => files as usize,
        Err(_) => 0,
    }
}
