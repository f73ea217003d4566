//! What a process may use, and how much it and the machine have used.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

/// What getrlimit(2) caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Bytes of private memory that can be written to (RLIMIT_DATA).
    PrivateMemory,
    /// Open descriptors, by the highest number (RLIMIT_NOFILE).
    OpenFiles,
    /// Bytes of a file that is written to (RLIMIT_FSIZE).
    FileSize,
}

/// Sets the hard and the soft limit of this process, for good. A limit below is kept.
///
/// # Errors
/// Those of setrlimit(2).
pub fn limit_resource(what: Limited, value: u64) -> io::Result<()> {
    let resource = match what {
        Limited::PrivateMemory => Resource::Data,
        Limited::OpenFiles => Resource::Nofile,
        Limited::FileSize => Resource::Fsize,
    };
    let now = rustix::process::getrlimit(resource);
    let value = Some(now.maximum.map_or(value, |maximum| maximum.min(value)));
    if what == Limited::FileSize {
        // The write fails with EFBIG then, which a task can tell; the signal would end the process.
        // SAFETY: SIG_IGN installs no code.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    }
    Ok(rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })?)
}

/// Bytes of private memory that can be written to, as RLIMIT_DATA counts them.
pub fn private_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field_kib(&status, "VmData:").unwrap_or(0)
}

/// Sets the nice value of this process: from -20, the most favoured, to 19 (setpriority(2)).
///
/// # Errors
/// When that would favour it more than it may be.
pub fn set_nice(nice: i32) -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, nice)?)
}

/// Which turns at the disk a process has (ioprio_set(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// By level, from 0, the most favoured, to 7.
    BestEffort(u8),
    /// Only when nobody else wants it.
    Idle,
}

/// Sets the class of this process' input and output.
///
/// # Errors
/// Those of ioprio_set(2).
pub fn set_io_class(class: IoClass) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: libc::c_int = 13;
    let value = match class {
        IoClass::BestEffort(level) => 2 << CLASS_SHIFT | libc::c_int::from(level.min(7)),
        IoClass::Idle => 3 << CLASS_SHIFT,
    };
    // SAFETY: no memory is involved.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets this process run only on these CPUs (sched_setaffinity(2)).
///
/// # Errors
/// When it may use none of them.
pub fn set_cpus(cpus: &[usize]) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < rustix::thread::CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// User and system time that all threads of a process have used; None if there is none (clock_getcpuclockid(3)).
pub fn process_cpu_time(pid: i32) -> Option<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to memory of the right type that lives through the calls.
    let is_known = pid > 0
        && unsafe { libc::clock_getcpuclockid(pid, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0 };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    is_known.then(|| Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Memory that a process has resident, in bytes; None if there is none. Cheaper than
/// [`process_usage`](crate::process_usage).
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Memory that could be had without swapping, in bytes: MemAvailable of /proc/meminfo (proc_meminfo(5)).
pub fn available_memory_bytes() -> Option<u64> {
    field_kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Threads that run or want to, on the whole machine, without the one that asks: the fourth number of /proc/loadavg
/// (proc_loadavg(5)).
pub fn runnable_threads() -> Option<u64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let runnable: u64 = text.split(' ').nth(3)?.split('/').next()?.parse().ok()?;
    Some(runnable.saturating_sub(1))
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_processes_are_read() {
        let me = std::process::id() as i32;
        assert!(available_memory_bytes().unwrap() > 1 << 20 && runnable_threads().is_some());
        assert!(resident_bytes(me).unwrap() > 1 << 16 && private_memory_bytes() > 1 << 16);
        let before = process_cpu_time(me).unwrap();
        while process_cpu_time(me).unwrap() <= before {
            std::hint::black_box(before);
        }
        assert_eq!((process_cpu_time(0), process_cpu_time(-1), resident_bytes(-1)), (None, None, None));
        assert_eq!(field_kib("A: 1 kB\nB:  2 kB\n", "B:"), Some(2048));
        assert_eq!(field_kib("B: 99999999999999999999 kB", "B:"), None);
    }

    /// Limits are for good, so they are set in a child.
    #[test]
    fn limits_hold_in_the_process_that_sets_them() {
        crate::test_child::run("limits_hold_in_the_process_that_sets_them", || {
            limit_resource(Limited::OpenFiles, 40).unwrap();
            let files: Vec<_> = (0..40).map_while(|_| fs::File::open("/dev/null").ok()).collect();
            assert!(files.len() < 40);
            drop(files);
            limit_resource(Limited::OpenFiles, 400).unwrap();
            assert_eq!(rustix::process::getrlimit(Resource::Nofile).maximum, Some(40));
            limit_resource(Limited::FileSize, 1000).unwrap();
            let path = std::env::temp_dir().join(format!("procession-os-fsize-{}", std::process::id()));
            let error = fs::write(&path, [0; 2000]).unwrap_err();
            fs::remove_file(&path).unwrap();
            assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
            if std::env::var_os("ASAN_OPTIONS").is_none() {
                limit_resource(Limited::PrivateMemory, private_memory_bytes() + (16 << 20)).unwrap();
                assert!(Vec::<u8>::new().try_reserve_exact(64 << 20).is_err());
            } else {
                eprintln!("NOT COVERED: the address sanitizer needs memory without a limit");
            }
            set_nice(7).unwrap();
            assert_eq!(rustix::process::getpriority_process(None).unwrap(), 7);
            set_io_class(IoClass::Idle).unwrap();
            set_cpus(&[0]).unwrap();
            assert_eq!(std::thread::available_parallelism().unwrap().get(), 1);
            assert!(set_cpus(&[]).is_err());
        });
    }
}
