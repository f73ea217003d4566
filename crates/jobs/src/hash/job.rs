//! The job: ties plan, run, fold and report together, for both of its modes.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::walk::{Filter, Walk};
use crate::{Access, FailedKind, FilesAhead, Item, Job, Plan, PlanError, Planned, Report, TaskError};

use super::algorithm::Algorithm;
use super::args::HashArgs;
use super::check::{Check, CheckStyle};
use super::join::Join;
use super::line::{LineParser, LineStyle};
use super::list::read_list;
use super::plan::{self, Planner, Tasks};
use super::problem::Problem;
use super::read;
use super::split::Split;
use super::sums::Sums;
use super::task::{Context, Done, Task};

/// Checksums of files, or the check of lists of them.
///
/// SHA-256 unless [`HashArgs::algorithm`] says otherwise. The report as text is what `sha256sum --check` reads.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::hash::{Algorithm, Hash, HashArgs};
/// use procession_jobs::{Interrupt, Options, Records};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let file = folder.path().join("a");
/// std::fs::write(&file, "abc").unwrap();
/// let args = HashArgs { paths: vec![file], algorithm: Some(Algorithm::Md5), ..HashArgs::default() };
/// let options = Options::default();
/// let job = Hash::new(args, options.workers);
/// let finished = procession_jobs::run(job, &options, &Records::default(), &Interrupt::default(), &mut ())?;
/// assert_eq!(finished.problem(), None);
/// assert_eq!(finished.report.json()["files"][0]["digest"], "900150983cd24fb0d6963f7d28e17f72");
/// # Ok::<(), procession_jobs::DriveError>(())
/// ```
#[derive(Debug)]
pub struct Hash {
    args: HashArgs,
    planner: Planner,
    context: Context,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Sums(Sums),
    Check(Check),
}

impl Hash {
    /// The job that the arguments ask for, to run on that many workers.
    pub fn new(args: HashArgs, workers: usize) -> Hash {
        Hash::with_split(args, Split::new(workers))
    }

    /// The same, with files cut in another way.
    pub(super) fn with_split(args: HashArgs, split: Split) -> Hash {
        let join = Join::new(split);
        let mode = if args.check {
            let style = CheckStyle {
                algorithm: args.algorithm,
                ignore_missing: args.ignore_missing,
                strict: args.strict,
                quiet: args.quiet,
                status: args.status,
                warn: args.warn,
            };
            Mode::Check(Check::new(style, join))
        } else {
            let algorithm = args.algorithm.unwrap_or(Algorithm::Sha256);
            Mode::Sums(Sums::new(LineStyle { algorithm, tag: args.tag, zero: args.zero }, join))
        };
        let planner = Planner { split, check: args.check };
        Hash { context: Context { check: args.check, ..Context::default() }, args, planner, mode }
    }
}

impl Job for Hash {
    const NAME: &'static str = "hash";
    const RESULTS_VERSION: u32 = 1;
    type Args = HashArgs;
    type Context = Context;
    type Task = Task;
    type Done = Done;

    fn args(&self) -> &HashArgs {
        &self.args
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn plan(&mut self, files_ahead: &FilesAhead) -> Result<Plan<Task>, PlanError> {
        let planner = self.planner;
        match &mut self.mode {
            Mode::Sums(sums) => {
                let walk = Walk::new(self.args.paths.iter().cloned(), Filter::new(&self.args.walk)?);
                let walk = walk.open_ahead(files_ahead.clone());
                let access = Access { read: walk.access(), write: Vec::new() };
                let algorithm = sums.style().algorithm;
                let tasks = Box::new(walk.flat_map(move |found| planner.found(found, algorithm)));
                Ok(Plan { tasks, access })
            }
            Mode::Check(check) => Ok(plan_check(planner, check, &self.args.paths)),
        }
    }

    fn run(context: &Context, task: Task) -> Result<Done, TaskError> {
        let opener = || context.opener.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |path: &Path| opener().open(path).map_err(Problem::Io);
        let (path, result) = match task {
            Task::Ready(done) => return Ok(done),
            Task::File { path, algorithm, bytes, opened } => {
                let file = opened.take().map_or_else(|| open(&path), |file| file.map_err(Problem::Io));
                let hashed = file.and_then(|file| {
                    let (bytes, digest) = read::file(&file, algorithm, bytes)?;
                    opener().close(file, bytes);
                    Ok(Done::File { bytes, digest })
                });
                (path, hashed)
            }
            Task::Piece { path, piece, stamp } => {
                let chain = open(&path).and_then(|file| read::piece(&file, piece, stamp));
                (path, chain.map(|chain| Done::Piece { index: piece.index, file_bytes: stamp.bytes, chain }))
            }
        };
        match result {
            Err(problem) if context.check => Ok(problem.unreadable(&path)),
            result => result.map_err(|problem| problem.task_error(&path)),
        }
    }

    fn fold(&mut self, item: &Item, done: Done) -> Result<(), TaskError> {
        match &mut self.mode {
            Mode::Sums(sums) => sums.fold(item, done),
            Mode::Check(check) => check.fold(item, done),
        }
        Ok(())
    }

    fn fold_failure(&mut self, item: &Item, kind: FailedKind) {
        match &mut self.mode {
            Mode::Sums(sums) => sums.fold_failure(item),
            Mode::Check(check) => check.fold_failure(item, kind),
        }
    }

    fn report(self) -> Box<dyn Report> {
        match self.mode {
            Mode::Sums(sums) => sums.report(),
            Mode::Check(check) => check.report(),
        }
    }
}

/// Reads the lists at once: what they name is what workers may read.
fn plan_check(planner: Planner, check: &mut Check, paths: &[PathBuf]) -> Plan<Task> {
    let style = check.style();
    let mut parser = LineParser::new(style.algorithm);
    let (mut lists, mut entries, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match read_list(path, lists.len(), &mut parser, style.warn, &mut entries) {
            Ok(list) => lists.push(list),
            Err(cause) => failed.push((path.clone(), Problem::Io(cause))),
        }
    }
    check.set_lists(lists, entries);
    let entries = check.entries();
    // A folder is no file to check, and must not be granted with all that is below it.
    let read = entries.iter().map(|entry| &*entry.path).filter(|path| *path != Path::new("-") && !path.is_dir());
    let access = Access { read: read.map(Path::to_path_buf).collect(), write: Vec::new() };
    // A list that cannot be read is a failure of the command, unlike a file that a list names. They are numbered after
    // all entries, whose numbers are those of their results.
    let first = entries.len();
    let failed = failed.into_iter().enumerate().map(move |(number, (path, problem))| {
        let error = problem.task_error(&path);
        Planned::Failed(Item { input: first + number, path: path.into(), bytes: 0, stamp: None }, error)
    });
    let tasks: Tasks = Box::new(failed.chain(plan::entries(planner, entries)));
    Plan { tasks, access }
}
