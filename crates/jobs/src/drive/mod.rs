//! Runs any job on a pool: plan, run, fold, report, with the outcomes counted on the way.

mod finished;
mod interrupt;
mod ledger;
mod options;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::{ErrorKind, Failure, FailureKind, Pool, Sandbox};

use crate::content::Contents;
use crate::select::Selected;
use crate::{Access, Exit, FilesAhead, Item, Job, PlanError, Planned, Records, Selection, TaskError};

pub use finished::{FailedKind, FailedTask, Finished, Summary};
pub use interrupt::Interrupt;
use ledger::{Ledger, Pull};
pub use options::{Options, SandboxMode};

/// About what the first worker takes to start, when its supervisor is ready.
const START_TIME: Duration = Duration::from_millis(1);
/// Tasks of a job in order that are begun or done before their turn, for each worker.
const ORDERED_A_WORKER: usize = 3;
/// Bytes of results that may wait for their turn.
const ORDERED_BYTES: usize = 64 << 20;

/// Who is told of what happens while a job runs.
pub trait Watch {
    /// A task was found.
    fn planned(&mut self, item: &Item);
    /// A task has its outcome: done, or an error.
    fn finished(&mut self, item: &Item, error: Option<&FailedTask>);
}

/// Nobody is told.
impl Watch for () {
    fn planned(&mut self, _: &Item) {}
    fn finished(&mut self, _: &Item, _: Option<&FailedTask>) {}
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

/// The tasks of a plan without running them: what `--dry-run` shows.
///
/// # Errors
/// As [`Job::plan`], and if a number was selected that no task has.
pub fn plan<J: Job>(mut job: J, selection: &Selection) -> Result<Vec<PlannedTask>, PlanError> {
    let plan = job.plan(&FilesAhead::default())?;
    let mut selected = Selected::new(plan.tasks, selection);
    let tasks = std::iter::from_fn(|| selected.next())
        .map(|(number, planned)| match planned {
            Planned::Task(item, _) => PlannedTask { number, item, problem: None },
            Planned::Failed(item, error) => PlannedTask { number, item, problem: Some(error) },
        })
        .collect();
    selected.check()?;
    Ok(tasks)
}

/// A task that would run.
#[derive(Debug)]
pub struct PlannedTask {
    /// Its number in the plan, from 0.
    pub number: usize,
    /// What the plan says of it.
    pub item: Item,
    /// Why it would fail, if that is known.
    pub problem: Option<TaskError>,
}

/// Runs a job.
///
/// # Errors
/// When nothing could run; failed tasks are part of what [`Finished`] says.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::transform::{Transform, TransformArgs};
/// use procession_jobs::{Interrupt, Options, Records, Replace};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let (input, output) = (folder.path().join("a.csv"), folder.path().join("a.ndjson"));
/// std::fs::write(&input, "id,n\n007,1\n008,2\n").unwrap();
/// let args = TransformArgs { inputs: vec![input], condition: Some("n > 1".into()), ..TransformArgs::default() };
/// let job = Transform::new(args, Some(&output), Replace::Never);
/// let finished =
///     procession_jobs::run(job, &Options::default(), &Records::default(), &Interrupt::default(), &mut ())?;
/// assert_eq!(finished.problem(), None);
/// assert_eq!(finished.report.json()["rows_written"], 1);
/// assert_eq!(std::fs::read_to_string(&output).unwrap(), "{\"id\":\"008\",\"n\":2}\n");
/// # Ok::<(), procession_jobs::DriveError>(())
/// ```
pub fn run<J: Job>(
    mut job: J,
    options: &Options,
    records: &Records,
    interrupt: &Interrupt,
    watch: &mut dyn Watch,
) -> Result<Finished, DriveError> {
    let start = Instant::now();
    // A journal knows a task by its bytes, and an open file is none.
    let has_use = options.sandbox != SandboxMode::Off && records.journal.is_none();
    let most_ahead = if has_use { options.files_ahead } else { 0 };
    let files_ahead = FilesAhead::new(most_ahead);
    let plan = interrupt.pulling(|| job.plan(&files_ahead)).map_err(DriveError::Plan)?;
    let pool = Arc::new(build_pool::<J>(options, &plan.access).map_err(DriveError::Pool)?);
    interrupt.watch(&pool);
    let ledger = Rc::new(RefCell::new(Ledger::new(J::NAME, watch)));
    let tasks = interrupt.pulling(|| look_ahead(plan.tasks));
    let selected = Rc::new(RefCell::new(Selected::new(tasks, &records.selection)));
    let tasks = Pull {
        tasks: Rc::clone(&selected),
        ledger: Rc::clone(&ledger),
        interrupt,
        fail_fast: options.fail_fast,
        records,
        contents: Contents::default(),
        pool: Arc::clone(&pool),
        files_ahead,
        most_ahead,
    };
    let outcomes = match (&records.journal, J::IS_ORDERED) {
        (Some(journal), true) => pool.journal(journal).try_imap_with(job.context(), run_task::<J>, tasks),
        (Some(journal), false) => pool.journal(journal).try_imap_unordered_with(job.context(), run_task::<J>, tasks),
        (None, true) => pool.try_imap_with(job.context(), run_task::<J>, tasks),
        (None, false) => pool.try_imap_unordered_with(job.context(), run_task::<J>, tasks),
    };
    let mut outcomes = match outcomes {
        Ok(outcomes) => Some(outcomes),
        // Interrupted while the plan looked for its first task. The report is one of nothing, as a moment earlier.
        Err(error) if interrupt.is_raised() && error.kind() == ErrorKind::Closed => None,
        Err(error) => return Err(DriveError::Pool(error)),
    };
    loop {
        let outcome = outcomes.as_mut().and_then(Iterator::next);
        // The plan found them unusable since the last look.
        for (number, item) in ledger.borrow_mut().take_unusable() {
            job.fold_failure(&item, FailedKind::Failed);
            records.ended(J::NAME, number, &item, Duration::ZERO, Exit::FAILED);
        }
        let Some(outcome) = outcome else { break };
        let Some((number, item)) = ledger.borrow_mut().items.remove(&outcome.index) else { continue };
        let attempts = outcome.attempts;
        let error = match outcome.result {
            Ok(done) => {
                let is_resumed = attempts == 0;
                let folded = job.fold(&item, done);
                if !is_resumed {
                    let exit = if folded.is_ok() { Exit::DONE } else { Exit::FAILED };
                    records.ended(J::NAME, number, &item, outcome.elapsed, exit);
                }
                match folded {
                    Ok(()) => {
                        ledger.borrow_mut().done(&item, is_resumed);
                        if job.is_over() {
                            break;
                        }
                        continue;
                    }
                    Err(error) => (FailedKind::Failed, error),
                }
            }
            Err(failure) => {
                if let Some(exit) = Exit::of(failure.kind()) {
                    records.ended(J::NAME, number, &item, outcome.elapsed, exit);
                }
                of_failure(&item, &failure, interrupt)
            }
        };
        job.fold_failure(&item, error.0);
        ledger.borrow_mut().fail(number, &item, error, attempts);
        if options.fail_fast || job.is_over() {
            break;
        }
    }
    drop(outcomes);
    let mut ledger = ledger.borrow_mut();
    let broken = broken_pool::<J>(&pool, job.context(), interrupt);
    let has_all = ledger.items.is_empty() && ledger.summary.is_planned;
    let has_enough = job.is_over() && !ledger.has_failed();
    if job.is_over() {
        ledger.forget();
    }
    // What was pulled and has no outcome, because nobody waited for it.
    for (number, item) in std::mem::take(&mut ledger.items).into_values() {
        let why = if options.fail_fast { "an earlier task failed (--fail-fast)" } else { "the workers are gone" };
        let error = cancelled(&item, why);
        job.fold_failure(&item, error.0);
        ledger.fail(number, &item, error, 0);
    }
    let mut summary = std::mem::take(&mut ledger.summary);
    summary.elapsed = start.elapsed();
    summary.is_interrupted = interrupt.is_raised();
    summary.is_cut_short = broken.is_some() || summary.cancelled > 0 || !(has_all || has_enough);
    summary.failures.sort_by_key(|failed| failed.task);
    take_stats(&mut summary, &pool);
    let is_whole = summary.done == summary.tasks && !summary.is_interrupted && broken.is_none();
    let unwritten = job.finish(is_whole).err();
    let unrecorded = selected.borrow().check().err().map(|error| error.to_string()).or_else(|| records.problem());
    Ok(Finished { summary, report: job.report(), broken, unrecorded, unwritten, pool })
}

/// [`Job::run`], whose error tells the pool whether another try may help.
fn run_task<J: Job>(context: &J::Context, task: J::Task) -> Result<J::Done, procession::TaskError> {
    J::run(context, task).map_err(procession::TaskError::from)
}

/// Plans the first tasks while the workers start.
fn look_ahead<T: 'static>(mut tasks: Box<dyn Iterator<Item = Planned<T>>>) -> Box<dyn Iterator<Item = Planned<T>>> {
    let start = Instant::now();
    let mut first = Vec::new();
    while start.elapsed() < START_TIME
        && let Some(planned) = tasks.next()
    {
        first.push(planned);
    }
    Box::new(first.into_iter().chain(tasks))
}

fn build_pool<J: Job>(options: &Options, access: &Access) -> Result<Pool, procession::Error> {
    let mut builder = Pool::builder().name(J::NAME).workers(options.workers).retries(options.retries);
    if J::IS_ORDERED {
        builder = builder.max_in_flight(options.workers.saturating_mul(ORDERED_A_WORKER), ORDERED_BYTES);
    }
    builder = builder.limits(options.limits.clone());
    if let Some(timeout) = options.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(bytes) = options.memory_free_bytes {
        builder = builder.memory_free(bytes);
    }
    if let Some(threads) = options.max_load {
        builder = builder.max_load(threads);
    }
    if let Some(delay) = options.delay {
        builder = builder.delay(delay);
    }
    if options.sandbox != SandboxMode::Off {
        builder = builder.sandbox(sandbox(options.sandbox, access));
    }
    builder.build()
}

/// The sandbox of workers that touch what a plan names, and nothing else.
fn sandbox(mode: SandboxMode, access: &Access) -> Sandbox {
    let sandbox = access.read.iter().fold(Sandbox::compute(), Sandbox::read);
    let sandbox = access.write.iter().fold(sandbox, Sandbox::write);
    if mode == SandboxMode::Require { sandbox.require() } else { sandbox }
}

fn take_stats(summary: &mut Summary, pool: &Pool) {
    let stats = pool.stats();
    summary.workers = pool.workers();
    summary.sandbox = pool.sandbox().cloned();
    summary.retried = stats.retried;
    summary.cpu = stats.cpu_of_ended_workers + stats.workers.iter().map(|w| w.cpu).sum::<Duration>();
    summary.peak_rss_bytes = stats.workers.iter().map(|w| w.peak_rss_bytes).max().unwrap_or(0);
    summary.peak_rss_bytes = summary.peak_rss_bytes.max(stats.peak_rss_of_ended_workers_bytes);
}

/// Why the pool takes no more tasks, though nobody ended it: the outcomes of those it has do not tell.
fn broken_pool<J: Job>(pool: &Pool, context: &J::Context, interrupt: &Interrupt) -> Option<procession::Error> {
    let is_ended = interrupt.is_raised();
    pool.imap_unordered_with(context, J::run, std::iter::empty()).err().filter(|_| !is_ended)
}

/// What went wrong with a task. What the pool says, other than a task's own error, does not name the input.
fn of_failure(item: &Item, failure: &Failure, interrupt: &Interrupt) -> (FailedKind, TaskError) {
    let kind = match failure.kind() {
        FailureKind::Cancelled { .. } if interrupt.is_raised() => return cancelled(item, "interrupted"),
        FailureKind::Cancelled { reason } => return cancelled(item, reason),
        FailureKind::Failed { message } => return (FailedKind::Failed, TaskError::new(message)),
        FailureKind::TimedOut { .. } => FailedKind::TimedOut,
        FailureKind::Crashed { .. } => FailedKind::Crashed,
        FailureKind::OverMemory { .. } => FailedKind::OverMemory,
        _ => FailedKind::Failed,
    };
    (kind, TaskError::new(format_args!("failed to process `{}`: {failure}", item.path.display())))
}

fn cancelled(item: &Item, why: &str) -> (FailedKind, TaskError) {
    (FailedKind::Cancelled, TaskError::new(format_args!("cancelled `{}`: {why}", item.path.display())))
}
