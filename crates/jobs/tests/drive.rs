//! What the driver does for every job.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use procession_jobs::{
    Access, FailedKind, FilesAhead, Interrupt, Item, Job, Options, Plan, PlanError, Planned, Records, Report,
    SandboxMode, Streamed, Table, TaskError,
};

/// A job whose tasks leave a note each time they run, and fail before the third note, or always.
struct Flaky {
    folder: PathBuf,
}

struct Nothing;

impl Report for Nothing {
    fn text(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn result(&self) -> Streamed<'_> {
        Streamed::Value(serde_json::Value::Null)
    }

    fn table(&self) -> Table {
        Table::default()
    }
}

impl Job for Flaky {
    const NAME: &'static str = "flaky";
    const RESULTS_VERSION: u32 = 1;
    type Args = PathBuf;
    type Context = PathBuf;
    type Task = u32;
    type Done = u32;

    fn args(&self) -> &PathBuf {
        &self.folder
    }

    fn context(&self) -> &PathBuf {
        &self.folder
    }

    fn plan(&mut self, _: &FilesAhead) -> Result<Plan<u32>, PlanError> {
        let item = |n: u32| Item { input: n as usize, path: Path::new("x").into(), bytes: 0, stamp: None };
        let tasks = Box::new((0..3).map(move |n| Planned::Task(item(n), n)));
        Ok(Plan { tasks, access: Access { read: Vec::new(), write: vec![self.folder.clone()] } })
    }

    fn run(folder: &PathBuf, task: u32) -> Result<u32, TaskError> {
        let tries = (0..).find(|t| !folder.join(format!("{task}-{t}")).exists()).unwrap_or(0);
        std::fs::write(folder.join(format!("{task}-{tries}")), "").map_err(TaskError::new)?;
        match (task, tries) {
            (0, _) => Err(TaskError::new("for good")),
            (1, ..2) => Err(TaskError::new("not yet").retryable()),
            (2, _) => Err(TaskError::new("never").retryable()),
            _ => Ok(tries),
        }
    }

    fn fold(&mut self, _: &Item, _: u32) -> Result<(), TaskError> {
        Ok(())
    }

    fn report(self) -> Box<dyn Report> {
        Box::new(Nothing)
    }
}

#[test]
fn errors_that_may_pass_are_tried_again_and_others_are_not() {
    let folder = tempfile::TempDir::new().unwrap();
    let job = Flaky { folder: folder.path().to_path_buf() };
    let options = Options { workers: 2, retries: 2, sandbox: SandboxMode::Auto, ..Options::default() };
    let finished =
        procession_jobs::run(job, &options, &Records::default(), &Interrupt::default(), &mut ()).ok().unwrap();
    let summary = &finished.summary;
    assert_eq!((summary.done, summary.failed, summary.retried), (1, 2, 4));
    assert_eq!(finished.problem().as_deref(), Some("for good"));
    let failures: Vec<_> = summary.failures.iter().map(|f| (f.task, f.kind, f.message.as_str(), f.attempts)).collect();
    assert_eq!(failures, [(0, FailedKind::Failed, "for good", 1), (2, FailedKind::Failed, "never", 3)]);
}

/// A job that is interrupted while it looks for its first task.
struct Halted {
    interrupt: Arc<Interrupt>,
}

impl Job for Halted {
    const NAME: &'static str = "halted";
    const RESULTS_VERSION: u32 = 1;
    type Args = ();
    type Context = ();
    type Task = u32;
    type Done = u32;

    fn args(&self) -> &() {
        &()
    }

    fn context(&self) -> &() {
        &()
    }

    fn plan(&mut self, _: &FilesAhead) -> Result<Plan<u32>, PlanError> {
        let interrupt = Arc::clone(&self.interrupt);
        let tasks = (0..3).map(move |n| {
            interrupt.raise();
            Planned::Task(Item { input: n as usize, path: Path::new("x").into(), bytes: 0, stamp: None }, n)
        });
        Ok(Plan { tasks: Box::new(tasks), access: Access { read: Vec::new(), write: Vec::new() } })
    }

    fn run((): &(), task: u32) -> Result<u32, TaskError> {
        Ok(task)
    }

    fn fold(&mut self, _: &Item, _: u32) -> Result<(), TaskError> {
        Ok(())
    }

    fn report(self) -> Box<dyn Report> {
        Box::new(Nothing)
    }
}

#[test]
fn an_interrupt_before_the_first_task_is_an_interrupt_and_no_broken_pool() {
    let interrupt = Arc::new(Interrupt::default());
    let job = Halted { interrupt: Arc::clone(&interrupt) };
    let options = Options { workers: 2, ..Options::default() };
    let finished = procession_jobs::run(job, &options, &Records::default(), &interrupt, &mut ()).unwrap();
    assert!(finished.summary.is_interrupted && finished.broken.is_none());
    assert_eq!((finished.summary.done, finished.summary.failed), (0, 0));
}
