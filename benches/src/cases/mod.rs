//! What is compared: one file a case.

mod apply;
mod imap;
mod large;
mod lock;
mod manager;
mod map;
mod queue;
mod recycle;
mod replace;
mod sandbox;
mod shared;
mod sleeps;
mod submit;
mod threads;

use procession::Pool;

/// One case: measures, and prints its rows of the table as they are there.
pub struct Case {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Scale) -> anyhow::Result<()>,
}

pub const CASES: &[Case] = &[
    Case { name: "apply", what: "round trip of a trivial task", run: apply::run },
    Case { name: "map", what: "a million numbers through a trivial function", run: map::run },
    Case { name: "large", what: "256 MB as an argument, and as a result", run: large::run },
    Case { name: "replace", what: "from a worker's death to an answer of the next one", run: replace::run },
    Case { name: "sleeps", what: "64 workers on tasks that sleep 10 ms", run: sleeps::run },
    Case { name: "imap", what: "memory over a long iterator with a slow consumer", run: imap::run },
    Case { name: "recycle", what: "a worker a task: descriptors, shared memory, rate", run: recycle::run },
    Case { name: "submit", what: "a million tasks queued one by one", run: submit::run },
    Case { name: "queue", what: "a queue between two processes: small items, and large ones", run: queue::run },
    Case { name: "lock", what: "a lock taken and released, alone and in two processes", run: lock::run },
    Case { name: "shared", what: "numbers under a lock, and slices handed over", run: shared::run },
    Case { name: "manager", what: "a dictionary in another process", run: manager::run },
    Case { name: "sandbox", what: "workers in a sandbox beside free ones", run: sandbox::run },
    Case { name: "threads", what: "what a process costs beside a thread", run: threads::run },
];

/// How much work a case does.
#[derive(Clone, Copy)]
pub struct Scale {
    pub quick: bool,
}

impl Scale {
    pub fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// The task that costs nothing.
fn increment(n: u64) -> u64 {
    n + 1
}

/// Waits until all workers of a pool have started and taken a task.
fn warm_up(pool: &Pool) -> anyhow::Result<()> {
    let is_idle_yet = |pool: &Pool| pool.stats().workers.iter().any(|worker| worker.tasks == 0);
    while pool.stats().workers.len() < pool.workers() || is_idle_yet(pool) {
        pool.chunk_size(1).map(increment, 0..2 * pool.workers() as u64)?;
    }
    Ok(())
}
