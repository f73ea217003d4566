//! The sync primitives between real processes: as arguments of processes and as contexts of pools, and when those who
//! hold them or wait for them are killed at any moment.
//!
//! `PROCESSION_SEEDS=N` runs N seeds in all (default 200), each kill test its share, `PROCESSION_SEED=S` the one that a
//! failure has printed.

mod support;

use std::fs::File;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procession::{
    Barrier, BoundedSemaphore, Condition, ErrorKind, Event, Lock, OwnerDied, Pool, Process, RLock, Semaphore,
    StartMethod,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use support::{Random, for_each_seed, raise, until, watched};

/// How a process ends that has seen what must not be.
const WRONG: i32 = 77;

fn start<A: Serialize + DeserializeOwned + 'static>(function: fn(A), argument: A) -> Process {
    Process::builder().daemon(true).spawn(function, argument).unwrap()
}

fn ends_well(mut process: Process) {
    let status = process.join().unwrap();
    assert!(status.success(), "{status}");
}

fn is_killed(process: &mut Process) -> bool {
    let status = process.join().unwrap();
    assert!(status.success() || status.signal() == Some(9), "{status}");
    status.signal().is_some()
}

/// Kills this process after so many microseconds, from a thread of its own.
fn light_fuse(micros: u64) {
    std::thread::spawn(move || {
        let since = Instant::now();
        while since.elapsed() < Duration::from_micros(micros) {
            std::thread::yield_now();
        }
        raise(9);
    });
}

/// Two numbers in a file that are the same, unless somebody was killed between them.
struct Pair(File);

impl Pair {
    fn new(path: &Path) -> Pair {
        Pair(File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap())
    }

    fn get(&self) -> (u64, u64) {
        let mut bytes = [0; 16];
        let _ = self.0.read_at(&mut bytes, 0).unwrap();
        let half = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (half(0), half(8))
    }

    fn set(&self, at: u64, n: u64) {
        self.0.write_all_at(&n.to_le_bytes(), at * 8).unwrap();
    }

    /// One more, with the lock held. Nobody else may be at it, and nobody can have died at it without a notice.
    fn add<G>(&self, guard: Result<G, OwnerDied<G>>, clear_poison: impl FnOnce()) {
        let (guard, is_lost) = match guard {
            Ok(guard) => (guard, false),
            Err(died) => (died.into_guard(), true),
        };
        let (first, second) = self.get();
        if first != second && !is_lost {
            std::process::exit(WRONG);
        }
        self.set(1, first);
        if is_lost {
            clear_poison();
        }
        self.set(0, first + 1);
        if self.get().1 != first {
            std::process::exit(WRONG);
        }
        self.set(1, first + 1);
        drop(guard);
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
enum AnyLock {
    Lock(Lock),
    RLock(RLock),
    Condition(Condition),
}

impl AnyLock {
    fn all() -> [AnyLock; 3] {
        [
            AnyLock::Lock(Lock::new().unwrap()),
            AnyLock::RLock(RLock::new().unwrap()),
            AnyLock::Condition(Condition::new().unwrap()),
        ]
    }

    fn add(&self, pair: &Pair) {
        match self {
            AnyLock::Lock(lock) => pair.add(lock.acquire(), || lock.clear_poison()),
            AnyLock::RLock(lock) => pair.add(lock.acquire(), || {
                lock.clear_poison();
                drop(lock.acquire().unwrap());
            }),
            AnyLock::Condition(lock) => pair.add(lock.acquire(), || lock.clear_poison()),
        }
    }
}

fn add((lock, path, times): (AnyLock, PathBuf, u64)) {
    let pair = Pair::new(&path);
    (0..times).for_each(|_| lock.add(&pair));
}

#[test]
fn processes_count_under_a_lock() {
    watched("processes_count_under_a_lock", || {
        for lock in AnyLock::all() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("count");
            let processes: Vec<_> = (0..3).map(|_| start(add, (lock.clone(), path.clone(), 500))).collect();
            add((lock, path.clone(), 500));
            processes.into_iter().for_each(ends_well);
            assert_eq!(Pair::new(&path).get(), (2000, 2000));
        }
    });
}

#[test]
fn a_worker_that_crashes_with_a_lock_is_told_of() {
    fn task(lock: &Lock, n: u64) -> bool {
        let guard = lock.acquire();
        if n == 5 {
            std::process::abort();
        }
        guard.is_err()
    }
    watched("a_worker_that_crashes_with_a_lock_is_told_of", || {
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            let lock = Lock::new().unwrap();
            let pool = Pool::builder().workers(3).start_method(method).build().unwrap();
            assert_eq!(pool.map_with(&lock, task, 0..5).unwrap(), [false; 5]);
            assert_eq!(pool.map_with(&lock, task, 5..6).unwrap_err().kind(), ErrorKind::Task);
            assert_eq!(pool.map_with(&lock, task, 6..10).unwrap(), [true; 4]);
            assert!(lock.is_poisoned());
            lock.clear_poison();
            assert_eq!(pool.map_with(&lock, task, 10..12).unwrap(), [false; 2]);
        }
    });
}

#[test]
fn permits_signals_and_events_go_between_processes() {
    fn work((work, done, bounded, stop): (Semaphore, Semaphore, BoundedSemaphore, Event)) {
        let permit = bounded.acquire();
        for _ in 0..100 {
            work.acquire_signal();
            done.release();
        }
        stop.wait();
        // To be kept until the end, and come back with it.
        std::mem::forget(permit);
    }
    watched("permits_signals_and_events_go_between_processes", || {
        let (input, done) = (Semaphore::new(0).unwrap(), Semaphore::new(0).unwrap());
        let (bounded, stop) = (BoundedSemaphore::new(3).unwrap(), Event::new().unwrap());
        let argument = (input.clone(), done.clone(), bounded.clone(), stop.clone());
        let processes: Vec<_> = (0..3).map(|_| start(work, argument.clone())).collect();
        (0..300).for_each(|_| input.release());
        (0..300).for_each(|_| done.acquire_signal());
        assert!(!input.try_acquire_signal() && bounded.try_acquire().is_none());
        stop.set();
        processes.into_iter().for_each(ends_well);
        let all = (bounded.acquire(), bounded.acquire(), bounded.acquire());
        drop(all);
        assert!(bounded.release().is_err());
    });
}

#[test]
fn a_condition_and_a_barrier_go_between_processes() {
    fn work((condition, barrier, path): (Condition, Barrier, PathBuf)) {
        let pair = Pair::new(&path);
        let place = barrier.wait().unwrap() as u64;
        for round in 0..50 {
            let mut guard = condition.acquire().unwrap();
            guard.wait_for(|| pair.get().0 == round * 3 + place).unwrap();
            pair.set(0, round * 3 + place + 1);
            guard.notify_all();
        }
        barrier.wait().unwrap();
    }
    watched("a_condition_and_a_barrier_go_between_processes", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turn");
        let (condition, barrier) = (Condition::new().unwrap(), Barrier::new(3).unwrap());
        let argument = (condition, barrier, path.clone());
        let processes: Vec<_> = (0..2).map(|_| start(work, argument.clone())).collect();
        work(argument);
        processes.into_iter().for_each(ends_well);
        assert_eq!(Pair::new(&path).get().0, 150);
    });
}

#[test]
fn one_that_is_killed_at_a_barrier_breaks_it() {
    fn wait(barrier: Barrier) {
        let _ = barrier.wait();
    }
    watched("one_that_is_killed_at_a_barrier_breaks_it", || {
        for is_dead_before in [true, false] {
            let barrier = Barrier::new(3).unwrap();
            let mut victim = start(wait, barrier.clone());
            until(|| (barrier.n_waiting() == 1).then_some(()));
            if is_dead_before {
                victim.kill();
                assert!(is_killed(&mut victim));
            }
            let other = start(wait, barrier.clone());
            if is_dead_before {
                assert!(barrier.wait().is_err());
            } else {
                until(|| (barrier.n_waiting() == 2).then_some(()));
                victim.kill();
                assert!(is_killed(&mut victim));
            }
            ends_well(other);
            assert!(barrier.is_broken() && barrier.wait().is_err());
            barrier.reset();
            assert_eq!(barrier.n_waiting(), 0);
        }
    });
}

/// Holders and waiters die; who comes next has the lock, and a notice if one has died between two writes.
#[test]
fn killed_at_a_lock() {
    fn work((lock, path, micros): (AnyLock, PathBuf, u64)) {
        light_fuse(micros);
        add((lock, path, u64::MAX));
    }
    for_each_seed("killed_at_a_lock", 200, |seed| {
        let random = &mut Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        let lock = AnyLock::all()[random.below(3) as usize].clone();
        let mut processes: Vec<_> =
            (0..4).map(|_| start(work, (lock.clone(), path.clone(), random.below(4000)))).collect();
        add((lock.clone(), path.clone(), 1 + random.below(30)));
        assert!(processes.iter_mut().all(is_killed));
        add((lock, path.clone(), 2));
        let (first, second) = Pair::new(&path).get();
        assert!(first == second && first > 2, "{first} {second}");
    });
}

/// Never are more within than there are permits, and all permits come back.
#[test]
fn killed_with_permits() {
    fn work((semaphore, folder, micros): (Semaphore, PathBuf, u64)) {
        light_fuse(micros);
        let mut random = Random(micros);
        loop {
            let _permit = semaphore.acquire();
            // As many names as permits, of which the kernel frees each with its process (unix(7), abstract addresses).
            let place = ["a", "b"].iter().find_map(|name| {
                let name = folder.join(name);
                let address = SocketAddr::from_abstract_name(name.as_os_str().as_encoded_bytes()).unwrap();
                UnixListener::bind_addr(&address).ok()
            });
            if place.is_none() {
                std::process::exit(WRONG);
            }
            if random.below(3) == 0 {
                std::thread::yield_now();
            }
        }
    }
    for_each_seed("killed_with_permits", 200, |seed| {
        let random = &mut Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let semaphore = Semaphore::new(2).unwrap();
        let argument = |random: &mut Random| (semaphore.clone(), folder.path().to_path_buf(), random.below(4000));
        let mut processes: Vec<_> = (0..4).map(|_| start(work, argument(random))).collect();
        for _ in 0..random.below(20) {
            drop(semaphore.acquire());
        }
        assert!(processes.iter_mut().all(is_killed));
        let both = (semaphore.acquire(), semaphore.acquire());
        assert!(semaphore.try_acquire().is_none());
        drop(both);
        assert_eq!(semaphore.available(), 2);
    });
}

/// A signal that was given for certain is there, and none that was never begun.
#[test]
fn killed_while_signalling() {
    fn work((semaphore, event, path, micros): (Semaphore, Event, PathBuf, u64)) {
        let pair = Pair::new(&path);
        light_fuse(micros);
        for n in 1.. {
            pair.set(0, n);
            semaphore.release();
            pair.set(1, n);
            event.set();
            event.clear();
        }
    }
    fn wait(event: Event) {
        event.wait();
    }
    for_each_seed("killed_while_signalling", 200, |seed| {
        let random = &mut Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let (semaphore, event) = (Semaphore::new(0).unwrap(), Event::new().unwrap());
        let waiter = start(wait, event.clone());
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let argument = |path: &PathBuf, micros| (semaphore.clone(), event.clone(), path.clone(), micros);
        let mut processes = paths.each_ref().map(|path| start(work, argument(path, random.below(3000))));
        let taken = (0..random.below(20)).filter(|_| semaphore.try_acquire_signal()).count();
        assert!(processes.iter_mut().all(is_killed));
        let given = taken as u64 + std::iter::from_fn(|| semaphore.try_acquire_signal().then_some(())).count() as u64;
        let (begun, done) = paths.iter().map(|path| Pair::new(path).get()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert!((done..=begun).contains(&given), "{done} <= {given} <= {begun}");
        event.set();
        ends_well(waiter);
    });
}

/// What the victim was notified of it does, or another gets it, or all are told that the victim died with the lock.
#[test]
fn killed_when_notified() {
    fn work((condition, ready, go, path): (Condition, Semaphore, Event, Option<(PathBuf, u64)>)) {
        let mut guard = condition.acquire().unwrap_or_else(OwnerDied::into_guard);
        if let Some((_, micros)) = path {
            std::thread::spawn(move || {
                go.wait();
                light_fuse(micros);
            });
        }
        ready.release();
        let _ = guard.wait();
        if let Some((path, _)) = path {
            File::create(path).unwrap();
        }
        drop(guard);
    }
    for_each_seed("killed_when_notified", 200, |seed| {
        let random = &mut Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let has_acted = folder.path().join("acted");
        let (condition, go, ready) = (Condition::new().unwrap(), Event::new().unwrap(), Semaphore::new(0).unwrap());
        let waiter = |fuse| {
            let process = start(work, (condition.clone(), ready.clone(), go.clone(), fuse));
            ready.acquire_signal();
            // It gives the lock back when it waits.
            drop(condition.acquire().unwrap());
            process
        };
        // The first one that waits is the first to be notified.
        let mut victim = waiter(Some((has_acted.clone(), random.below(300))));
        let mut others = [waiter(None), waiter(None)];
        let mut guard = condition.acquire().unwrap();
        go.set();
        guard.notify(1);
        drop(guard);
        if is_killed(&mut victim) && !has_acted.exists() {
            until(|| others.iter_mut().any(|other| !other.is_alive()).then_some(()));
        }
        condition.acquire().unwrap_or_else(OwnerDied::into_guard).notify_all();
        others.into_iter().for_each(ends_well);
    });
}

/// Whoever waits goes on when all are there, or is told that one has died.
#[test]
fn killed_at_a_barrier() {
    fn work((barrier, fuse): (Barrier, Option<u64>)) {
        if let Some(micros) = fuse {
            light_fuse(micros);
        }
        while barrier.wait().is_ok() {}
    }
    for_each_seed("killed_at_a_barrier", 200, |seed| {
        let random = &mut Random(seed);
        let barrier = Barrier::new(3).unwrap();
        let loyal = [None, None].map(|fuse| start(work, (barrier.clone(), fuse)));
        let mut victim = start(work, (barrier.clone(), Some(random.below(3000))));
        assert!(is_killed(&mut victim) || barrier.is_broken());
        // If it died in between of two rounds, then this is the one that the others wait for now.
        if barrier.wait().is_ok() {
            barrier.abort();
        }
        loyal.into_iter().for_each(ends_well);
        assert!(barrier.is_broken());
        barrier.reset();
        assert_eq!(barrier.n_waiting(), 0);
    });
}
