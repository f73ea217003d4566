//! What the machine has, as the kernel tells it: for whoever wants to know before anything runs.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Resource, getrlimit};

/// How many CPUs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCounts {
    /// Those that are on; None where the kernel does not tell.
    pub online: Option<usize>,
    /// Those that this process may run on (sched_getaffinity(2)).
    pub allowed: usize,
    /// Those that it may use at once: as many as `allowed`, or what the quota of its control group gives time for.
    pub usable: usize,
}

impl CpuCounts {
    /// Counts them.
    pub fn look() -> CpuCounts {
        let usable = std::thread::available_parallelism().map_or(1, usize::from);
        let allowed = rustix::thread::sched_getaffinity(None).map_or(usable, |set| set.count() as usize);
        let online = fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|list| count_list(&list));
        CpuCounts { online, allowed, usable }
    }
}

/// How many numbers a list such as `0-3,8` names (cpuset(7)).
fn count_list(list: &str) -> Option<usize> {
    list.trim().split(',').try_fold(0usize, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The memory of the machine, in bytes: MemTotal of /proc/meminfo (proc_meminfo(5)).
pub fn total_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limits of this process (getrlimit(2)); None is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Open files: RLIMIT_NOFILE.
    pub open_files: Option<u64>,
    /// Processes and threads of this user: RLIMIT_NPROC.
    pub processes: Option<u64>,
    /// Bytes of a file: RLIMIT_FSIZE.
    pub file_bytes: Option<u64>,
    /// Bytes of address space: RLIMIT_AS.
    pub address_space_bytes: Option<u64>,
    /// Bytes of a core file: RLIMIT_CORE.
    pub core_bytes: Option<u64>,
}

impl ResourceLimits {
    /// Reads them.
    pub fn look() -> ResourceLimits {
        let soft = |resource| getrlimit(resource).current;
        ResourceLimits {
            open_files: soft(Resource::Nofile),
            processes: soft(Resource::Nproc),
            file_bytes: soft(Resource::Fsize),
            address_space_bytes: soft(Resource::As),
            core_bytes: soft(Resource::Core),
        }
    }
}

/// Whether memory can be made that has no name and cannot shrink any more (memfd_create(2), F_SEAL_SHRINK).
///
/// # Errors
/// Those of the two.
pub fn try_sealed_memory() -> io::Result<()> {
    let fd = rustix::fs::memfd_create("procession-try", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&fd, 4096)?;
    Ok(rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?)
}

/// Size and free space of the file system at `path`, in bytes.
///
/// # Errors
/// Those of statvfs(3).
pub fn space_bytes(path: &Path) -> io::Result<(u64, u64)> {
    let system = rustix::fs::statvfs(path)?;
    Ok((system.f_blocks.saturating_mul(system.f_frsize), system.f_bavail.saturating_mul(system.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_counted() {
        for (list, expected) in [("0\n", Some(1)), ("0-3,8,10-11\n", Some(7)), ("", None), ("3-1", None), ("x", None)] {
            assert_eq!(count_list(list), expected, "{list}");
        }
        assert_eq!(count_list(&format!("0-{}", usize::MAX)), None);
    }

    #[test]
    fn this_machine_has_something_of_all() {
        let cpus = CpuCounts::look();
        assert!(cpus.usable >= 1 && cpus.usable <= cpus.allowed && cpus.online.is_none_or(|all| all >= cpus.allowed));
        assert!(total_memory_bytes().unwrap() > crate::available_memory_bytes().unwrap());
        assert!(ResourceLimits::look().open_files.is_none_or(|files| files > 3));
        try_sealed_memory().unwrap();
        let (size, free) = space_bytes(Path::new("/")).unwrap();
        assert!(size >= free);
        assert!(space_bytes(Path::new("/no/such/path")).is_err());
    }
}
