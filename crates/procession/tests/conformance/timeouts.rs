//! Limits of time: of a task, and of a call.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use procession::{Clock, ErrorKind, FailureKind, PoolBuilder};

use crate::support::{Gate, Kind, arrive, own_pid, pass, raise, square, until};

/// Long enough that a busy machine keeps it with tasks that take no time.
const SHORT: Duration = Duration::from_millis(400);
/// Nobody waits for it.
const LONG: Duration = Duration::from_secs(1000);

fn limited(kind: Kind) -> PoolBuilder {
    kind.builder().timeout(SHORT).grace(SHORT)
}

/// Task: what it is told to, for ever if that is needed.
fn hangs(how: u8) -> u8 {
    match how {
        1 => std::thread::sleep(LONG),
        2 => loop {
            std::hint::spin_loop();
        },
        // Stopped, it cannot act on SIGTERM.
        3 => raise(19),
        _ => {}
    }
    how
}

fn check_timed_out(kind: Kind, how: u8) {
    let pool = limited(kind).build().unwrap();
    for _ in 0..3 {
        let failure = pool.submit(hangs, how).unwrap().wait().result.unwrap_err();
        assert_eq!(*failure.kind(), FailureKind::TimedOut { limit: SHORT, clock: Clock::Wall });
        assert!(failure.elapsed() >= SHORT && failure.is_timeout() && failure.worker_pid().is_some(), "{failure:?}");
        assert_eq!(pool.apply(hangs, 0).unwrap(), 0);
    }
    assert_eq!(pool.stats().timed_out, 3);
    let error = pool.apply(hangs, how).unwrap_err();
    assert!(error.is_timeout() && error.kind() == ErrorKind::Task);
}

pub fn a_task_that_sleeps_is_ended(kind: Kind) {
    check_timed_out(kind, 1);
}

pub fn a_task_that_spins_is_ended(kind: Kind) {
    check_timed_out(kind, 2);
}

pub fn a_task_that_cannot_hear_is_killed(kind: Kind) {
    check_timed_out(kind, 3);
}

pub fn a_worker_that_stands_still_is_replaced(kind: Kind) {
    let pool = limited(kind).build().unwrap();
    for _ in 0..3 {
        let pid = pool.apply(own_pid, ()).unwrap();
        procession_os::signal_process(pid as i32, 19);
        // More than there are workers: one of them is given to the one that was stopped.
        let outcomes: Vec<_> = pool.imap_unordered(square, 0..20).unwrap().collect();
        let late: Vec<_> = outcomes.iter().filter_map(|o| o.failure()).collect();
        // It was stopped while it was idle, or in the middle of one task.
        assert!(late.len() <= 1 && late.iter().all(|f| f.is_timeout()), "{late:?}");
        procession_os::signal_process(pid as i32, 18);
    }
}

pub fn only_the_late_item_of_a_chunk_is_ended(kind: Kind) {
    let pool = limited(kind).build().unwrap();
    let outcomes: Vec<_> = pool.chunk_size(40).imap(hangs, (0..40).map(|n| u8::from(n == 13))).unwrap().collect();
    for outcome in &outcomes {
        assert_eq!(outcome.is_done(), outcome.index != 13, "{outcome:?}");
    }
    assert_eq!(outcomes.len(), 40);
}

fn late_at_first(gate: PathBuf) -> usize {
    let before = std::fs::read_dir(&gate).unwrap().count();
    arrive(&gate, &before.to_string());
    hangs(u8::from(before < 2)).into()
}

pub fn a_late_task_is_tried_again(kind: Kind) {
    let pool = limited(kind).retries(2).backoff(Duration::ZERO, Duration::ZERO).build().unwrap();
    let gate = Gate::new();
    let outcome = pool.submit(late_at_first, gate.path()).unwrap().wait();
    assert_eq!((outcome.result, outcome.attempts), (Ok(0), 3));
}

pub fn an_argument_may_travel_longer_than_a_task_may_run(kind: Kind) {
    let limit = Duration::from_millis(4);
    let pool = kind.builder().timeout(limit).grace(Duration::ZERO).build().unwrap();
    for _ in 0..3 {
        // On a busy machine the task itself may be late; what it must not be is tried for ever.
        match pool.submit(|bytes: Vec<u8>| bytes.len(), vec![1; 100_000_000]).unwrap().wait().result {
            Ok(len) => assert_eq!(len, 100_000_000),
            Err(failure) => assert!(failure.is_timeout() && failure.elapsed() >= limit, "{failure:?}"),
        }
    }
}

fn slow_start(gate: PathBuf) {
    arrive(&gate, &std::process::id().to_string());
    pass(&gate);
}

pub fn a_slow_start_is_not_a_late_task(kind: Kind) {
    for recycle in [1, 1000] {
        let gate = Gate::new();
        let pool = limited(kind).initializer(slow_start, gate.path()).max_tasks_per_worker(recycle).build().unwrap();
        let task = pool.submit(square, 3).unwrap();
        gate.wait_for_arrivals(kind.workers());
        // Several limits later the same workers are still about to start.
        let since = Instant::now();
        until(|| (since.elapsed() > 4 * SHORT).then_some(()));
        assert_eq!((gate.arrivals().len(), task.is_ready()), (kind.workers(), false));
        gate.open();
        assert_eq!(task.wait().result, Ok(9));
    }
}

pub fn late_tasks_do_not_break_the_pool(kind: Kind) {
    let pool = limited(kind).grace(Duration::ZERO).restart_intensity(0, LONG).build().unwrap();
    for _ in 0..2 {
        assert!(pool.apply(hangs, 1).unwrap_err().is_timeout());
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

pub fn limits_may_be_endless(kind: Kind) {
    let endless =
        kind.builder().timeout(Duration::MAX).grace(Duration::MAX).retries(1).backoff(Duration::MAX, Duration::ZERO);
    let pool = endless.build().unwrap();
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
    assert_eq!(pool.call_timeout(Duration::MAX).map(square, 0..100).unwrap().len(), 100);
    // SIGTERM is enough for this one.
    let task = pool.submit(hangs, 1).unwrap();
    task.cancel();
    assert!(task.wait().failure().unwrap().is_cancelled());
    let crash = |n: u8| {
        if n == 1 {
            raise(9)
        }
    };
    assert_eq!(pool.submit(crash, 1).unwrap().wait().attempts, 2);
    assert!(pool.submit(square, 5).unwrap().wait_timeout(Duration::MAX).is_ok());
}

pub fn a_call_has_a_limit(kind: Kind) {
    let pool = kind.builder().grace(SHORT).build().unwrap();
    let items = (0..50).map(|n| u8::from(n >= 5));
    let error = pool.call_timeout(SHORT).map(hangs, items).unwrap_err();
    assert!(error.kind() == ErrorKind::Timeout && error.is_timeout());
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
    // An iterator without end is stopped, too.
    let error = pool.call_timeout(SHORT).map(square, std::iter::repeat(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(pool.call_timeout(LONG).map(square, 0..100).unwrap().len(), 100);
}

pub fn a_stream_has_a_limit(kind: Kind) {
    let pool = kind.builder().grace(Duration::ZERO).build().unwrap();
    for ordered in [true, false] {
        let calls = pool.call_timeout(SHORT);
        let items = (0..).map(|n: u32| u8::from(n >= 30));
        let outcomes: Vec<_> =
            if ordered { calls.imap(hangs, items) } else { calls.imap_unordered(hangs, items) }.unwrap().collect();
        let mut indexes: Vec<_> = outcomes.iter().map(|o| o.index).collect();
        assert!(!ordered || indexes.is_sorted());
        indexes.sort();
        assert!(
            indexes.iter().copied().eq(0..outcomes.len()),
            "each item that was pulled has its outcome: {indexes:?}"
        );
        let late: Vec<_> = outcomes.iter().filter_map(|o| o.failure()).collect();
        assert!(!late.is_empty() && late.iter().all(|f| f.is_cancelled()), "{late:?}");
        assert_eq!(pool.apply(square, 3).unwrap(), 9);
    }
}
