//! Results that are longer than they may be: an honest one, and one of 2^60 bytes that a worker begins to send, and
//! sends on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use procession::Pool;

use super::PATIENCE;
use super::lane::{OwnLane, record_head};
use crate::machine::{mebibytes, rss_bytes};
use crate::row::Run;
use crate::watch;

const MAX_RESULT: usize = 16 << 20;
/// What the program may have more: a result, and what frees itself later.
const ALLOWED_GROWTH: u64 = 64 << 20;
/// Beyond this the program is taken to grow until there is no memory left, and the worker is killed.
const MOST: u64 = 400 << 20;

fn send_without_end(_: u64) -> u64 {
    let Ok(lane) = OwnLane::find() else { return 0 };
    let _ = lane.publish(&record_head(1 << 60, 0));
    let piece = vec![7; 64 << 10];
    loop {
        if lane.publish(&piece).unwrap_or(0) == 0 {
            std::thread::yield_now();
        }
    }
}

pub fn run(run: &Run) -> anyhow::Result<()> {
    let _watch = watch::patience("a result without end", PATIENCE + Duration::from_secs(30));
    // The answers of the second worker wake the program, which then looks at the first one, too.
    let pool = Pool::builder().workers(2).max_result(MAX_RESULT).build()?;
    let outcome = pool.submit(|len: usize| vec![1u8; len], MAX_RESULT + 1)?.wait();
    let failure = outcome.result.err().context("a result that is too long came through")?;
    ensure!(pool.apply(|len: usize| vec![1u8; len].len(), MAX_RESULT)? == MAX_RESULT, "a result was changed");
    run.figure(format!("a result of {} with a limit of {}: {failure}", MAX_RESULT + 1, MAX_RESULT));
    let before = rss_bytes();
    let is_done = AtomicBool::new(false);
    let (most, is_stopped) = std::thread::scope(|scope| {
        let guard = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(rss_bytes().saturating_sub(before));
                if most > MOST {
                    // It is enough to know that it does not stop by itself.
                    for worker in pool.stats().workers {
                        procession_os::signal_process(worker.pid as i32, 9);
                    }
                    return (most, true);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (most, false)
        });
        let told = send(run, &pool);
        is_done.store(true, Ordering::Relaxed);
        told?;
        guard.join().ok().context("the guard panicked")
    })?;
    ensure!(!is_stopped, "a result of 2^60 bytes made the program grow by {}, and on", mebibytes(most));
    run.figure(format!("the program grew by {}, allowed {}", mebibytes(most), mebibytes(ALLOWED_GROWTH)));
    ensure!(most <= ALLOWED_GROWTH, "the program grew by {}", mebibytes(most));
    Ok(())
}

fn send(run: &Run, pool: &Pool) -> anyhow::Result<()> {
    let mut task = pool.submit(send_without_end, 0)?;
    let since = Instant::now();
    loop {
        match task.wait_timeout(Duration::from_millis(1)) {
            Ok(outcome) => {
                let failure = outcome.result.err().context("a result of 2^60 bytes came through")?;
                run.figure(format!("a result of 2^60 bytes: {failure}"));
                return Ok(());
            }
            Err(still) => task = still,
        }
        ensure!(since.elapsed() < PATIENCE, "a result of 2^60 bytes has no outcome after {PATIENCE:?}");
        // Those that are given to the hostile worker are lost with it.
        let _ = pool.chunk_size(1).map(|n: u64| n, 0..20);
    }
}
