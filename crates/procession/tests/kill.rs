//! Workers that die at any moment: by their own hand before, in and after a task, and from outside while they start, wait,
//! run, and stream. Every task still gets exactly one outcome, in order where that was asked for, and nothing hangs.
//!
//! Each seed makes one pool and a few calls. `PROCESSION_SEEDS=N` runs N of them in all (default 200), each test its share,
//! `PROCESSION_SEED=S` the one that a failure has printed.

mod support;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use procession::{ErrorKind, Failure, FailureKind, Outcome, Pool, PoolBuilder, StartMethod};
use support::{Random, raise};

/// A task: how much it carries, and how its worker ends.
type Item = (u64, Vec<u8>, End);

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
enum End {
    No,
    Exit,
    Abort,
    Signal(i32),
    /// Soon after the task is done, from another thread, after so many microseconds: as a rule in the middle of its
    /// result, or of the next task.
    Later(u64),
    /// In the middle of the result.
    Encoding,
    Panic,
}

/// A result: it repeats what it got. Its worker may end while it is encoded.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct Echo {
    n: u64,
    pid: u32,
    bytes: Vec<u8>,
    #[serde(default)]
    ends: bool,
}

impl serde::Serialize for Echo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(4)?;
        tuple.serialize_element(&(self.n, self.pid))?;
        tuple.serialize_element(&self.bytes)?;
        if self.ends {
            raise(9);
        }
        tuple.serialize_element(&false)?;
        tuple.end()
    }
}

fn run((n, bytes, end): Item) -> Echo {
    match end {
        End::No | End::Encoding => {}
        End::Exit => std::process::exit(0),
        End::Abort => std::process::abort(),
        End::Signal(signal) => raise(signal),
        End::Later(micros) => {
            std::thread::spawn(move || {
                spin(Duration::from_micros(micros));
                raise(9);
            });
        }
        End::Panic => panic!("as planned"),
    }
    Echo { n, pid: std::process::id(), bytes, ends: end == End::Encoding }
}

fn spin(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn random_end(random: &mut Random) -> End {
    match random.below(60) {
        0 => End::Exit,
        1 => End::Abort,
        2 => End::Signal(9),
        3 => End::Signal(11),
        4 | 5 => End::Later(random.below(2000)),
        6 => End::Encoding,
        7 => End::Panic,
        _ => End::No,
    }
}

fn item(random: &mut Random, n: u64, end: End) -> Item {
    // Most are small, some do not fit into a ring.
    let len = match random.below(40) {
        0 => random.below(400_000),
        1 => random.below(70_000),
        _ => random.below(50),
    };
    (n, vec![n as u8; len as usize], end)
}

/// What has come of one call: which outcomes, and which of them it had to be.
struct Ledger {
    items: Vec<Item>,
    seen: Vec<Option<Result<Echo, Failure>>>,
    /// Deaths by the call's own hand of which its outcomes do not tell.
    untold: u64,
}

impl Ledger {
    fn new(items: Vec<Item>) -> Ledger {
        Ledger { seen: items.iter().map(|_| None).collect(), items, untold: 0 }
    }

    fn add(&mut self, outcome: Outcome<Echo>) {
        let slot = &mut self.seen[outcome.index];
        assert!(slot.is_none(), "item {} has a second outcome", outcome.index);
        if let Err(failure) = &outcome.result {
            assert_eq!((failure.index(), failure.attempts()), (outcome.index, outcome.attempts));
        }
        *slot = Some(outcome.result);
    }

    /// Checks all outcomes; returns how many workers ended by their own hand for certain, and how many crashes were told.
    fn close(self) -> Crashes {
        let mut crashes = Crashes { told: 0, possible: self.untold };
        for ((n, bytes, end), seen) in self.items.into_iter().zip(self.seen) {
            let result = seen.unwrap_or_else(|| panic!("item {n} has no outcome"));
            match (&result, end) {
                (Ok(echo), End::No | End::Later(_)) => {
                    assert!(echo.n == n && echo.bytes == bytes, "item {n} was changed")
                }
                (Err(failure), End::Panic) if failure.is_panic() => {}
                (Err(failure), _) if failure.is_crash() || failure.is_timeout() => crashes.told += 1,
                _ => panic!("item {n}, which was to end with {end:?}, has {result:?}"),
            }
            if !matches!(end, End::No | End::Panic) {
                crashes.possible += 1;
            }
            if let (Err(failure), false) = (result, matches!(end, End::Later(_))) {
                check_crash(&failure, end);
            }
        }
        crashes
    }
}

/// A task that ends its worker is told as ended that way, or from outside.
fn check_crash(failure: &Failure, end: End) {
    let FailureKind::Crashed { exit_code, signal, .. } = failure.kind() else { return };
    let want = match end {
        End::No | End::Later(_) | End::Panic => (None, Some(9)),
        End::Exit => (Some(0), None),
        End::Abort => (None, Some(6)),
        End::Signal(signal) => (None, Some(signal)),
        End::Encoding => (None, Some(9)),
    };
    // The SIGKILL may be one from outside, or one that an earlier item has left behind.
    assert!((*exit_code, *signal) == want || *signal == Some(9), "{end:?} was told as {failure:?}");
}

#[derive(Debug, Default, Clone, Copy)]
struct Crashes {
    told: u64,
    /// Deaths that the calls have caused themselves.
    possible: u64,
}

/// One call of a random kind.
fn call(pool: &Pool, random: &mut Random, has_ends: bool) -> Ledger {
    let count = [1, 7, 40, 200][random.below(4) as usize];
    let items: Vec<Item> = (0..count)
        .map(|n| {
            let end = if has_ends { random_end(random) } else { End::No };
            item(random, n, end)
        })
        .collect();
    let mut ledger = Ledger::new(items.clone());
    let calls = pool.chunk_size(1 + random.below(50) as usize);
    let sized = random.below(2) == 0;
    match random.below(4) {
        0 => {
            let stream = if sized { calls.imap(run, items) } else { pool.imap(run, items) }.unwrap();
            for (n, outcome) in stream.enumerate() {
                assert_eq!(outcome.index, n, "out of order");
                ledger.add(outcome);
            }
        }
        1 => {
            let stream = if sized { calls.imap_unordered(run, items) } else { pool.imap_unordered(run, items) };
            stream.unwrap().for_each(|outcome| ledger.add(outcome));
        }
        2 => {
            let tasks: Vec<_> = items.into_iter().map(|item| pool.submit(run, item).unwrap()).collect();
            for (index, task) in tasks.into_iter().enumerate() {
                // Its own call has one item, number 0.
                let outcome = task.wait();
                let failure = outcome.failure().cloned();
                assert!(outcome.index == 0 && failure.is_none_or(|f| f.index() == 0));
                let seen = &mut ledger.seen[index];
                assert!(seen.is_none());
                *seen = Some(outcome.result);
            }
        }
        _ => {
            // All results or the first failure: which the others cannot tell, so their outcomes are made up.
            match pool.map(run, items.clone()) {
                Ok(results) => {
                    assert_eq!(results.len(), items.len());
                    ledger.seen = results.into_iter().map(|echo| Some(Ok(echo))).collect();
                }
                Err(error) => {
                    let failure = error.failure().unwrap_or_else(|| panic!("{error}")).clone();
                    let first = items
                        .iter()
                        .position(|i| matches!(i.2, End::Exit | End::Abort | End::Panic))
                        .unwrap_or(items.len());
                    assert!(failure.index() <= first, "there was an earlier failure than {failure:?}");
                    let (_, _, end) = items[failure.index()];
                    if end == End::Panic {
                        assert!(failure.is_panic() || failure.is_crash())
                    } else {
                        check_crash(&failure, end)
                    }
                    // One that ends its worker a moment later may hit a task of the next call.
                    ledger = Ledger::new(Vec::new());
                    ledger.untold = items.iter().filter(|i| !matches!(i.2, End::No | End::Panic)).count() as u64;
                }
            }
        }
    }
    ledger
}

fn random_pool(random: &mut Random, range: Range<u64>) -> PoolBuilder {
    let workers = range.start + random.below(range.end - range.start);
    let method = if random.below(8) == 0 { StartMethod::Spawn } else { StartMethod::ForkServer };
    let pool = Pool::builder().workers(workers as usize).start_method(method).backoff(Duration::ZERO, Duration::ZERO);
    if random.below(4) == 0 { pool.max_tasks_per_worker(1 + random.below(30)) } else { pool }
}

/// Tells threads that make trouble to end, even if the test has failed.
#[derive(Default)]
struct Stop(AtomicBool);

impl Stop {
    fn at_the_end(&self) -> impl Drop + use<'_> {
        struct Whistle<'a>(&'a Stop);
        impl Drop for Whistle<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
        Whistle(self)
    }
}

/// Kills random workers at random moments until it is told to stop; at most `limit`, and at most three without a task
/// done in between: a pool whose workers die before their first task, five in a row, gives up. Returns how many.
fn killer(pool: &Pool, mut random: Random, limit: u64, pause: u64, stop: &Stop) -> u64 {
    let (mut kills, mut in_a_row, mut done) = (0, 0, 0);
    while !stop.0.load(Ordering::Relaxed) && kills < limit {
        spin(Duration::from_micros(random.below(pause)));
        let stats = pool.stats();
        if stats.done > done {
            (in_a_row, done) = (0, stats.done);
        } else if in_a_row == 3 {
            continue;
        }
        let workers = stats.workers;
        if let Some(worker) = workers.get(random.below(workers.len() as u64) as usize)
            && procession_os::signal_process(worker.pid as i32, 9)
        {
            kills += 1;
            in_a_row += 1;
        }
    }
    kills
}

/// Runs `seed` for each of the seeds that were asked for, and names the one that fails.
fn for_each_seed(name: &str, default: u64, seed: impl Fn(u64)) {
    let _beside_others = SUPERVISOR.read();
    support::for_each_seed(name, default, seed);
}

/// All pools of this test binary have the same one.
static SUPERVISOR: RwLock<()> = RwLock::new(());

/// Tasks that end their own worker: each costs itself and no other.
#[test]
fn by_their_own_hand() {
    for_each_seed("by_their_own_hand", 80, |seed| {
        let mut random = Random(seed);
        let pool = random_pool(&mut random, 1..5).build().unwrap();
        let mut crashes = Crashes::default();
        for _ in 0..3 {
            let some = call(&pool, &mut random, true).close();
            crashes = Crashes { told: crashes.told + some.told, possible: crashes.possible + some.possible };
        }
        assert!(crashes.told <= crashes.possible, "{crashes:?}");
        println!("seed {seed}: {} tasks were lost to {} deaths", crashes.told, crashes.possible);
        assert_eq!(pool.stats().outstanding, 0);
        assert_eq!(pool.map(|n: u64| n, 0..10).unwrap_or_else(|e| late_crash(&pool, e)), (0..10).collect::<Vec<_>>());
        if seed % 2 == 0 { pool.join() } else { drop(pool) }
    });
}

/// A worker that was told to end later may take one more task along, each of them at most once.
fn late_crash(pool: &Pool, mut error: procession::Error) -> Vec<u64> {
    loop {
        assert!(error.failure().is_some_and(Failure::is_crash), "{error}");
        match pool.map(|n: u64| n, 0..10) {
            Ok(numbers) => return numbers,
            Err(next) => error = next,
        }
    }
}

/// Workers killed from outside, whatever they are doing: each costs at most the task that it ran.
#[test]
fn from_outside() {
    for_each_seed("from_outside", 50, |seed| {
        let mut random = Random(seed ^ 0x0511de);
        let pool = random_pool(&mut random, 2..5).build().unwrap();
        let stop = Stop::default();
        let (mut told, mut kills) = (0, 0);
        std::thread::scope(|scope| {
            let whistle = stop.at_the_end();
            let theirs = random.clone();
            let thread = scope.spawn(|| killer(&pool, theirs, 40, 8000, &stop));
            for _ in 0..4 {
                told += call(&pool, &mut random, false).close().told;
            }
            drop(whistle);
            kills = thread.join().unwrap();
        });
        let stats = pool.stats();
        println!("seed {seed}: {told} tasks were lost to {kills} kills");
        assert!(told <= kills && stats.crashed <= kills, "{told} tasks were lost to {kills} kills: {stats:?}");
        assert_eq!((stats.outstanding, stats.failed, stats.cancelled, stats.timed_out), (0, 0, 0, 0));
    });
}

/// With retries every result is there, as long as no task is killed more often than that.
#[test]
fn retries_bring_every_result() {
    for_each_seed("retries_bring_every_result", 40, |seed| {
        let mut random = Random(seed ^ 0x7e72);
        let pool = random_pool(&mut random, 2..5).retries(5).build().unwrap();
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let whistle = stop.at_the_end();
            let theirs = random.clone();
            // No more kills than one task could take.
            let thread = scope.spawn(|| killer(&pool, theirs, 5, 10_000, &stop));
            let items: Vec<Item> = (0..300).map(|n| item(&mut random, n, End::No)).collect();
            let results = pool.map(run, items.clone()).unwrap();
            assert!(results.iter().zip(&items).all(|(echo, item)| echo.n == item.0 && echo.bytes == item.1));
            drop(whistle);
            thread.join().unwrap();
        });
        let stats = pool.stats();
        println!("seed {seed}: {} tasks were tried again", stats.retried);
        assert!(stats.crashed == 0 && stats.retried <= 5 && stats.done == 300, "{stats:?}");
    });
}

/// Workers that stand still: with a limit of time they are replaced, and cost at most the task that they ran.
#[test]
fn by_standing_still() {
    for_each_seed("by_standing_still", 10, |seed| {
        let mut random = Random(seed ^ 0x5709);
        let pool =
            Pool::builder().workers(3).timeout(Duration::from_millis(400)).grace(Duration::ZERO).build().unwrap();
        let (stopped, known) = (AtomicU64::new(0), Mutex::new(HashSet::new()));
        let stop = Stop::default();
        let mut ledger = None;
        std::thread::scope(|scope| {
            let whistle = stop.at_the_end();
            scope.spawn(|| {
                let mut random = Random(seed);
                while !stop.0.load(Ordering::Relaxed) && stopped.load(Ordering::Relaxed) < 3 {
                    spin(Duration::from_micros(random.below(3000)));
                    // Of those that have started: how long that takes has no limit.
                    let known = known.lock().unwrap();
                    let workers: Vec<_> = pool.stats().workers.into_iter().filter(|w| known.contains(&w.pid)).collect();
                    if let Some(worker) = workers.get(random.below(workers.len() as u64) as usize)
                        && procession_os::signal_process(worker.pid as i32, 19)
                    {
                        stopped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let items: Vec<Item> = (0..200).map(|n| item(&mut random, n, End::No)).collect();
            let mut all = Ledger::new(items.clone());
            for outcome in pool.imap_unordered(run, items).unwrap() {
                known.lock().unwrap().extend(outcome.result.as_ref().map(|echo| echo.pid));
                all.add(outcome);
            }
            ledger = Some(all);
            drop(whistle);
        });
        let (told, stats) = (ledger.unwrap().close().told, pool.stats());
        println!("seed {seed}: {told} tasks were late, {stopped:?} workers were stopped");
        // On a machine that is busy with other things a task may be late by itself.
        assert!(told == stats.timed_out + stats.crashed && stats.outstanding == 0, "{told} {stats:?}");
    });
}

/// The supervisor is killed again and again, with all of its workers, under two pools at once.
#[test]
fn with_their_supervisor() {
    let _alone = SUPERVISOR.write();
    support::for_each_seed("with_their_supervisor", 20, |seed| {
        let mut random = Random(seed ^ 0x50fe);
        let pools = [0, 1].map(|_| random_pool(&mut random, 1..4).retries(8).build().unwrap());
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let whistle = stop.at_the_end();
            let mut theirs = random.clone();
            let stop = &stop;
            scope.spawn(move || {
                let mut kills = 0;
                while !stop.0.load(Ordering::Relaxed) && kills < 4 {
                    spin(Duration::from_micros(theirs.below(20_000)));
                    kills +=
                        u64::from(supervisor_of_this_test().is_some_and(|pid| procession_os::signal_process(pid, 9)));
                }
            });
            let calls: Vec<_> = pools
                .iter()
                .map(|pool| {
                    let mut random = Random(random.next());
                    scope.spawn(move || {
                        let items: Vec<Item> = (0..200).map(|n| item(&mut random, n, End::No)).collect();
                        let results = pool.map(run, items.clone()).unwrap();
                        assert!(
                            results.iter().zip(&items).all(|(echo, item)| echo.n == item.0 && echo.bytes == item.1)
                        );
                    })
                })
                .collect();
            calls.into_iter().for_each(|thread| thread.join().unwrap());
            drop(whistle);
        });
        let retried: u64 = pools.iter().map(|pool| pool.stats().retried).sum();
        println!("seed {seed}: {retried} tasks were tried again under new supervisors");
        assert_ne!(pools[0].apply(|n: u64| n, 1).err().map(|e| e.kind()), Some(ErrorKind::Broken));
    });
}

fn supervisor_of_this_test() -> Option<i32> {
    let children = procession_os::children_of_all();
    let mine = children.get(&(std::process::id() as i32))?;
    let is_supervisor = |pid: &&i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("--procession-supervisor")
    };
    mine.iter().find(is_supervisor).copied()
}
