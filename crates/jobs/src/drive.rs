//! Runs any job on a pool: plan, run, fold, report, with the outcomes counted on the way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use procession::{Failure, FailureKind, Outcome, Pool};

use crate::{Item, Job, PlanError, Planned, Report, TaskError};

/// What every job lets its user decide.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Worker processes. Default: the CPUs that this process may use.
    pub workers: Option<usize>,
    /// How long one task may run.
    pub timeout: Option<Duration>,
    /// How often a task is tried again whose worker crashed or ran out of time.
    pub retries: u32,
    /// Whether the first failed task ends the job.
    pub fail_fast: bool,
}

/// Who is told of what happens while a job runs.
pub trait Watch {
    /// A task was found.
    fn planned(&mut self, item: &Item);
    /// A task has its outcome: done, or an error.
    fn finished(&mut self, item: &Item, error: Option<&FailedTask>);
}

/// A job that ran to its end, or as far as it came.
pub struct Finished {
    /// What happened, in numbers.
    pub summary: Summary,
    /// The job's own result.
    pub report: Box<dyn Report>,
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
    /// Tasks that returned an error or panicked.
    pub failed: u64,
    /// Tasks that ran out of time.
    pub timed_out: u64,
    /// Tasks whose worker died.
    pub crashed: u64,
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
    /// Whether the user stopped the job.
    pub is_interrupted: bool,
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
    /// `failed`, `timed_out`, `crashed` or `cancelled`.
    pub kind: &'static str,
    /// What went wrong, in one line.
    pub message: String,
    /// How often it was begun.
    pub attempts: u32,
}

/// Why a job could not run at all.
#[derive(Debug)]
pub enum DriveError {
    /// The arguments or inputs as a whole cannot be used.
    Plan(PlanError),
    /// There is no pool, or it broke.
    Pool(procession::Error),
}

impl std::fmt::Display for DriveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DriveError::Plan(e) => e.fmt(f),
            DriveError::Pool(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for DriveError {}

/// Stops a running job from another thread.
#[derive(Debug, Default)]
pub struct Interrupt {
    is_raised: AtomicBool,
    pool: Mutex<Weak<Pool>>,
}

impl Interrupt {
    /// Ends the workers. What is done so far is reported.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Relaxed);
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(pool) = pool {
            pool.terminate();
        }
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    fn watch(&self, pool: &Arc<Pool>) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(pool);
    }
}

/// The tasks of a plan without running them: what `--dry-run` shows.
///
/// # Errors
/// As [`Job::plan`].
pub fn plan<J: Job>(mut job: J) -> Result<Vec<(Item, Option<TaskError>)>, PlanError> {
    let plan = job.plan()?;
    Ok(plan
        .tasks
        .map(|planned| match planned {
            Planned::Task(item, _) => (item, None),
            Planned::Failed(item, error) => (item, Some(error)),
        })
        .collect())
}

/// Runs a job.
///
/// # Errors
/// When nothing could run; failed tasks are part of what [`Finished`] says.
pub fn run<J: Job>(
    mut job: J,
    options: &Options,
    interrupt: &Interrupt,
    watch: &mut dyn Watch,
) -> Result<Finished, DriveError> {
    let start = Instant::now();
    let plan = job.plan().map_err(DriveError::Plan)?;
    let pool = Arc::new(build_pool(J::NAME, options).map_err(DriveError::Pool)?);
    interrupt.watch(&pool);
    let ledger =
        Rc::new(RefCell::new(Ledger { summary: Summary { job: J::NAME, ..Summary::default() }, ..Ledger::default() }));
    let tasks = Pull { tasks: plan.tasks, ledger: Rc::clone(&ledger), interrupt, fail_fast: options.fail_fast };
    let mut outcomes = pool.imap_unordered_with(job.context(), J::run, tasks).map_err(DriveError::Pool)?;
    loop {
        let outcome = outcomes.next();
        // What the plan found and what it found unusable since the last look.
        let (found, unusable) = ledger.borrow_mut().take_news();
        found.iter().for_each(|item| watch.planned(item));
        for (number, item, error) in unusable {
            let failed = FailedTask::new(number, &item, "failed", error.to_string(), 0);
            job.fold_failure(&item, &error);
            ledger.borrow_mut().fail(&item, failed, watch);
        }
        let Some(outcome) = outcome else { break };
        let Some((number, item)) = ledger.borrow_mut().items.remove(&outcome.index) else { continue };
        match flatten(outcome) {
            Ok(done) => {
                job.fold(&item, done);
                ledger.borrow_mut().done(&item, watch);
            }
            Err((kind, message, attempts)) => {
                let failed = FailedTask::new(number, &item, kind, message, attempts);
                job.fold_failure(&item, &TaskError::new(&failed.message));
                ledger.borrow_mut().fail(&item, failed, watch);
            }
        }
        if options.fail_fast && ledger.borrow().has_failed() {
            break;
        }
    }
    drop(outcomes);
    let mut ledger = ledger.take();
    // With --fail-fast: what was pulled and has no outcome.
    for (number, item) in std::mem::take(&mut ledger.items).into_values() {
        let message = format!("cancelled `{}`: an earlier task failed (--fail-fast)", item.path.display());
        job.fold_failure(&item, &TaskError::new(&message));
        let failed = FailedTask { message, ..FailedTask::new(number, &item, "cancelled", String::new(), 0) };
        ledger.fail(&item, failed, watch);
    }
    let mut summary = ledger.summary;
    summary.elapsed = start.elapsed();
    summary.is_interrupted = interrupt.is_raised();
    summary.failures.sort_by_key(|failed| failed.task);
    take_stats(&mut summary, &pool);
    Ok(Finished { summary, report: job.report() })
}

fn build_pool(name: &str, options: &Options) -> Result<Pool, procession::Error> {
    let mut builder = Pool::builder().name(name).retries(options.retries);
    if let Some(workers) = options.workers {
        builder = builder.workers(workers);
    }
    if let Some(timeout) = options.timeout {
        builder = builder.timeout(timeout);
    }
    builder.build()
}

fn take_stats(summary: &mut Summary, pool: &Pool) {
    let stats = pool.stats();
    summary.workers = pool.workers();
    summary.retried = stats.retried;
    summary.cpu = stats.cpu_of_ended_workers + stats.workers.iter().map(|w| w.cpu).sum::<Duration>();
    summary.peak_rss_bytes = stats.workers.iter().map(|w| w.peak_rss_bytes).max().unwrap_or(0);
}

/// One kind of error for a task that fails by itself and for one that the pool lost.
fn flatten<D>(outcome: Outcome<Result<D, TaskError>>) -> Result<D, (&'static str, String, u32)> {
    let attempts = outcome.attempts;
    match outcome.result {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(("failed", error.to_string(), attempts)),
        Err(failure) => Err((kind_of(&failure), failure.to_string(), attempts)),
    }
}

fn kind_of(failure: &Failure) -> &'static str {
    match failure.kind() {
        FailureKind::TimedOut { .. } => "timed_out",
        FailureKind::Crashed { .. } => "crashed",
        FailureKind::Cancelled { .. } => "cancelled",
        _ => "failed",
    }
}

impl FailedTask {
    fn new(task: usize, item: &Item, kind: &'static str, message: String, attempts: u32) -> FailedTask {
        let input = item.path.display().to_string();
        // A task's own error names its input; what the pool says of a worker does not.
        let message =
            if message.contains(&input) { message } else { format!("failed to process `{input}`: {message}") };
        FailedTask { task, input, kind, message, attempts }
    }
}

/// The tasks for the pool, noted in the ledger as they are pulled.
struct Pull<'a, T> {
    tasks: Box<dyn Iterator<Item = Planned<T>>>,
    ledger: Rc<RefCell<Ledger>>,
    interrupt: &'a Interrupt,
    fail_fast: bool,
}

impl<T> Iterator for Pull<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if self.interrupt.is_raised() || self.fail_fast && self.ledger.borrow().has_failed() {
                return None;
            }
            let planned = self.tasks.next()?;
            let mut ledger = self.ledger.borrow_mut();
            let number = ledger.summary.tasks as usize;
            ledger.summary.tasks += 1;
            match planned {
                Planned::Task(item, task) => {
                    let index = ledger.pulled;
                    ledger.pulled += 1;
                    ledger.found.push(item.clone());
                    ledger.items.insert(index, (number, item));
                    return Some(task);
                }
                Planned::Failed(item, error) => ledger.unusable.push((number, item, error)),
            }
        }
    }
}

/// What is known of the tasks, by those who pull and by those who collect: both in the same thread.
#[derive(Default)]
struct Ledger {
    summary: Summary,
    /// Tasks that run or wait, by their number in the pool's call: the number in the plan, and what it says.
    items: HashMap<usize, (usize, Item)>,
    pulled: usize,
    found: Vec<Item>,
    unusable: Vec<(usize, Item, TaskError)>,
}

impl Ledger {
    fn take_news(&mut self) -> (Vec<Item>, Vec<(usize, Item, TaskError)>) {
        (std::mem::take(&mut self.found), std::mem::take(&mut self.unusable))
    }

    fn done(&mut self, item: &Item, watch: &mut dyn Watch) {
        self.summary.done += 1;
        self.summary.bytes_in += item.bytes;
        watch.finished(item, None);
    }

    fn fail(&mut self, item: &Item, failed: FailedTask, watch: &mut dyn Watch) {
        let count = match failed.kind {
            "timed_out" => &mut self.summary.timed_out,
            "crashed" => &mut self.summary.crashed,
            "cancelled" => &mut self.summary.cancelled,
            _ => &mut self.summary.failed,
        };
        *count += 1;
        watch.finished(item, Some(&failed));
        self.summary.failures.push(failed);
    }

    fn has_failed(&self) -> bool {
        !self.summary.failures.is_empty() || !self.unusable.is_empty()
    }
}
