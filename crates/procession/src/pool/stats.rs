//! What a pool has done so far, in numbers.

use std::time::Duration;

use super::batch::Event;
use super::shared::Shared;
use crate::FailureKind;

/// Numbers of a pool at one moment; see [`Pool::stats`](crate::Pool::stats).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that gave a result.
    pub done: u64,
    /// Tasks whose function returned an error or panicked, or whose argument or result could not be passed.
    pub failed: u64,
    /// Tasks that ran out of time.
    pub timed_out: u64,
    /// Tasks whose worker died.
    pub crashed: u64,
    /// Tasks that used more memory than they may.
    pub over_memory: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// Tasks that wait or run.
    pub outstanding: u64,
    /// Tasks that no worker has got yet.
    pub queued: u64,
    /// User and system time of the workers that have ended.
    pub cpu_of_ended_workers: Duration,
    /// Most memory that one of the workers that have ended ever had resident.
    pub peak_rss_of_ended_workers_bytes: u64,
    /// The workers there are.
    pub workers: Vec<WorkerStats>,
}

/// Numbers of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process id.
    pub pid: u32,
    /// Tasks that it was given, done or not.
    pub tasks: u64,
    /// Whether it has a task.
    pub is_busy: bool,
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Most memory that it ever had resident.
    pub peak_rss_bytes: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub done: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub crashed: u64,
    pub over_memory: u64,
    pub cancelled: u64,
    pub retried: u64,
    pub ended_cpu: Duration,
    pub ended_peak_rss_bytes: u64,
}

impl Counts {
    pub fn add(&mut self, event: &Event, count: u64) {
        let counter = match event {
            Event::Run { .. } | Event::Large { .. } => &mut self.done,
            Event::Failed(failure) => match failure.kind() {
                FailureKind::TimedOut { .. } => &mut self.timed_out,
                FailureKind::Crashed { .. } => &mut self.crashed,
                FailureKind::OverMemory { .. } => &mut self.over_memory,
                FailureKind::Cancelled { .. } => &mut self.cancelled,
                _ => &mut self.failed,
            },
        };
        *counter += count;
    }
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        let core = self.lock();
        let counts = core.counts;
        let workers: Vec<(u32, u64, bool)> =
            core.slots.iter().filter(|s| s.pid() > 0).map(|s| (s.pid(), s.given, !s.queue.is_empty())).collect();
        let queued = core.pending.iter().chain(core.delayed.iter().map(|(_, c)| c)).map(|c| u64::from(c.count)).sum();
        let outstanding = core.outstanding;
        drop(core);
        // Reading /proc takes its time; the pool goes on meanwhile.
        let workers = workers.into_iter().filter_map(|(pid, tasks, is_busy)| {
            let usage = procession_os::process_usage(pid as i32)?;
            let (cpu, rss_bytes, peak_rss_bytes) = (usage.cpu, usage.rss_bytes, usage.peak_rss_bytes);
            Some(WorkerStats { pid, tasks, is_busy, cpu, rss_bytes, peak_rss_bytes })
        });
        Stats {
            done: counts.done,
            failed: counts.failed,
            timed_out: counts.timed_out,
            crashed: counts.crashed,
            over_memory: counts.over_memory,
            cancelled: counts.cancelled,
            retried: counts.retried,
            outstanding,
            queued,
            cpu_of_ended_workers: counts.ended_cpu,
            peak_rss_of_ended_workers_bytes: counts.ended_peak_rss_bytes,
            workers: workers.collect(),
        }
    }
}
