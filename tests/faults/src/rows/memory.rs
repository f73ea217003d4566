//! Tasks that take more memory than their worker may have: they end, and nobody else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};
use procession::{Limits, MemoryControl, Pool};

use crate::machine::{available_bytes, mebibytes, own_pid};
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "memory",
    promise: "memory is capped",
    fault: "allocate 2x the cap, slowly and at once",
    must_show: "only that task, as over memory; the machine stays usable",
    run,
};

const MIB: usize = 1 << 20;
const CAP: u64 = 64 << 20;
const WORKERS: u64 = 2;
/// What a task may take before a look every 10 ms has seen it, and what a worker has without one.
const ALLOWED_BEYOND: u64 = 32 << 20;

/// Task: takes so many MiB, slowly or at once, and uses them.
fn take((mebibytes, is_slow): (usize, bool)) -> usize {
    let mut all = Vec::new();
    let pieces = if is_slow { mebibytes } else { 1 };
    for _ in 0..pieces {
        all.push(std::hint::black_box(vec![1u8; mebibytes / pieces * MIB]));
        if is_slow {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    all.iter().map(Vec::len).sum::<usize>() / MIB
}

fn run(run: &Run) -> anyhow::Result<()> {
    for control in [MemoryControl::Cgroup, MemoryControl::Watchdog] {
        let build =
            || Pool::builder().workers(WORKERS as usize).limits(Limits::new().memory(CAP).memory_control(control));
        let guard = match build().build() {
            Ok(pool) => pool.memory_guard(),
            Err(error) => {
                run.figure(format!("NOT COVERED here: {error}"));
                continue;
            }
        };
        let Some(guard) = guard else { bail!("nothing keeps the limit") };
        let (mut over, mut most, mut fell) = (0, 0, 0);
        let seeds = run.for_each_seed("too much memory", run.seeds(10, 2), |_, mut random| {
            let pool = build().build()?;
            let items: Vec<_> = (0..60)
                .map(|_| {
                    let mebibytes = if random.below(6) == 0 { 2 * CAP as usize / MIB } else { 2 };
                    (mebibytes, random.below(2) == 0)
                })
                .collect();
            let is_done = AtomicBool::new(false);
            let before = available_bytes();
            std::thread::scope(|scope| {
                let watcher = scope.spawn(|| watch_memory(&is_done));
                let told = check(&pool, &items, &mut over);
                is_done.store(true, Ordering::Relaxed);
                let (used, least) = watcher.join().unwrap_or_default();
                most = most.max(used);
                fell = fell.max(before.saturating_sub(least));
                told
            })
        });
        run.figure(format!(
            "{guard}: {seeds} seeds of 60 tasks, {over} over memory and all others done; {WORKERS} workers with a cap of {} \
             had at most {} together, the machine's available memory fell by {}",
            mebibytes(CAP),
            mebibytes(most),
            mebibytes(fell)
        ));
        let allowed = WORKERS * (CAP + ALLOWED_BEYOND);
        ensure!(
            most <= allowed,
            "{guard}: the workers had {} together, allowed {}",
            mebibytes(most),
            mebibytes(allowed)
        );
    }
    Ok(())
}

fn check(pool: &Pool, items: &[(usize, bool)], over: &mut u64) -> anyhow::Result<()> {
    let mut count = 0;
    for outcome in pool.imap(take, items.to_vec())? {
        let item = items[outcome.index];
        count += 1;
        match outcome.result {
            Ok(mebibytes) => ensure!(mebibytes == item.0 && item.0 == 2, "{item:?} gave {mebibytes}"),
            Err(failure) => {
                ensure!(item.0 > 2 && failure.is_over_memory(), "{item:?}: {failure}");
                *over += 1;
            }
        }
    }
    ensure!(count == items.len(), "{count} outcomes of {}", items.len());
    Ok(())
}

/// Most memory that all below this process ever had together, and least that the machine had to give.
fn watch_memory(is_done: &AtomicBool) -> (u64, u64) {
    let (mut most, mut least) = (0, u64::MAX);
    while !is_done.load(Ordering::Relaxed) {
        let children = procession_os::children_of_all();
        let below = procession_os::descendants(&children, own_pid());
        let used = below.into_iter().filter_map(procession_os::process_usage).map(|usage| usage.rss_bytes).sum();
        most = most.max(used);
        least = least.min(available_bytes());
        std::thread::sleep(Duration::from_millis(3));
    }
    (most, least)
}
