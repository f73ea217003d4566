//! Limits on what workers use, kept by whatever keeps them here.

mod support;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use procession::{
    Clock, ErrorKind, FailureKind, IoPriority, Limits, MemoryControl, MemoryGuard, Pool, PoolBuilder, StartMethod,
};
use support::{own_pid, watched};

const CAP: u64 = 64 << 20;
const MIB: usize = 1 << 20;

/// Task: takes so many MiB, all at once or one by one, and keeps them to its end.
fn take((mebibytes, at_once): (usize, bool)) -> usize {
    let mut all = Vec::new();
    let pieces = if at_once { 1 } else { mebibytes };
    for _ in 0..pieces {
        all.push(std::hint::black_box(vec![1u8; mebibytes / pieces * MIB]));
    }
    all.iter().map(|piece| piece.iter().map(|&b| usize::from(b)).sum::<usize>()).sum::<usize>() / MIB
}

/// Every way to keep a limit on memory that there is here, with every way to start workers.
fn capped(test: impl Fn(&dyn Fn() -> PoolBuilder, &[MemoryGuard])) {
    let mut has_groups = false;
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        for control in [MemoryControl::Auto, MemoryControl::Cgroup, MemoryControl::Watchdog] {
            let limits = Limits::new().memory(CAP).memory_control(control);
            let builder = || Pool::builder().workers(2).start_method(method).limits(limits.clone());
            let guard = match builder().build() {
                Ok(pool) => pool.memory_guard().unwrap(),
                Err(e) if control == MemoryControl::Cgroup => {
                    assert!(e.kind() == ErrorKind::Start && e.to_string().contains("control group"), "{e}");
                    continue;
                }
                Err(e) => panic!("{e}"),
            };
            match guard {
                MemoryGuard::Watchdog => test(&builder, &[MemoryGuard::Watchdog, MemoryGuard::Rlimit]),
                guard => {
                    has_groups = true;
                    test(&builder, &[guard]);
                }
            }
        }
    }
    if !has_groups {
        eprintln!("NOT COVERED: no control group can be made here");
    }
}

#[test]
fn only_the_task_that_takes_too_much_ends() {
    watched("only_the_task_that_takes_too_much_ends", || {
        capped(|builder, guards| {
            let pool = builder().build().unwrap();
            let tasks = (0..40).map(|n| if n % 10 == 7 { (128, n < 20) } else { (2, true) });
            for outcome in pool.imap(take, tasks).unwrap() {
                if outcome.index % 10 != 7 {
                    assert_eq!(outcome.result, Ok(2));
                    continue;
                }
                let failure = outcome.result.unwrap_err();
                assert!(failure.is_over_memory(), "{failure}");
                let &FailureKind::OverMemory { limit_bytes, peak_bytes, guard } = failure.kind() else { continue };
                assert!(limit_bytes == CAP && guards.contains(&guard), "{failure} {guards:?}");
                // At once, the kernel refuses before anything is used.
                assert!(guard == MemoryGuard::Rlimit || peak_bytes >= CAP / 2, "{failure}");
            }
            let stats = pool.stats();
            assert_eq!((stats.done, stats.over_memory, stats.crashed), (36, 4, 0));
        });
    });
}

#[test]
fn over_memory_is_tried_again() {
    let limits = Limits::new().memory(CAP);
    let pool = Pool::builder().workers(1).limits(limits).retries(2).backoff(Duration::ZERO, Duration::ZERO);
    let pool = pool.build().unwrap();
    let failure = pool.submit(take, (128, false)).unwrap().wait().into_result().unwrap_err();
    assert!(failure.is_over_memory() && failure.attempts() == 3, "{failure}");
}

/// Task: aborts with an allocator's words, of which nothing is true.
fn pretend(_: u8) {
    eprintln!("memory allocation of 99 bytes failed");
    std::process::abort();
}

#[test]
fn an_abort_is_over_memory_only_under_a_limit() {
    let pool = Pool::builder().workers(1).build().unwrap();
    assert!(pool.submit(pretend, 0).unwrap().wait().into_result().unwrap_err().is_crash());
    assert_eq!(pool.memory_guard(), None);
}

#[test]
fn an_initializer_that_takes_too_much_ends_the_pool() {
    watched("an_initializer_that_takes_too_much_ends_the_pool", || {
        capped(|builder, _| {
            let pool = builder().initializer(take, (128, false)).build().unwrap();
            let error = pool.apply(take, (1, true)).unwrap_err();
            assert!(error.to_string().contains("memory"), "{error}");
        });
    });
}

/// Task: grows its worker for good.
fn leak(mebibytes: usize) -> u32 {
    std::mem::forget(std::hint::black_box(vec![1u8; mebibytes * MIB]));
    std::process::id()
}

#[test]
fn a_worker_above_the_mark_is_replaced_between_tasks() {
    watched("a_worker_above_the_mark_is_replaced_between_tasks", || {
        let pool = Pool::builder().workers(1).limits(Limits::new().recycle_above(CAP)).build().unwrap();
        let first = pool.apply(own_pid, ()).unwrap();
        assert_eq!(pool.apply(leak, 128).unwrap(), first);
        // The next looks find it above the mark, whatever runs by then.
        while pool.apply(own_pid, ()).unwrap() == first {}
        let stats = pool.stats();
        assert_eq!((stats.crashed, stats.failed, stats.over_memory, stats.retried), (0, 0, 0, 0));
    });
}

/// Initializer: leaves a byte in a file.
fn note(path: PathBuf) {
    File::options().append(true).create(true).open(path).unwrap().write_all(b"x").unwrap();
}

#[test]
fn a_worker_that_begins_above_the_mark_is_used_first() {
    watched("a_worker_that_begins_above_the_mark_is_used_first", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let limits = Limits::new().recycle_above(1);
        let pool = Pool::builder().workers(3).initializer(note, path.clone()).limits(limits).build().unwrap();
        pool.apply(busy, (false, 500)).unwrap();
        let starts = std::fs::metadata(&path).unwrap().len();
        // The idle two stay, and one follows the busy one.
        assert!(starts <= 4, "{starts} workers for one task");
        assert_eq!(pool.map(own_pid, [(); 20]).unwrap().len(), 20);
    });
}

/// Task: is on the CPU, or only waits, for so long.
fn busy((is_busy, millis): (bool, u64)) {
    let start = std::time::Instant::now();
    if !is_busy {
        std::thread::sleep(Duration::from_millis(millis));
    }
    while start.elapsed() < Duration::from_millis(millis) {
        std::hint::spin_loop();
    }
}

#[test]
fn cpu_time_is_counted_and_waiting_is_not() {
    watched("cpu_time_is_counted_and_waiting_is_not", || {
        let limit = Duration::from_millis(200);
        let pool = Pool::builder().workers(1).limits(Limits::new().cpu_time(limit)).build().unwrap();
        // Many tasks that use less, together more; and one that only waits.
        pool.map(busy, [(true, 20); 20]).unwrap();
        pool.apply(busy, (false, 500)).unwrap();
        let failure = pool.submit(busy, (true, 3_600_000)).unwrap().wait().into_result().unwrap_err();
        assert_eq!(*failure.kind(), FailureKind::TimedOut { limit, clock: Clock::Cpu });
        pool.apply(busy, (true, 1)).unwrap();
    });
}

/// Task: how many files it can open, and what writing a long one says.
fn try_limits(path: String) -> (usize, String, usize) {
    let files: Vec<File> = (0..100).map_while(|_| File::open("/dev/null").ok()).collect();
    let count = files.len();
    drop(files);
    let written = std::fs::write(path, [0; 5000]).map_err(|e| e.to_string());
    (count, format!("{written:?}"), std::thread::available_parallelism().map_or(0, usize::from))
}

#[test]
fn resources_are_limited() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("long").to_string_lossy().into_owned();
    let limits = Limits::new().open_files(50).file_size(4096).nice(5).io_priority(IoPriority::Idle).cpus([0]);
    let pool = Pool::builder().workers(1).limits(limits).build().unwrap();
    let (files, written, cpus) = pool.apply(try_limits, path.clone()).unwrap();
    assert!(files < 50 && cpus == 1, "{files} {cpus}");
    assert!(written.contains("File too large"), "{written}");
    assert_eq!(std::fs::metadata(path).unwrap().len(), 4096);
    // The program itself has none of them.
    assert!((0..100).map_while(|_| File::open("/dev/null").ok()).collect::<Vec<_>>().len() == 100);
}

#[test]
fn limits_that_cannot_be_set_end_the_pool_with_a_clear_error() {
    let pool = Pool::builder().workers(1).limits(Limits::new().cpus([])).build().unwrap();
    let error = pool.apply(own_pid, ()).unwrap_err().to_string();
    assert!(error.contains("could not be confined: failed to choose its CPUs"), "{error}");
}

#[test]
fn no_group_is_left_behind() {
    let groups = || -> Vec<String> {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path.to_string());
        let folder = format!("/sys/fs/cgroup/memory{}", own.unwrap_or_default());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    };
    let Ok(pool) =
        Pool::builder().workers(3).limits(Limits::new().memory(CAP).memory_control(MemoryControl::Cgroup)).build()
    else {
        eprintln!("NOT COVERED: no control group can be made here");
        return;
    };
    let pid = pool.apply(own_pid, ()).unwrap();
    if pool.memory_guard() == Some(MemoryGuard::CgroupV1) {
        let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let name = own.lines().find_map(|l| l.split_once(":memory:")?.1.rsplit_once('/')).unwrap().1.to_string();
        assert!(name.starts_with("procession-") && groups().contains(&name), "{name}");
        drop(pool);
        // The lease closes when the workers are dead; what is left of their groups goes with the next sweep.
        while groups().contains(&name) {
            std::thread::yield_now();
        }
    }
}
