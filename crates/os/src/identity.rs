//! Which process is it? A number alone does not tell: the kernel gives it to another process later.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

/// A process, told from a later one with the same number.
///
/// It means something only among processes of one PID namespace (pid_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its process id, below 2^22 (proc_sys_kernel_pid_max(5)).
    pub pid: u32,
    /// Differs between processes that get the same number: the low half of the inode of its pidfd where pidfds have
    /// inodes of their own (Linux 6.9, "pidfs"), else of its start time in clock ticks. 0 if that cannot be told.
    pub birth: u32,
}

/// statfs(2): the file system of pidfds (linux/magic.h, PID_FS_MAGIC).
const PID_FS_MAGIC: u64 = 0x5049_4446;

impl Identity {
    /// This process. Found out once: a process that comes from it by a fork of your own has no identity of its own.
    pub fn own() -> Identity {
        static OWN: OnceLock<Identity> = OnceLock::new();
        *OWN.get_or_init(|| {
            let pid = rustix::process::getpid();
            let birth = open(pid).ok().and_then(|pidfd| birth(pid, &pidfd));
            Identity { pid: pid.as_raw_nonzero().get() as u32, birth: birth.unwrap_or(0) }
        })
    }

    /// Whether the process can still run code. False for one that has ended and waits to be reaped.
    ///
    /// When the system does not tell (this process may not have more descriptors, or makes no such calls) it is taken
    /// to be alive as long as its number is in use.
    pub fn is_alive(self) -> bool {
        let own = Identity::own();
        if self.pid == own.pid {
            return self.birth == own.birth || self.birth == 0 || own.birth == 0;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return false };
        match open(pid) {
            Ok(pidfd) => {
                let has_ended = crate::readable(&pidfd, Some(Duration::ZERO)).unwrap_or(false);
                let is_other = self.birth != 0 && birth(pid, &pidfd).is_some_and(|birth| birth != self.birth);
                !has_ended && !is_other
            }
            // The number is no process's, or (the latter two) that of another's thread.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => false,
            Err(_) => rustix::process::test_kill_process(pid) != Err(Errno::SRCH),
        }
    }
}

fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
}

/// The kernel alone decides which of both it is, so all processes of a machine agree.
fn birth(pid: Pid, pidfd: impl AsFd) -> Option<u32> {
    if rustix::fs::fstatfs(&pidfd).ok()?.f_type as u64 == PID_FS_MAGIC {
        return Some(rustix::fs::fstat(&pidfd).ok()?.st_ino as u32);
    }
    crate::proc::start_time(pid.as_raw_nonzero().get()).map(|ticks| ticks as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pid: u32) -> Identity {
        let pid = Pid::from_raw(pid as i32).unwrap();
        Identity { pid: pid.as_raw_nonzero().get() as u32, birth: birth(pid, open(pid).unwrap()).unwrap() }
    }

    #[test]
    fn this_process_lives_and_an_earlier_one_of_its_number_does_not() {
        let own = Identity::own();
        assert_eq!(own.pid, std::process::id());
        assert_eq!(own, of(own.pid));
        assert!(own.is_alive());
        assert!(!Identity { birth: own.birth.wrapping_add(1), ..own }.is_alive() || own.birth == u32::MAX);
        assert!(Identity { birth: 0, ..own }.is_alive());
    }

    #[test]
    fn an_ended_process_is_dead_before_and_after_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = of(child.id());
        assert!(identity.is_alive());
        assert!(!Identity { birth: identity.birth ^ 1, ..identity }.is_alive());
        assert!(Identity { birth: 0, ..identity }.is_alive());
        let pidfd = crate::open_pidfd(child.id() as i32).unwrap();
        child.kill().unwrap();
        assert!(crate::readable(&pidfd, None).unwrap());
        assert!(!identity.is_alive());
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn numbers_that_are_no_process_are_dead() {
        for pid in [0, 1 << 23, u32::MAX, i32::MAX as u32] {
            assert!(!Identity { pid, birth: 0 }.is_alive(), "{pid}");
        }
        // A thread of ours has a number too; it is no process.
        let is_alive = || Identity { pid: rustix::thread::gettid().as_raw_nonzero().get() as u32, birth: 0 }.is_alive();
        assert!(!std::thread::spawn(is_alive).join().unwrap());
    }

    #[test]
    fn the_start_time_is_the_other_way_to_tell() {
        let own = std::process::id() as i32;
        assert!(crate::proc::start_time(own).unwrap() > 0);
        assert_eq!(crate::proc::start_time(own), crate::proc::start_time(own));
        assert_eq!(crate::proc::start_time(-1), None);
    }
}
