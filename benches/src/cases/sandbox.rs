//! What a sandbox costs: nothing for a task, and something when a worker starts.

use procession::{Pool, PoolBuilder, Sandbox};

use super::{Scale, increment, warm_up};
use crate::measure::{Rounds, median, time};
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let free = || Pool::builder();
    let caged = || Pool::builder().sandbox(Sandbox::compute().read("/usr").write("/tmp"));

    let (rounds, calls, items) = scale.pick((25, 4000, 1_000_000), (5, 1000, 100_000));
    let (pool, peer) = (caged().build()?, free().build()?);
    warm_up(&pool)?;
    warm_up(&peer)?;
    let apply = Rounds::measure(rounds, || round_trip(&pool, calls), || round_trip(&peer, calls))?;
    Row::race("sandbox: apply, to a free worker", Figure::Seconds, &apply, Target::Within(1.05)).print();
    let map = Rounds::measure(rounds, || all_of(&pool, items), || all_of(&peer, items))?;
    Row::race("sandbox: map, to free workers", Figure::Seconds, &map, Target::Within(1.05)).print();
    let open = Rounds::measure(rounds, || files(&pool), || files(&peer))?;
    Row::race("sandbox: a task that opens 1,000 files", Figure::Seconds, &open, Target::Open).print();
    drop((pool, peer));

    let starts = scale.pick(200, 50);
    let start = Rounds::measure(rounds, || start_of(caged, starts), || start_of(free, starts))?;
    Row::race("sandbox: a worker's start", Figure::Seconds, &start, Target::Open).print();
    Ok(())
}

fn round_trip(pool: &Pool, calls: u64) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(calls as usize);
    for n in 0..calls {
        let (seconds, result) = time(|| pool.apply(increment, n));
        assert_eq!(result?, n + 1);
        times.push(seconds);
    }
    Ok(median(times))
}

fn all_of(pool: &Pool, items: u64) -> anyhow::Result<f64> {
    let (seconds, results) = time(|| pool.map(increment, 0..items));
    assert_eq!(results?.len() as u64, items);
    Ok(seconds)
}

fn files(pool: &Pool) -> anyhow::Result<f64> {
    let open = |count: u64| (0..count).filter(|_| std::fs::File::open("/usr/bin/env").is_ok()).count() as u64;
    let (seconds, opened) = time(|| pool.apply(open, 1000));
    assert_eq!(opened?, 1000);
    Ok(seconds)
}

/// The time of one worker after the other, each of which runs one task.
fn start_of(builder: impl Fn() -> PoolBuilder, starts: u64) -> anyhow::Result<f64> {
    let pool = builder().workers(1).max_tasks_per_worker(1).build()?;
    let (seconds, results) = time(|| pool.map(increment, 0..starts));
    assert_eq!(results?.len() as u64, starts);
    Ok(seconds / starts as f64)
}
