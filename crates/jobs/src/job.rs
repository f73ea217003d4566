//! What a job is: it plans its inputs into tasks, runs one task in a worker, folds what was done, and reports.
//!
//! ```text
//! arguments -> plan -> Tasks -> Pool -> Outcomes -> fold -> Report
//! ```
//!
//! `plan`, `fold` and `report` run in the program; `run` runs in a worker, which may touch what [`Plan::access`] names
//! and nothing else.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{FailedKind, FilesAhead, Stamp, Streamed};

/// A named recipe of the toolbox.
pub trait Job: Sized {
    /// The word on the command line.
    const NAME: &'static str;
    /// Version of what [`Job::run`] gives: raise it when a result that an older program has recorded in a journal would
    /// be wrong by now, or of another form.
    const RESULTS_VERSION: u32;
    /// Whether tasks are folded in the order of the plan. Then few of them are begun at once: what is done waits in the
    /// program's memory for its turn.
    const IS_ORDERED: bool = false;
    /// Whether the output is what the job writes itself, and not the report.
    const WRITES_OUTPUT: bool = false;
    /// The job's own command line. With name and version it is what a journal is for, as `Debug` shows it.
    type Args: fmt::Debug;
    /// What every task needs, sent once to each worker. Compile expensive parts lazily behind a `#[serde(skip)]` cell.
    type Context: Serialize + DeserializeOwned + 'static;
    /// The input of one task: plain data.
    type Task: Serialize + DeserializeOwned + 'static;
    /// The result of one task: plain data.
    type Done: Serialize + DeserializeOwned + 'static;

    /// The job's own command line, all of it: a journal of other arguments is refused.
    fn args(&self) -> &Self::Args;

    /// What to send to each worker before its first task.
    fn context(&self) -> &Self::Context;

    /// Names the tasks. They are pulled one by one while workers already run the first ones. As many files as `files_ahead`
    /// says at the time may be opened here, to be handed to workers.
    ///
    /// # Errors
    /// When the arguments or the inputs as a whole cannot be used: nothing runs, the program exits with 2. One bad
    /// input among others is not an error here, but a [`Planned::Failed`].
    fn plan(&mut self, files_ahead: &FilesAhead) -> Result<Plan<Self::Task>, PlanError>;

    /// Runs one task, in a worker process. Keeps no state.
    ///
    /// # Errors
    /// What went wrong with this task's input, in words for the user.
    fn run(context: &Self::Context, task: Self::Task) -> Result<Self::Done, TaskError>;

    /// Takes in one task that was done; `item` is what the plan said of it. Tasks arrive in any order, or in that of the
    /// plan ([`Job::IS_ORDERED`]).
    ///
    /// # Errors
    /// When the result shows that the task's input is of no use, or it cannot be put where it belongs: the task counts as
    /// failed.
    fn fold(&mut self, item: &Item, done: Self::Done) -> Result<(), TaskError>;

    /// Takes in one task that failed for good (its own error, a crash, a timeout), or was given up. The driver lists it among
    /// the failures in any case; a job overrides this only if its own result depends on it.
    fn fold_failure(&mut self, _item: &Item, _kind: FailedKind) {}

    /// Whether the job has all that it wants, or cannot go on: tasks without an outcome are forgotten.
    fn is_over(&self) -> bool {
        false
    }

    /// Ends what the job writes itself. Called once, after the last task; `is_whole` if none has failed and nobody has
    /// stopped the job.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self, _is_whole: bool) -> Result<(), TaskError> {
        Ok(())
    }

    /// Turns what was folded into the result that the user sees.
    fn report(self) -> Box<dyn Report>;
}

/// What a plan says about one task, kept in the program while the task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Number of the input, in the order of the report: all parts of one large file have the same.
    pub input: usize,
    /// The input's name as the user knows it; `-` is standard input.
    pub path: Arc<Path>,
    /// Bytes of input that this task stands for, for progress and rates.
    pub bytes: u64,
    /// The file as the plan has seen it, if the input is one: a task whose file has changed is not taken from a journal.
    pub stamp: Option<Stamp>,
}

/// One step of a plan.
#[derive(Debug)]
pub enum Planned<T> {
    /// A task to run.
    Task(Item, T),
    /// An input that is known to be unusable (a missing path): a failed task that needs no worker.
    Failed(Item, TaskError),
}

/// The tasks of a job, and what running them may touch.
pub struct Plan<T> {
    /// The tasks, made while they are pulled.
    pub tasks: Box<dyn Iterator<Item = Planned<T>>>,
    /// Everything that the workers may touch.
    pub access: Access,
}

/// What a job's workers may read and write: files, or folders with all that is below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Paths to read.
    pub read: Vec<PathBuf>,
    /// Paths to write.
    pub write: Vec<PathBuf>,
}

/// Why a task failed: the action, the thing and the cause, as one line ("failed to read `a.log`: permission denied").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    message: String,
    is_retryable: bool,
}

impl TaskError {
    /// An error from words of its own.
    pub fn new(message: impl fmt::Display) -> TaskError {
        TaskError { message: message.to_string(), is_retryable: false }
    }

    /// The same, of something that may pass: with `--retries` the task is tried again.
    #[must_use]
    pub fn retryable(self) -> TaskError {
        TaskError { is_retryable: true, ..self }
    }

    /// "failed to {action} `{path}`: {cause}".
    pub fn io(action: &str, path: &Path, cause: &io::Error) -> TaskError {
        TaskError::new(format_args!("failed to {action} `{}`: {}", path.display(), describe(cause)))
    }
}

impl From<TaskError> for procession::TaskError {
    fn from(error: TaskError) -> procession::TaskError {
        match error.is_retryable {
            true => procession::TaskError::retryable(error.message),
            false => procession::TaskError::new(error.message),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TaskError {}

/// The cause in lower case and without the "(os error 2)" that tells a user nothing.
pub fn describe(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        _ => {
            let text = cause.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

/// The library's error without the "(os error 2)" that tells a user nothing.
pub fn without_number(error: &procession::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// Why nothing can run: bad usage or unusable input. The message names the flag that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    message: String,
    excerpt: Vec<String>,
}

impl PlanError {
    /// An error from words of its own.
    pub fn new(message: impl fmt::Display) -> PlanError {
        PlanError { message: message.to_string(), excerpt: Vec::new() }
    }

    /// The same, with lines below it that show the place. They are lines on the screen, too, while a line end within the
    /// message may be from a file's name, and is shown escaped.
    #[must_use]
    pub fn with_excerpt(self, lines: impl IntoIterator<Item = String>) -> PlanError {
        PlanError { excerpt: lines.into_iter().collect(), ..self }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The lines that show the place, if it has one.
    pub fn excerpt(&self) -> &[String] {
        &self.excerpt
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.excerpt.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl std::error::Error for PlanError {}

/// A job's own result, in the forms that the sinks need.
pub trait Report {
    /// The form for people (and, for `hash`, for `sha256sum -c`): the report with `--format table`.
    ///
    /// # Errors
    /// Those of `out`.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// The line behind [`Report::text`] that tells what all of it lacks, when the run was cut short. None if those who read
    /// that form would take it for a result.
    fn remark(&self, remark: &str) -> Option<String> {
        Some(remark.to_string())
    }

    /// The value of `result` in `--format json`.
    fn result(&self) -> Streamed<'_>;

    /// The same as one value in memory.
    fn json(&self) -> serde_json::Value {
        self.result().to_value()
    }

    /// The rows of `--format csv`.
    fn table(&self) -> Table;

    /// Whether the result itself says that the command should end with exit code 1 though every task was done
    /// (a checksum that does not match).
    fn is_bad(&self) -> bool {
        false
    }

    /// Whether failed tasks can be run again on their own, and their results be put to the others'.
    fn has_parts(&self) -> bool {
        true
    }

    /// Whether the command should end with its usual line of numbers.
    fn wants_summary(&self) -> bool {
        true
    }

    /// Lines for standard error, after the report (warnings in the job's own words).
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Rows under a header; each row has as many cells as the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}
