//! The first call of every program: tells workers from the program itself.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use procession_os::Channel;

use crate::supervisor::{self, Role, SUPERVISOR_ARGUMENT, StartedWorker, WORKER_ARGUMENT};
use crate::{Error, ErrorKind, process, worker};

static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Makes this program able to have workers. Call it first in `main`, before threads are started, files are opened and
/// arguments are read.
///
/// Workers are this same program, started again: in a worker (and in the supervisor that starts them) this call never
/// returns. In the program itself it does next to nothing; the supervisor is started with the first pool or process,
/// or by [`forkserver::ensure_running`](crate::forkserver::ensure_running).
///
/// In tests, whose `main` belongs to the test harness, add to `Cargo.toml`:
///
/// ```toml
/// [dev-dependencies]
/// procession = { version = "0.1", features = ["ctor"] }
/// ```
///
/// Then `init` runs when a test binary is loaded, and `cargo test` and `cargo nextest` work as they are.
///
/// A program that runs with more rights than its user (set-user-ID) never becomes a worker.
///
/// # Examples
/// ```
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let pool = procession::Pool::new()?;
///     assert_eq!(pool.map(|n: u64| n * n, 1..=3)?, [1, 4, 9]);
///     Ok(())
/// }
/// ```
pub fn init() {
    // A second call (after the one before `main`) finds nothing more to do.
    if INITIALIZED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(argument), None) = (arguments.nth(1), arguments.next()) else { return };
    let Some(argument) = argument.to_str() else { return };
    if argument != SUPERVISOR_ARGUMENT && !argument.starts_with(WORKER_ARGUMENT) {
        return;
    }
    if procession_os::is_privileged() {
        refuse("a program with the set-user-ID bit cannot be a worker");
    }
    if argument == SUPERVISOR_ARGUMENT {
        supervise();
    }
    match parse_worker(&argument[WORKER_ARGUMENT.len()..]) {
        Some((role, doors, supervisor_pid, name)) => match procession_os::passed_fds(role.fd_count() + doors) {
            Ok(mut fds) => {
                let door = fds.split_off(role.fd_count()).pop();
                become_worker(StartedWorker { role, name, supervisor_pid, fds, door })
            }
            Err(e) => refuse(&format!("this is started by the program itself, not by hand ({e})")),
        },
        None => refuse("this is started by the program itself, not by hand"),
    }
}

/// Whether [`init`] was called.
///
/// # Errors
/// [`ErrorKind::NotInitialized`] if not.
pub(crate) fn check() -> Result<(), Error> {
    if INITIALIZED.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotInitialized,
        "procession::init() was not called: call it first in main (in tests, enable the feature `ctor` of procession in \
         [dev-dependencies])",
    ))
}

/// ROLE:DOORS:SUPERVISOR_PID:NAME
fn parse_worker(text: &str) -> Option<(Role, usize, i32, String)> {
    let mut parts = text.splitn(4, ':');
    let role = match parts.next()? {
        "pool" => Role::PoolWorker,
        other => Role::Process { handles: other.strip_prefix("process+")?.parse().ok()? },
    };
    let doors = parts.next()?.parse().ok().filter(|&doors| doors <= 1)?;
    Some((role, doors, parts.next()?.parse().ok()?, parts.next()?.to_string()))
}

fn supervise() -> ! {
    let served = procession_os::passed_fds(1).and_then(|mut fds| {
        let fd = fds.pop().ok_or(io::ErrorKind::NotFound)?;
        supervisor::serve(Channel::from_fd(fd)?)
    });
    match served {
        Ok(Some(worker)) => become_worker(worker),
        Ok(None) => std::process::exit(0),
        Err(e) => refuse(&format!("the supervisor cannot go on: {e}")),
    }
}

fn become_worker(started: StartedWorker) -> ! {
    let StartedWorker { role, name, supervisor_pid, fds, door } = started;
    let entered = door.map_or(Ok(()), procession_os::enter_group);
    if let Err(e) = entered.and_then(|()| procession_os::become_worker(supervisor_pid, &name)) {
        refuse(&format!("a worker cannot start: {e}"));
    }
    let ended = match role {
        Role::PoolWorker => take(fds).and_then(worker::work),
        Role::Process { .. } => process::run(fds),
    };
    match ended {
        Ok(code) => std::process::exit(code),
        Err(e) => refuse(&format!("a worker cannot go on: {e}")),
    }
}

fn take<const N: usize>(fds: Vec<OwnedFd>) -> io::Result<[OwnedFd; N]> {
    <[OwnedFd; N]>::try_from(fds).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn refuse(why: &str) -> ! {
    eprintln!("procession: {why}");
    std::process::exit(125);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_arguments_are_parsed_with_care() {
        assert_eq!(parse_worker("pool:1:12:a:b"), Some((Role::PoolWorker, 1, 12, "a:b".to_string())));
        assert_eq!(parse_worker("process+2:0:1:"), Some((Role::Process { handles: 2 }, 0, 1, String::new())));
        for bad in ["", "pool", "pool:0", "pool:0:12", "pool:0:x:y", "pool:2:1:x", "root:0:1:x", "process:0:1:x"] {
            assert_eq!(parse_worker(bad), None);
        }
        for bad in ["process+:0:1:x", "process+70000:0:1:x"] {
            assert_eq!(parse_worker(bad), None);
        }
    }
}
