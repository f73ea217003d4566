//! A million tasks that are handed over one by one and wait: what each takes, and how fast they then run.

use procession::Pool;

use super::{Scale, increment, warm_up};
use crate::measure::time;
use crate::report::{Figure, Row, Target};
use crate::usage::{fd_count, own_pid, rss_bytes};

const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let count: u64 = scale.pick(1_000_000, 100_000);
    let pool = Pool::new()?;
    warm_up(&pool)?;
    let rate = |seconds: f64| Figure::PerSecond(count as f64 / seconds);

    // Workers that stand still, so that all tasks have to wait.
    signal_workers(&pool, SIGSTOP);
    let (fds, rss) = (fd_count(own_pid())?, rss_bytes());
    let (submitting, tasks) = time(|| submit_all(&pool, count));
    let tasks = tasks?;
    let (new_fds, new_rss) = (fd_count(own_pid())? - fds, rss_bytes() - rss);
    signal_workers(&pool, SIGCONT);
    let (draining, done) = time(|| wait_for_all(tasks));
    done?;

    let (both, done) = time(|| wait_for_all(submit_all(&pool, count)?));
    done?;
    let name = |what: &str| format!("submit: {count} tasks, {what}");
    Row::figure(name("new descriptors"), Figure::Count(new_fds), Target::AtMost(Figure::Count(0.0))).print();
    Row::figure(name("memory a task"), Figure::Bytes((new_rss / count as f64).round()), Target::Open).print();
    Row::figure(name("handed over"), rate(submitting), Target::Open).print();
    Row::figure(name("waited for"), rate(draining), Target::Open).print();
    Row::figure(name("both at once"), rate(both), Target::Open).print();
    Ok(())
}

fn signal_workers(pool: &Pool, signal: i32) {
    for worker in pool.stats().workers {
        procession_os::signal_process(worker.pid as i32, signal);
    }
}

fn submit_all(pool: &Pool, count: u64) -> anyhow::Result<Vec<procession::Task<u64>>> {
    Ok((0..count).map(|n| pool.submit(increment, n)).collect::<Result<_, _>>()?)
}

fn wait_for_all(tasks: Vec<procession::Task<u64>>) -> anyhow::Result<()> {
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(task.wait().result.ok(), Some(n + 1));
    }
    Ok(())
}
