//! How tasks fail: by panics and errors, and with their workers.

use std::path::PathBuf;
use std::time::Duration;

use procession::{ErrorKind, FailureKind, TaskError};

use crate::support::{Gate, Kind, arrive, own_pid, raise, square};

fn panics(how: u8) -> u8 {
    match how {
        0 => panic!("plain"),
        1 => panic!("formatted {how}"),
        2 => std::panic::panic_any(7),
        3 => panic!("expected"),
        _ => how,
    }
}

pub fn a_panic_tells_what_and_where(kind: Kind) {
    let pool = kind.pool();
    let outcomes: Vec<_> = pool.imap(panics, 0..5).unwrap().collect();
    for (outcome, want) in outcomes.iter().zip(["plain", "formatted 1", "a value that is no text", "expected"]) {
        let failure = outcome.failure().unwrap();
        let FailureKind::Panicked { message, location, .. } = failure.kind() else { panic!("{failure:?}") };
        assert_eq!(message, want);
        assert!(location.contains("failures.rs:"), "{location}");
        assert_eq!((failure.index(), failure.attempts()), (outcome.index, 1));
        assert_eq!(failure.worker_pid().is_some(), kind != Kind::Inline);
        assert_eq!(failure.peak_rss_bytes().is_some(), kind != Kind::Inline);
    }
    assert_eq!(outcomes[4].result, Ok(4));
}

#[derive(Debug)]
struct Trouble(u8);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if f.alternate() { write!(f, "trouble {}: with its cause", self.0) } else { write!(f, "trouble") }
    }
}

pub fn errors_keep_their_text(kind: Kind) {
    let pool = kind.pool();
    let error = pool.try_map(|n: u8| if n < 250 { Ok(n) } else { Err(Trouble(n)) }, 0..=255).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(*failure.kind(), FailureKind::Failed { message: "trouble 250: with its cause".to_string() });
    assert_eq!((failure.index(), pool.stats().done), (250, 250));
}

/// Task: ends its worker in one of many ways.
fn ends(how: u64) -> u64 {
    match how {
        1 => std::process::exit(3),
        2 => std::process::exit(0),
        3 => std::process::abort(),
        4 => raise(11),
        5 => raise(9),
        6 => raise(15),
        7 => {
            // From a thread, and while another holds the standard error.
            let _stderr = std::io::stderr().lock();
            std::thread::spawn(|| std::process::exit(9)).join().unwrap();
        }
        _ => {}
    }
    how
}

pub fn every_way_to_end_a_worker_costs_one_task(kind: Kind) {
    let pool = kind.pool();
    let want = [
        (Some(3), None),
        (Some(0), None),
        (None, Some(6)),
        (None, Some(11)),
        (None, Some(9)),
        (None, Some(15)),
        (Some(9), None),
    ];
    for (how, (code, signal)) in (1..).zip(want) {
        let outcomes: Vec<_> = pool.imap(ends, [0, how, 10, 20]).unwrap().collect();
        let failure = outcomes[1].failure().unwrap();
        let FailureKind::Crashed { exit_code, signal: by, .. } = failure.kind() else { panic!("{failure:?}") };
        assert_eq!((*exit_code, *by), (code, signal), "{how}");
        assert_eq!((failure.index(), failure.attempts()), (1, 1));
        assert!(failure.worker_pid().is_some() && failure.peak_rss_bytes().is_some());
        let others = [0, 2, 3].map(|at: usize| outcomes[at].result.clone().unwrap());
        assert_eq!(others, [0, 10, 20]);
    }
    assert_eq!(pool.stats().crashed, 7);
}

pub fn a_crash_in_a_chunk_costs_one_item(kind: Kind) {
    let pool = kind.builder().max_in_flight(1000, 10_000).build().unwrap();
    for round in 0..20 {
        let at = [0, 1, 17, 49][round % 4];
        let items = (0..50).map(|n| if n == at { 5 } else { n + 100 });
        let outcomes: Vec<_> = pool.chunk_size(50).imap(ends, items).unwrap().collect();
        assert_eq!(outcomes.len(), 50);
        for (n, outcome) in (0..).zip(outcomes) {
            assert_eq!(outcome.is_done(), n != at, "{outcome:?}");
        }
    }
    // The items that were done before a crash no longer count as being on their way.
    assert_eq!(pool.stats().outstanding, 0);
    assert_eq!(pool.map(|b: Vec<u8>| b.len(), vec![vec![0; 4000]; 40]).unwrap(), [4000; 40]);
}

/// Task: crashes until it has left so many notes.
fn crashes_at_first((gate, times): (PathBuf, usize)) -> usize {
    let before = std::fs::read_dir(&gate).unwrap().count();
    if before < times {
        arrive(&gate, &before.to_string());
        raise(9);
    }
    before
}

pub fn a_crash_is_tried_again(kind: Kind) {
    let pool = kind.builder().retries(3).backoff(Duration::from_millis(1), Duration::from_millis(3)).build().unwrap();
    let gates = [0, 1, 3, 4].map(|times| (Gate::new(), times));
    let items: Vec<_> = gates.iter().map(|(gate, times)| (gate.path(), *times)).collect();
    let outcomes: Vec<_> = pool.imap(crashes_at_first, items).unwrap().collect();
    assert_eq!(outcomes.iter().map(|o| o.attempts).collect::<Vec<_>>(), [1, 2, 4, 4]);
    assert_eq!(outcomes.iter().map(|o| o.clone().ok()).collect::<Vec<_>>(), [Some(0), Some(1), Some(3), None]);
    assert!(outcomes[3].failure().unwrap().is_crash());
    assert_eq!(pool.stats().retried, 7);
}

pub fn tries_are_counted(kind: Kind) {
    let pool = kind.builder().retries(2).backoff(Duration::ZERO, Duration::ZERO).build().unwrap();
    let crash = pool.submit(ends, 5).unwrap().wait();
    assert_eq!((crash.attempts, crash.failure().unwrap().attempts()), (3, 3));
    // A panic is the task's own: there is no second try.
    let panic = pool.submit(panics, 0).unwrap().wait();
    assert_eq!((panic.attempts, panic.failure().unwrap().attempts()), (1, 1));
    assert_eq!(pool.stats().retried, 2);
}

fn says_and_ends(how: u64) -> u64 {
    eprintln!("last words {how}");
    if how == 0 {
        panic!("out");
    }
    ends(how)
}

pub fn standard_error_is_kept_for_the_failure(kind: Kind) {
    let pool = kind.pool();
    for how in [0, 1, 3, 5] {
        let outcome = pool.submit(says_and_ends, how).unwrap().wait();
        let tail = outcome.failure().unwrap().stderr_tail();
        assert!(tail.contains(&format!("last words {how}")), "{how}: {outcome:?}");
    }
    let flood = |n: u64| {
        (0..20_000).for_each(|line| eprintln!("line {line}"));
        ends(n)
    };
    let outcome = pool.submit(flood, 5).unwrap().wait();
    let tail = outcome.failure().unwrap().stderr_tail();
    assert!(tail.ends_with("line 19999\n") && tail.len() <= 4096, "{tail}");
}

pub fn too_many_deaths_break_the_pool(kind: Kind) {
    let pool = kind.builder().restart_intensity(3, Duration::from_secs(3600)).build().unwrap();
    let error = loop {
        match pool.apply(ends, 5) {
            Err(error) if error.kind() == ErrorKind::Broken => break error,
            Err(error) => assert!(error.failure().is_some()),
            Ok(_) => unreachable!(),
        }
    };
    assert_eq!(error.to_string(), "more than 3 workers died within 3600s");
    assert_eq!(pool.stats().crashed, 4);
    assert_eq!(pool.map(square, 0..3).unwrap_err().kind(), ErrorKind::Broken);
    assert_eq!(pool.submit(square, 1).unwrap_err().kind(), ErrorKind::Broken);
    pool.join();
}

pub fn workers_killed_from_outside_are_replaced(kind: Kind) {
    let pool = kind.pool();
    for _ in 0..30 {
        // One that has run something and is idle now.
        let pid = pool.apply(own_pid, ()).unwrap();
        procession_os::signal_process(pid as i32, 9);
        let n = u64::from(pid);
        match pool.submit(square, n).unwrap().wait().result {
            Ok(result) => assert_eq!(result, n * n),
            // It was begun before the signal came through.
            Err(failure) => assert!(failure.is_crash() && failure.worker_pid() == Some(pid), "{failure:?}"),
        }
    }
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

fn throws_a_bomb_at_two(n: u64) -> u64 {
    if n == 2 {
        std::panic::panic_any(Bomb);
    }
    n
}

pub fn a_panic_may_carry_another(kind: Kind) {
    let pool = kind.pool();
    let outcomes: Vec<_> = pool.chunk_size(5).imap(throws_a_bomb_at_two, 0..5).unwrap().collect();
    for (n, outcome) in (0..).zip(outcomes) {
        match outcome.result {
            Ok(m) => assert!(m == n && n != 2),
            Err(failure) => {
                assert_eq!(n, 2);
                assert!(
                    matches!(failure.kind(), FailureKind::Panicked { message, .. } if message == "a value that is no text")
                );
            }
        }
    }
}

/// Task: fails until it has left so many notes.
fn fails_at_first((gate, n, is_retryable): (PathBuf, usize, bool)) -> Result<usize, TaskError> {
    let tries = (0..).find(|t| !gate.join(format!("at-{n}-{t}")).exists()).unwrap_or(0);
    arrive(&gate, &format!("{n}-{tries}"));
    match (tries, is_retryable) {
        (2.., _) => Ok(n),
        (_, true) => Err(TaskError::retryable("not yet")),
        (_, false) => Err(TaskError::new("never")),
    }
}

pub fn an_error_that_may_pass_is_tried_again(kind: Kind) {
    let gate = Gate::new();
    let pool = kind.builder().retries(2).backoff(Duration::ZERO, Duration::ZERO).build().unwrap();
    let tasks = (0..20).map(|n| (gate.path(), n, n != 7));
    let error = pool.try_map(fails_at_first, tasks).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.index(), failure.attempts(), failure.to_string()), (7, 1, "never".to_string()));
    let stats = pool.stats();
    assert_eq!((stats.done, stats.failed, stats.retried, stats.crashed), (19, 1, 38, 0));
    // Tries end.
    let gate = Gate::new();
    let pool = kind.builder().retries(1).backoff(Duration::ZERO, Duration::ZERO).build().unwrap();
    let error = pool.chunk_size(4).try_map(fails_at_first, (0..4).map(|n| (gate.path(), n, true))).unwrap_err();
    assert_eq!((error.failure().unwrap().attempts(), error.failure().unwrap().to_string()), (2, "not yet".to_string()));
    assert_eq!((pool.stats().failed, pool.stats().outstanding), (4, 0));
}
