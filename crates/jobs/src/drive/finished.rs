//! A job that ran to its end, or as far as it came.

use std::sync::Arc;
use std::time::Duration;

use procession::{Pool, SandboxStatus};

use crate::{Report, TaskError, without_number};

/// A job that ran to its end, or as far as it came.
pub struct Finished {
    /// What happened, in numbers.
    pub summary: Summary,
    /// The job's own result.
    pub report: Box<dyn Report>,
    /// Why the pool gave up before all tasks had their turn, if it did.
    pub broken: Option<procession::Error>,
    /// Why the journal or the joblog does not have all that was done, if so.
    pub unrecorded: Option<String>,
    /// Why what the job writes itself is not there, though its tasks are done, if so.
    pub unwritten: Option<TaskError>,
    /// The pool that ran it. Dropping it ends the workers, and waits for that.
    pub pool: Arc<Pool>,
}

impl Finished {
    /// The first thing that went wrong, if not all was done and written.
    pub fn problem(&self) -> Option<String> {
        let failed = self.summary.failures.first().map(|failed| failed.message.clone());
        let failed = failed.or_else(|| self.broken.as_ref().map(without_number));
        failed.or_else(|| self.unwritten.as_ref().map(ToString::to_string)).or_else(|| self.unrecorded.clone())
    }
}

/// What happened to the tasks of a job.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The job's name.
    pub job: &'static str,
    /// Tasks that were planned; the five counts after `done` are the ways in which they failed.
    pub tasks: u64,
    /// Tasks that were done.
    pub done: u64,
    /// Those among them whose results came from a journal.
    pub resumed: u64,
    /// Tasks that returned an error or panicked.
    pub failed: u64,
    /// Tasks that ran out of time.
    pub timed_out: u64,
    /// Tasks whose worker died.
    pub crashed: u64,
    /// Tasks that used more memory than they may.
    pub over_memory: u64,
    /// Tasks that were given up before their end.
    pub cancelled: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// From the start of the plan to the last outcome.
    pub elapsed: Duration,
    /// User and system time of the workers.
    pub cpu: Duration,
    /// Most memory that one worker had resident.
    pub peak_rss_bytes: u64,
    /// Bytes of input of the tasks that were done.
    pub bytes_in: u64,
    /// Worker processes.
    pub workers: usize,
    /// What of a sandbox was around them; None if none was asked for.
    pub sandbox: Option<SandboxStatus>,
    /// Whether the user stopped the job.
    pub is_interrupted: bool,
    /// Whether the plan was read to its end: else nobody knows how many tasks there are.
    pub is_planned: bool,
    /// Whether tasks were left out that are not wanted any less: because of the user, of a failed task, or of the pool.
    pub is_cut_short: bool,
    /// The tasks that failed, in the order of their inputs.
    pub failures: Vec<FailedTask>,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTask {
    /// Its number in the plan, from 0.
    pub task: usize,
    /// Its input, as the user named it.
    pub input: String,
    /// In which way it failed.
    pub kind: FailedKind,
    /// What went wrong, in one line.
    pub message: String,
    /// How often it was begun.
    pub attempts: u32,
}

/// The ways in which a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedKind {
    /// It returned an error or panicked.
    Failed,
    /// It ran out of time.
    TimedOut,
    /// Its worker died.
    Crashed,
    /// It used more memory than it may.
    OverMemory,
    /// It was given up before its end.
    Cancelled,
}

impl FailedKind {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            FailedKind::Failed => "failed",
            FailedKind::TimedOut => "timed_out",
            FailedKind::Crashed => "crashed",
            FailedKind::OverMemory => "over_memory",
            FailedKind::Cancelled => "cancelled",
        }
    }
}
