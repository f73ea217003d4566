//! Descriptors: as many at the end as at the start, and any number of others.

use std::collections::BTreeSet;
use std::fs::File;

use procession::{ErrorKind, OpenFile, Pool, Process};

use crate::support::{own_pid, raise, square, until};
use crate::{alone, part, program_after, run, watched};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn pidfds() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten().flat_map(|fd| std::fs::read_link(fd.path()));
    links.filter(|link| link.to_string_lossy().contains("pidfd")).count()
}

fn shared_memory_files() -> Vec<String> {
    let Ok(files) = std::fs::read_dir("/dev/shm") else { return Vec::new() };
    files.map(|f| f.unwrap().file_name().into_string().unwrap()).filter(|name| name.contains("procession")).collect()
}

#[test]
fn tasks_that_wait_take_none() {
    alone("descriptors::tasks_that_wait_take_none", || {
        let pool = Pool::builder().workers(2).build().unwrap();
        pool.map(square, 0..100).unwrap();
        // The supervisor has told of both workers.
        let before = until(|| (pidfds() == 2).then(open_descriptors));
        let tasks: Vec<_> = (0..100_000).map(|n| pool.submit(square, n).unwrap()).collect();
        assert_eq!(open_descriptors(), before);
        for (n, task) in (0..).zip(tasks) {
            assert_eq!(task.wait().result, Ok(n * n));
        }
        assert_eq!(open_descriptors(), before);
    });
}

/// Descriptors of a program that has a supervisor and nothing else.
fn descriptors_at_rest() -> usize {
    drop(Pool::builder().workers(1).build().unwrap());
    open_descriptors()
}

#[test]
fn workers_that_come_and_go_leave_none() {
    alone("descriptors::workers_that_come_and_go_leave_none", || {
        let before = descriptors_at_rest();
        let recycling = Pool::builder().workers(2).max_tasks_per_worker(1).build().unwrap();
        let pids: BTreeSet<u32> = recycling.map(own_pid, [(); 2000]).unwrap().into_iter().collect();
        assert!(pids.len() > 1000, "numbers of processes come round again, but not that soon: {}", pids.len());
        let crashing = Pool::builder().workers(2).build().unwrap();
        for _ in 0..200 {
            crashing.apply(|()| raise(9), ()).unwrap_err();
        }
        // For two workers each, and for two pools: no more than that is open now.
        assert!(open_descriptors() <= before + 2 * (2 * 4 + 8), "{} of {before}", open_descriptors());
        assert!(shared_memory_files().is_empty());
        drop((recycling, crashing));
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn pools_and_processes_leave_none() {
    alone("descriptors::pools_and_processes_leave_none", || {
        let before = descriptors_at_rest();
        for round in 0..50 {
            let pool = Pool::builder().workers(2).build().unwrap();
            if round % 2 == 0 {
                pool.map(square, 0..10).unwrap();
                pool.join();
            }
            Process::spawn(|()| (), ()).unwrap().join().unwrap();
        }
        assert_eq!(open_descriptors(), before);
        assert!(shared_memory_files().is_empty());
    });
}

#[test]
fn files_on_their_way_are_closed_with_their_tasks() {
    alone("descriptors::files_on_their_way_are_closed_with_their_tasks", || {
        let before = descriptors_at_rest();
        let pool = Pool::builder().workers(2).retries(1).build().unwrap();
        let open = || OpenFile::from(File::open("/proc/self/stat").unwrap());
        for chunk_size in [1, 10, 300] {
            let run = |(n, file): (u64, OpenFile)| {
                if n % 50 == 49 {
                    raise(9);
                }
                (n, file.into_file().is_ok())
            };
            let items = (0..300).map(|n| (n, open()));
            let outcomes: Vec<_> = pool.chunk_size(chunk_size).imap_unordered(run, items).unwrap().collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_done()).count(), 294);
            assert_eq!(OpenFile::count(), 0);
        }
        // Most of these are given up.
        assert_eq!(pool.imap(|_: OpenFile| (), (0..100).map(|_| open())).unwrap().take(3).count(), 3);
        drop(pool);
        assert_eq!(OpenFile::count(), 0);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_worker_closes_files_that_nobody_takes() {
    alone("descriptors::a_worker_closes_files_that_nobody_takes", || {
        let pool = Pool::builder().workers(1).build().unwrap();
        let open = || OpenFile::from(File::open("/proc/self/stat").unwrap());
        let count = |()| open_descriptors();
        let before = pool.apply(count, ()).unwrap();
        // Not even decoded: what is missing is told before.
        let ignored = pool.chunk_size(50).map(|(_, n): (Vec<OpenFile>, u64)| n, (0..200).map(|n| (vec![open()], n)));
        assert_eq!(ignored.unwrap().len(), 200);
        let panicking = pool.chunk_size(20).map(|_: OpenFile| panic!("no"), (0..40).map(|_| open()));
        assert!(panicking.map(|all: Vec<()>| all).is_err());
        assert_eq!(pool.apply(count, ()).unwrap(), before);
    });
}

#[test]
fn a_program_may_have_many_of_its_own() {
    alone("descriptors::a_program_may_have_many_of_its_own", || {
        let many: Vec<File> = (0..600).map(|_| File::open("/dev/null").unwrap()).collect();
        let pool = Pool::builder().workers(2).build().unwrap();
        assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
        let seen = pool.apply(|()| std::fs::read_dir("/proc/self/fd").unwrap().count(), ()).unwrap();
        assert!(seen < 20, "a worker has {seen} descriptors");
        assert!(Process::spawn(|()| (), ()).unwrap().join().unwrap().success());
        drop(many);
    });
}

#[test]
fn a_lack_of_them_is_an_error_and_harms_no_other() {
    const NAME: &str = "descriptors::a_lack_of_them_is_an_error_and_harms_no_other";
    if part().is_none() {
        return crate::watched(NAME, || drop(run(program_after("ulimit -n 64", NAME, "alone"))));
    }
    crate::watched(NAME, || {
        let pool = Pool::builder().workers(2).build().unwrap();
        let pids = || pool.stats().workers.iter().map(|w| w.pid).collect::<Vec<_>>();
        let before = until(|| Some(pids()).filter(|pids| pids.len() == 2));
        let mut others = Vec::new();
        let error = loop {
            match Pool::builder().workers(2).build() {
                Ok(pool) => others.push(pool),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), ErrorKind::Start | ErrorKind::Broken), "{error}");
        assert!(error.to_string().contains("Too many open files"), "{error}");
        let rest: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert_eq!(Process::spawn(|()| (), ()).unwrap_err().kind(), ErrorKind::Start);
        assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
        drop((rest, others));
        assert_eq!(pids(), before, "the workers of the other pool are the same as before");
        let again = Pool::builder().workers(2).build().unwrap();
        assert_eq!(again.map(square, 0..100).unwrap().len(), 100);
    });
}

#[test]
fn a_pool_with_too_many_workers_makes_do_with_fewer() {
    const NAME: &str = "descriptors::a_pool_with_too_many_workers_makes_do_with_fewer";
    if part().is_none() {
        return crate::watched(NAME, || drop(run(program_after("ulimit -n 64", NAME, "alone"))));
    }
    crate::watched(NAME, || {
        for workers in [15, 20, 25, 30, 35, 40] {
            let pool = Pool::builder().workers(workers).build().unwrap();
            for _ in 0..20 {
                assert_eq!(pool.chunk_size(1).map(square, 0..200).unwrap().len(), 200);
            }
        }
        let error = Pool::builder().workers(100).build().unwrap_err().to_string();
        assert!(error.contains("ulimit -n"), "{error}");
    });
}

/// Beyond that limit ftruncate(2) would end the program (SIGXFSZ).
#[test]
fn a_limit_of_file_sizes_is_an_error() {
    let name = "descriptors::a_limit_of_file_sizes_is_an_error";
    let test = || {
        let error = procession::Queue::<u64>::unbounded().unwrap_err();
        assert!(error.kind() == ErrorKind::Create && error.to_string().contains("max_bytes"), "{error}");
        assert_eq!(procession::SharedBuffer::<u8>::zeroed(1 << 30).unwrap_err().kind(), ErrorKind::Create);
        let queue = procession::Queue::builder().max_bytes(1 << 20).build().unwrap();
        queue.put(7).unwrap();
        assert_eq!(queue.get().unwrap(), 7);
    };
    watched(
        name,
        || if part().is_some() { test() } else { drop(run(program_after("ulimit -f 100000", name, "alone"))) },
    );
}
