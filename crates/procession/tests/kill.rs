//! Workers die at every step, by their own hand and by others', and each task still gets exactly one outcome.
//!
//! Everything follows from a seed but the moment at which the killer strikes. `PROCESSION_SEEDS=N` runs N seeds (default
//! 100), `PROCESSION_SEED=N` begins at seed N; a failure tells its seed.

#[path = "support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use procession::{FailureKind, Outcome, Pool, StartMethod};
use support::{Random, raise, watched};

/// What a task does, and what it is to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Act {
    Return(usize),
    Panic,
    Exit,
    Abort,
    Segfault,
    KillItself,
}

type Task = (usize, Act, Vec<u8>);

/// The result of task `n` of that length.
fn answer(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ n as u8).collect()
}

fn act((n, act, load): Task) -> Vec<u8> {
    assert_eq!(load, answer(n, load.len()), "the argument came whole");
    match act {
        Act::Return(len) => return answer(n, len),
        Act::Panic => panic!("task {n}"),
        Act::Exit => std::process::exit(0),
        Act::Abort => std::process::abort(),
        Act::Segfault => raise(11),
        Act::KillItself => raise(9),
    }
    unreachable!("a signal to itself is taken before the call returns")
}

fn length(random: &mut Random) -> usize {
    match random.below(12) {
        0 => 0,
        1 => 300_000,
        2 => 70_000,
        _ => random.below(200) as usize,
    }
}

fn tasks(random: &mut Random, are_faulty: bool) -> Vec<Task> {
    let count = random.below(60) as usize;
    (0..count)
        .map(|n| {
            let fault = if are_faulty { random.below(20) } else { 19 };
            let act = match fault {
                0 => Act::Panic,
                1 => Act::Exit,
                2 => Act::Abort,
                3 => Act::Segfault,
                4 => Act::KillItself,
                _ => Act::Return(length(random)),
            };
            (n, act, answer(n, length(random)))
        })
        .collect()
}

/// Runs all tasks by one of the calls that there are, and checks what each promises of order.
fn run(pool: &Pool, tasks: Vec<Task>, random: &mut Random) -> Vec<Outcome<Vec<u8>>> {
    let count = tasks.len();
    let mut outcomes: Vec<_> = match random.below(4) {
        0 => {
            let outcomes: Vec<_> = pool.imap(act, tasks).unwrap().collect();
            assert!(outcomes.iter().map(|o| o.index).eq(0..count), "imap keeps the order");
            outcomes
        }
        1 => pool.imap_unordered(act, tasks).unwrap().collect(),
        2 => pool.chunk_size(1 + random.below(20) as usize).imap_unordered(act, tasks).unwrap().collect(),
        _ => {
            let handles: Vec<_> = tasks.into_iter().map(|task| pool.submit(act, task).unwrap()).collect();
            let outcomes = procession::as_completed(handles);
            outcomes.map(|(index, outcome)| Outcome { index, ..outcome }).collect()
        }
    };
    outcomes.sort_by_key(|o| o.index);
    assert!(outcomes.iter().map(|o| o.index).eq(0..count), "each task has exactly one outcome");
    outcomes
}

fn builder(random: &mut Random) -> procession::PoolBuilder {
    let method = if random.below(10) == 0 { StartMethod::Spawn } else { StartMethod::ForkServer };
    let mut builder = Pool::builder().workers(1 + random.below(4) as usize).start_method(method);
    if random.below(4) == 0 {
        builder = builder.max_tasks_per_worker(1 + random.below(5));
    }
    builder.backoff(Duration::ZERO, Duration::ZERO)
}

/// Sends `signal` to workers of the pool, up to `count` times, at random moments, until told to stop. Returns how often.
fn strike(pool: &Pool, random: &mut Random, signal: i32, count: u64, is_over: &AtomicBool) -> usize {
    let mut strikes = 0;
    for _ in 0..count {
        let wait = Instant::now() + Duration::from_micros(random.below(3000));
        while Instant::now() < wait && !is_over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        let workers = pool.stats().workers;
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        if !workers.is_empty() {
            let pid = workers[random.below(workers.len() as u64) as usize].pid;
            strikes += usize::from(procession_os::signal_process(pid as i32, signal));
        }
    }
    strikes
}

/// Runs the tasks while somebody strikes at the workers.
fn run_under_fire(
    pool: &Pool,
    tasks: Vec<Task>,
    random: &mut Random,
    signal: i32,
    count: u64,
) -> (Vec<Outcome<Vec<u8>>>, usize) {
    let is_over = AtomicBool::new(false);
    let mut aim = Random(random.next());
    std::thread::scope(|scope| {
        let striker = scope.spawn(|| strike(pool, &mut aim, signal, count, &is_over));
        let outcomes = run(pool, tasks, random);
        is_over.store(true, Ordering::Relaxed);
        (outcomes, striker.join().unwrap())
    })
}

/// Tasks that end their worker are the only ones without a result.
fn by_their_own_hand(random: &mut Random) {
    let pool = builder(random).build().unwrap();
    let tasks = tasks(random, true);
    for (outcome, (n, act, _)) in run(&pool, tasks.clone(), random).iter().zip(&tasks) {
        let kind = outcome.result.as_ref().map_err(|f| f.kind());
        match (act, kind) {
            (Act::Return(len), Ok(result)) => assert_eq!(*result, answer(*n, *len)),
            (Act::Panic, Err(FailureKind::Panicked { message, .. })) => assert_eq!(*message, format!("task {n}")),
            (Act::Exit, Err(FailureKind::Crashed { exit_code: Some(0), .. })) => {}
            (Act::Abort, Err(FailureKind::Crashed { signal: Some(6), .. })) => {}
            (Act::Segfault, Err(FailureKind::Crashed { signal: Some(11), .. })) => {}
            (Act::KillItself, Err(FailureKind::Crashed { signal: Some(9), .. })) => {}
            (act, other) => panic!("task {n} was to {act:?}, and gave {other:?}"),
        }
    }
    // Whatever happened, the pool works.
    assert_eq!(pool.apply(act, (7, Act::Return(5), Vec::new())).unwrap(), answer(7, 5));
}

/// A worker that is killed costs at most the task that it ran; with retries not even that.
fn by_others(random: &mut Random) {
    let retries = if random.below(2) == 0 { 5 } else { 0 };
    let pool = builder(random).retries(retries).build().unwrap();
    let tasks = tasks(random, false);
    let (outcomes, kills) = run_under_fire(&pool, tasks.clone(), random, 9, 5);
    let mut lost = 0;
    for (outcome, (n, act, _)) in outcomes.iter().zip(&tasks) {
        match (&outcome.result, act) {
            (Ok(result), Act::Return(len)) => assert_eq!(*result, answer(*n, *len)),
            (Err(failure), _) => {
                assert!(
                    matches!(failure.kind(), FailureKind::Crashed { signal: Some(9), .. }),
                    "task {n}: {:?}",
                    failure.kind()
                );
                lost += 1;
            }
            (_, act) => panic!("task {n} is to {act:?}"),
        }
    }
    assert!(lost <= if retries > 0 { 0 } else { kills }, "{lost} tasks lost by {kills} kills, {retries} retries");
}

/// A worker that stands still runs into the limit, and costs at most the task that it ran. On a busy machine others may
/// run into it, too.
fn by_standing_still(random: &mut Random) {
    let limit = Duration::from_millis(40);
    let pool = builder(random).timeout(limit).grace(Duration::from_millis(5)).build().unwrap();
    let tasks = tasks(random, false);
    let (outcomes, _) = run_under_fire(&pool, tasks.clone(), random, 19, 2);
    for (outcome, (n, act, _)) in outcomes.iter().zip(&tasks) {
        match (&outcome.result, act) {
            (Ok(result), Act::Return(len)) => assert_eq!(*result, answer(*n, *len)),
            (Err(failure), _) => assert!(failure.is_timeout(), "task {n}: {:?}", failure.kind()),
            (_, act) => panic!("task {n} is to {act:?}"),
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_task_gets_exactly_one_outcome() {
    let (first, count) = (number("PROCESSION_SEED", 1), number("PROCESSION_SEEDS", 100));
    for seed in first..first + count {
        let mut random = Random(seed);
        let name = format!("seed {seed} (PROCESSION_SEED={seed} PROCESSION_SEEDS=1)");
        watched(&name, || {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match random.below(5) {
                0 | 1 => by_their_own_hand(&mut random),
                2 | 3 => by_others(&mut random),
                _ => by_standing_still(&mut random),
            }));
            if let Err(panic) = ran {
                eprintln!("failed with {name}");
                std::panic::resume_unwind(panic);
            }
        });
    }
    eprintln!("{count} seeds from {first} on: each task had exactly one outcome");
}
