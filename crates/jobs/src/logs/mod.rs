//! The job `logs`: counts lines, and the lines that match patterns, in files, folders and streams.
//!
//! ```text
//! PATH... -> plan: whole files, byte ranges of huge ones, blocks of a stream -> run: counts of one part
//!         -> fold: counts per file -> report
//! ```
//!
//! With a query on fields each line is read first (`sift`): what meets its conditions goes on to the patterns, into groups
//! and into the histogram; `gather` adds up the parts.

mod args;
mod blocks;
mod first;
mod gather;
mod groups;
mod histogram;
mod literals;
pub(crate) mod matcher;
pub(crate) mod pattern;
mod plan;
mod query;
mod report;
mod run;
mod scan;
mod sift;
mod stats;
mod stream;
mod totals;

#[cfg(test)]
mod tests;

use crate::time::Clock;
use crate::walk::{Filter, Walk};
use crate::{FailedKind, FilesAhead, Item, Job, Plan, PlanError, Report, TaskError};

pub use args::LogsArgs;
pub use run::{LogsContext, LogsDone, LogsTask};

use gather::{Found, Gather, MAX_GROUPS};
use query::Query;
use report::{Fields, LogsReport};
use stream::Spool;
use totals::Totals;

/// Counts lines and matching lines; with a query on fields also groups, measures and times them.
///
/// What may be asked is in [`LogsArgs`], which by default ask for nothing but lines.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::logs::{LogsArgs, LogsJob};
/// use procession_jobs::{Interrupt, Options, Records};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let log = folder.path().join("app.log");
/// std::fs::write(&log, "level=info took=3\nlevel=error took=700\nlevel=error took=12\n").unwrap();
/// let args = LogsArgs {
///     paths: vec![log],
///     matches: vec!["slow=took=[0-9]{3,}".into()],
///     by: Some("level".into()),
///     ..LogsArgs::default()
/// };
/// let options = Options::default();
/// let job = LogsJob::new(args, options.workers)?;
/// let finished = procession_jobs::run(job, &options, &Records::default(), &Interrupt::default(), &mut ())?;
/// assert_eq!(finished.problem(), None);
/// let found = finished.report.json();
/// assert_eq!((&found["lines"], &found["patterns"][0]["lines"]), (&3.into(), &1.into()));
/// assert_eq!(found["groups"]["rows"][0]["key"][0], "error");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogsJob {
    args: LogsArgs,
    filter: Filter,
    context: LogsContext,
    workers: usize,
    totals: Totals,
    /// What tasks find in fields, until it is added up.
    gather: Option<Gather>,
    found: Option<Found>,
    /// Where compressed streams are put for the workers; kept until the job ends.
    spool: Option<Spool>,
}

impl LogsJob {
    /// A job that cuts huge files into parts for `workers` workers, and counts all lines unless `--count-only`.
    ///
    /// # Errors
    /// When a pattern or a glob is malformed, two patterns have the same name, or what is asked of fields makes no sense.
    pub fn new(args: LogsArgs, workers: usize) -> Result<LogsJob, PlanError> {
        LogsJob::at(args, workers, Clock::system())
    }

    /// The same at another time.
    fn at(mut args: LogsArgs, workers: usize, clock: Clock) -> Result<LogsJob, PlanError> {
        let query = Query::new(&args, clock)?;
        if let Some(query) = &query {
            // What a journal is for: "an hour ago" would be another time when the job is taken up again.
            args.since = query.since.map(|time| time.to_string());
            args.until = query.until.map(|time| time.to_string());
        }
        let top = args.top.unwrap_or(MAX_GROUPS);
        let gather = query.as_ref().map(|query| Gather::new(query, top, groups::MEMORY_BYTES));
        let patterns = pattern::parse_all(&args.matches)?;
        let context = LogsContext::new(patterns, !args.count_only, args.show.unwrap_or(0), query);
        context.check()?;
        Ok(LogsJob {
            filter: Filter::new(&args.walk)?,
            workers: workers.max(1),
            totals: Totals::new(context.patterns.len(), args.show.unwrap_or(0)),
            context,
            args,
            gather,
            found: None,
            spool: None,
        })
    }

    /// Counts all lines too, whatever `--count-only` says, for reports that always have that number.
    #[must_use]
    pub fn count_lines(mut self, count_lines: bool) -> LogsJob {
        self.context.count_lines = count_lines;
        self
    }
}

impl Job for LogsJob {
    const NAME: &'static str = "logs";
    const RESULTS_VERSION: u32 = 2;
    type Args = LogsArgs;
    type Context = LogsContext;
    type Task = LogsTask;
    type Done = LogsDone;

    fn args(&self) -> &LogsArgs {
        &self.args
    }

    fn context(&self) -> &LogsContext {
        &self.context
    }

    fn plan(&mut self, files_ahead: &FilesAhead) -> Result<Plan<LogsTask>, PlanError> {
        let walk = Walk::new(self.args.paths.iter().cloned(), self.filter.clone()).open_ahead(files_ahead.clone());
        let (plan, spool) = plan::plan(walk, self.workers);
        self.spool = spool;
        Ok(plan)
    }

    fn run(context: &LogsContext, task: LogsTask) -> Result<LogsDone, TaskError> {
        run::run(context, task)
    }

    fn fold(&mut self, item: &Item, mut done: LogsDone) -> Result<(), TaskError> {
        if let Some(gather) = &mut self.gather {
            let Some(tally) = &mut done.tally else {
                return Err(TaskError::new(format_args!(
                    "failed to add up `{}`: it has no fields",
                    item.path.display()
                )));
            };
            gather.add(item, tally)?;
        }
        self.totals.add(item, done);
        Ok(())
    }

    fn fold_failure(&mut self, item: &Item, _kind: FailedKind) {
        self.totals.drop_file(item);
    }

    fn finish(&mut self, _is_whole: bool) -> Result<(), TaskError> {
        let Some(gather) = self.gather.take() else { return Ok(()) };
        let (found, result) = gather.finish();
        self.found = Some(found);
        result
    }

    fn report(self) -> Box<dyn Report> {
        let shows_samples = self.args.show.is_some();
        let LogsContext { patterns, count_lines, query, .. } = self.context;
        let has_top = self.args.top.is_some();
        let fields = query.zip(self.found).map(|(query, found)| Fields { query, found, has_top });
        Box::new(LogsReport::new(patterns, count_lines, shows_samples, self.totals, fields))
    }
}
