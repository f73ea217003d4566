//! Workers are killed from outside all the time, and every result comes, in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use procession::Pool;

use crate::random::Random;
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "results",
    promise: "results survive",
    fault: "1 of 4 workers is killed every 50 ms over 10,000 tasks, retries on",
    must_show: "10,000 results, in order",
    run,
};

const TASKS: u64 = 10_000;

fn task(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(2));
    n.wrapping_mul(n)
}

fn run(run: &Run) -> anyhow::Result<()> {
    let (mut kills, mut retried, mut time) = (0, 0, Duration::ZERO);
    let seeds = run.for_each_seed("kills", run.seeds(100, 1), |_, random| {
        let since = Instant::now();
        let pool = Pool::builder().workers(4).retries(20).build()?;
        let is_done = AtomicBool::new(false);
        let results = std::thread::scope(|scope| {
            let killer = scope.spawn(|| kill_now_and_then(&pool, random, &is_done));
            let results = pool.map(task, 0..TASKS);
            is_done.store(true, Ordering::Relaxed);
            kills += killer.join().unwrap_or_default();
            results
        })?;
        ensure!(results.len() as u64 == TASKS, "{} results of {TASKS}", results.len());
        ensure!(results.iter().zip(0..).all(|(result, n)| *result == n * n), "results are not in order");
        retried += pool.stats().retried;
        time += since.elapsed();
        Ok(())
    });
    run.figure(format!(
        "{seeds} runs of {TASKS} tasks, {kills} kills, {retried} tasks tried again, {} s",
        time.as_secs()
    ));
    Ok(())
}

fn kill_now_and_then(pool: &Pool, mut random: Random, is_done: &AtomicBool) -> u64 {
    let mut kills = 0;
    while !is_done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        let workers = pool.stats().workers;
        if let Some(worker) = workers.get(random.below(workers.len() as u64) as usize) {
            kills += u64::from(procession_os::signal_process(worker.pid as i32, 9));
        }
    }
    kills
}
