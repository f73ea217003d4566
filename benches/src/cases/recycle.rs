//! Many workers that run one task each: what they leave behind, and how fast they come and go.

use std::time::Duration;

use anyhow::Context;
use procession::Pool;

use super::{Scale, increment};
use crate::measure::time;
use crate::report::{Figure, Row, Target};
use crate::usage::{fd_count, own_pid, shm_count, supervisor_pid};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let recycles: u64 = scale.pick(10_000, 500);
    // The supervisor stays, and so does the connection to it: both are there before the count.
    recycle(10)?;
    let supervisor = supervisor_pid().context("no supervisor")?;
    let count = || {
        // What the supervisor closes it closes soon after the pool has ended.
        std::thread::sleep(Duration::from_millis(100));
        anyhow::Ok([fd_count(own_pid())?, fd_count(supervisor)?, shm_count()?])
    };
    let before = count()?;
    let (seconds, done) = time(|| recycle(recycles));
    done?;
    let after = count()?;
    let left = |name: &str, at: usize| {
        let left = Figure::Count(after[at] - before[at]);
        Row::figure(format!("recycle: {recycles} workers, {name} left"), left, Target::AtMost(Figure::Count(0.0)))
    };
    left("descriptors", 0).print();
    left("of the supervisor", 1).print();
    left("in /dev/shm", 2).print();
    Row::figure("recycle: workers a second", Figure::PerSecond(recycles as f64 / seconds), Target::Open).print();
    Ok(())
}

fn recycle(times: u64) -> anyhow::Result<()> {
    let pool = Pool::builder().max_tasks_per_worker(1).build()?;
    assert_eq!(pool.map(increment, 0..times)?.len() as u64, times);
    pool.join();
    Ok(())
}
