//! The job `logs`: counts lines, and the lines that match patterns, in files, folders and streams.
//!
//! ```text
//! PATH... -> plan: whole files, byte ranges of huge ones, blocks of a stream -> run: counts of one part
//!         -> fold: counts per file -> report
//! ```

mod args;
mod blocks;
mod literals;
pub(crate) mod matcher;
pub(crate) mod pattern;
mod plan;
mod report;
mod run;
mod scan;
mod stream;
mod totals;

#[cfg(test)]
mod tests;

use crate::walk::Filter;
use crate::{Item, Job, Plan, PlanError, Report, TaskError};

pub use args::LogsArgs;
pub use run::{LogsContext, LogsDone, LogsTask};

use report::LogsReport;
use stream::Spool;
use totals::Totals;

/// Counts lines and matching lines.
#[derive(Debug)]
pub struct LogsJob {
    args: LogsArgs,
    filter: Filter,
    context: LogsContext,
    workers: usize,
    totals: Totals,
    /// Where compressed streams are put for the workers; kept until the job ends.
    spool: Option<Spool>,
}

impl LogsJob {
    /// A job that cuts huge files into parts for `workers` workers, and counts all lines unless `--count-only`.
    ///
    /// # Errors
    /// When a pattern or a glob is malformed, or two patterns have the same name.
    pub fn new(args: LogsArgs, workers: usize) -> Result<LogsJob, PlanError> {
        let context = LogsContext::new(pattern::parse_all(&args.matches)?, !args.count_only, args.show.unwrap_or(0));
        context.check()?;
        Ok(LogsJob {
            filter: Filter::new(&args.walk)?,
            workers: workers.max(1),
            totals: Totals::new(context.patterns.len(), args.show.unwrap_or(0)),
            context,
            args,
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
    const RESULTS_VERSION: u32 = 1;
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

    fn plan(&mut self) -> Result<Plan<LogsTask>, PlanError> {
        let (plan, spool) = plan::plan(&self.args.paths, self.filter.clone(), self.workers);
        self.spool = spool;
        Ok(plan)
    }

    fn run(context: &LogsContext, task: LogsTask) -> Result<LogsDone, TaskError> {
        run::run(context, task)
    }

    fn fold(&mut self, item: &Item, done: LogsDone) -> Result<(), TaskError> {
        self.totals.add(item, done);
        Ok(())
    }

    fn fold_failure(&mut self, item: &Item, _error: &TaskError) {
        self.totals.drop_file(item);
    }

    fn report(self) -> Box<dyn Report> {
        let shows_samples = self.args.show.is_some();
        Box::new(LogsReport::new(self.context.patterns, self.context.count_lines, shows_samples, self.totals))
    }
}
