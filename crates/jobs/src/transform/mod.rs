//! The job `transform`: rows of data from one format into another.
//!
//! ```text
//! INPUT... -> inputs: opened, and their first rows looked at (aside, sample) -> columns: the layout of rows
//!          -> plan: chunks of whole rows -> run, in workers: read, compute, write rows -> sink: one output, in order
//! ```
//!
//! The program finds where rows end and no more than that; whatever bytes mean is found out in workers.

mod args;
mod aside;
mod columns;
mod columns_in;
mod csv_flags;
mod desk;
mod frame;
mod inputs;
mod lay_out;
mod layout;
mod plan;
mod probe;
mod quarantine;
mod report;
mod run;
mod sample;
mod sink;
mod spans;
mod spelling;
mod table;
mod task;
mod text;
mod types_out;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::data::columnar::{Join, Piece, cut, join};
use crate::{Access, FailedKind, FilesAhead, Item, Job, Plan, PlanError, Replace, Report, TaskError};

pub use args::{OnBadRow, TransformArgs};
pub use layout::Layout;
pub use task::{TransformDone, TransformTask};

use aside::in_worker;
use columns::{Asked, form_of};
use csv_flags::{name_columns, note_of_delimiter, refuse_needless};
use inputs::Opener;
use lay_out::lay_out;
use layout::Form;
use plan::Tasks;
use quarantine::Quarantine;
use report::{Counts, Ending, InputCounts, MAX_DESCRIBED};
use sample::Sample;
use sink::Sink;
use task::Bad;

/// Rows of data in another format.
///
/// The output appears whole under its name or not at all. What is done with rows is in [`TransformArgs`].
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::transform::{OnBadRow, Transform, TransformArgs};
/// use procession_jobs::{Interrupt, Options, Records, Replace};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let (input, output) = (folder.path().join("a.ndjson"), folder.path().join("a.csv"));
/// std::fs::write(&input, "{\"host\":{\"name\":\"a\"},\"took\":0.5}\nno row\n").unwrap();
/// let args = TransformArgs {
///     inputs: vec![input],
///     select: Some("host=host.name,ms".into()),
///     set: vec!["ms=took * 1000".into()],
///     on_bad_row: OnBadRow::Skip,
///     ..TransformArgs::default()
/// };
/// let job = Transform::new(args, Some(&output), Replace::Never);
/// let finished =
///     procession_jobs::run(job, &Options::default(), &Records::default(), &Interrupt::default(), &mut ())?;
/// assert_eq!(finished.problem(), None);
/// assert_eq!(finished.report.json()["rows_skipped"], 1);
/// assert_eq!(std::fs::read_to_string(&output).unwrap(), "host,ms\na,500\n");
/// # Ok::<(), procession_jobs::DriveError>(())
/// ```
#[derive(Debug)]
pub struct Transform {
    args: TransformArgs,
    output: PathBuf,
    replace: Replace,
    layout: Layout,
    sink: Option<Sink>,
    /// Where bad rows go.
    quarantine: Option<Quarantine>,
    counts: Counts,
    has_failed: bool,
}

impl Transform {
    /// The job that writes to `output`; `-` is standard output.
    pub fn new(args: TransformArgs, output: Option<&Path>, replace: Replace) -> Transform {
        Transform {
            args,
            output: output.unwrap_or(Path::new("-")).to_path_buf(),
            replace,
            layout: Layout::default(),
            sink: None,
            quarantine: None,
            counts: Counts::default(),
            has_failed: false,
        }
    }

    /// Begins what is written: now, not after hours of work.
    fn begin(&mut self, to: Form, headers: &[(Form, Vec<u8>)]) -> Result<(), PlanError> {
        let unwritable = |error: TaskError| match error.to_string() {
            text if text.ends_with(')') => PlanError::new(text),
            text => PlanError::new(format_args!("{text} (-o/--output)")),
        };
        self.sink = Some(Sink::new(&self.output, self.replace, to, self.args.limit).map_err(unwritable)?);
        self.counts.outputs.push(match self.output.as_os_str() == "-" {
            true => "standard output".to_string(),
            false => format!("`{}`", self.output.display()),
        });
        if let OnBadRow::Quarantine(path) = &self.args.on_bad_row {
            self.counts.outputs.push(format!("`{}`", path.display()));
            let begun = Quarantine::new(path, self.replace, quarantine::common_header(headers)?);
            self.quarantine = Some(begun.map_err(|error| PlanError::new(format_args!("{error} (--on-bad-row)")))?);
        }
        Ok(())
    }

    /// Gives the files their names.
    fn commit(&mut self, mut sink: Sink, quarantine: Option<Quarantine>) -> Result<(), TaskError> {
        // The bad rows first: they are in no other file.
        if let Some(file) = quarantine {
            file.commit()?;
        }
        // There may be inputs without any task.
        sink.begin_if_needed(&self.layout)?;
        let end = match self.layout.to.columnar() {
            Some(format) => {
                let frame = std::mem::take(&mut self.layout.frame);
                in_worker(join, Join { frame, format, ends: sink.take_ends() }, &self.output)?.into_vec()
            }
            None => Vec::new(),
        };
        sink.commit(&end)
    }

    fn place(&self, item: &Item, bad: &Bad) -> String {
        let form = self.layout.inputs.get(item.input).map(|input| input.form);
        let lines = self.counts.inputs.get(item.input).map_or(0, |input| input.lines);
        let (path, reason) = (item.path.display(), &bad.reason);
        match form {
            Some(Form::Lines | Form::Csv(_)) => format!("`{path}`: line {}: {reason}", lines + bad.line + 1),
            Some(Form::Columnar(_)) => format!("`{path}`: row {}: {reason}", bad.at.saturating_add(1)),
            _ => format!("`{path}`: byte {}: {reason}", bad.at.saturating_add(1)),
        }
    }
}

impl Job for Transform {
    const NAME: &'static str = "transform";
    const RESULTS_VERSION: u32 = 2;
    const IS_ORDERED: bool = true;
    const WRITES_OUTPUT: bool = true;
    type Args = TransformArgs;
    type Context = Layout;
    type Task = TransformTask;
    type Done = TransformDone;

    fn args(&self) -> &TransformArgs {
        &self.args
    }

    fn context(&self) -> &Layout {
        &self.layout
    }

    fn plan(&mut self, _: &FilesAhead) -> Result<Plan<TransformTask>, PlanError> {
        let args = &self.args;
        let asked = Asked::new(args)?;
        let (opener, found) = Opener::find(&args.inputs)?;
        let mut forms = Vec::new();
        for path in &args.inputs {
            forms.push(form_of(path, args.from, "--from", args.delimiter, args.quote)?);
        }
        // The characters are those of the input if that is CSV.
        let is_from_csv = forms.iter().any(|form| form.is_csv());
        let [delimiter, quote] = [args.delimiter, args.quote].map(|byte| byte.filter(|_| !is_from_csv));
        let to = form_of(&self.output, args.to, "--to", delimiter, quote)?;
        refuse_needless(args, is_from_csv, to)?;
        let (mut opened, mut described, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        for (found, form) in found.into_iter().zip(forms) {
            let looks = asked.looks(form, to);
            let mut input = opener.open(found, form, looks)?;
            let has_header = form.is_csv() && !args.no_header;
            let mut sample = if looks { opener.sample(&mut input, has_header)? } else { Sample::default() };
            headers.push((form, quarantine::header(form, &sample, has_header)));
            if form.is_csv() {
                self.counts.notes.extend(note_of_delimiter(args, &sample, &input.path));
                name_columns(args, &mut sample, &input.path)?;
            }
            input.release();
            let (path, lines) = (input.path.clone(), sample.header_lines);
            self.counts.inputs.push(InputCounts { path, read: 0, written: 0, skipped: 0, lines });
            opened.push((input, sample.header_bytes));
            described.push((form, opened[opened.len() - 1].0.path.display().to_string(), sample));
        }
        let missing = asked.missing(&described).into_iter();
        self.counts.notes.extend(missing.map(|name| format!("the first rows have no `{name}` (--where, --set)")));
        self.layout = lay_out(args, &self.output, &asked, &opener, &opened, &described, to)?;
        self.begin(to, &headers)?;
        let read = opened.iter().filter_map(|(input, _)| input.file()).map(Path::to_path_buf).collect();
        let access = Access { read, write: Vec::new() };
        let tasks = Box::new(Tasks::new(opener, opened, self.layout.hash(), to));
        Ok(Plan { tasks, access })
    }

    fn run(layout: &Layout, task: TransformTask) -> Result<TransformDone, TaskError> {
        run::run(layout, task)
    }

    fn fold(&mut self, item: &Item, mut done: TransformDone) -> Result<(), TaskError> {
        // Whatever becomes of them, they were read.
        if let Some(counts) = self.counts.inputs.get_mut(item.input) {
            counts.read += done.read;
            counts.skipped += done.skipped;
        }
        for bad in &done.bad {
            if self.counts.bad.len() < MAX_DESCRIBED {
                self.counts.bad.push(format!("skipped a row of {}", self.place(item, bad)));
            }
        }
        if let Some(bad) = &done.stop {
            let place = self.place(item, bad);
            let help = "--on-bad-row skip goes on behind bad rows";
            // What helps stands in one pair of parentheses.
            let has_help = |place: &&str| place.rfind('(').is_some_and(|at| place[at..].starts_with("(--"));
            return Err(TaskError::new(match place.strip_suffix(')').filter(has_help) {
                _ if !done.can_go_on => format!("failed to read {place}"),
                Some(place) => format!("failed to read {place}; {help})"),
                None => format!("failed to read {place} ({help})"),
            }));
        }
        if self.quarantine.is_some() {
            let places: Vec<String> = done.bad.iter().map(|bad| self.place(item, bad)).collect();
            let undescribed = done.skipped.saturating_sub(done.bad.len() as u64);
            let quarantine = self.quarantine.as_mut();
            quarantine.map_or(Ok(()), |file| file.add(&done.quarantined, &places, undescribed))?;
        }
        let Some(sink) = &mut self.sink else { return Ok(()) };
        sink.begin_if_needed(&self.layout)?;
        if let Some(format) = self.layout.to.columnar().filter(|_| done.written > sink.rows_left()) {
            done.written = sink.rows_left();
            let piece = Piece { rows: std::mem::take(&mut done.out), end: std::mem::take(&mut done.end) };
            let piece = in_worker(cut, (self.layout.frame.clone(), format, piece, done.written), &self.output)?;
            (done.out, done.end) = (piece.rows, piece.end);
        }
        if let Some(counts) = self.counts.inputs.get_mut(item.input) {
            counts.lines += done.lines;
        }
        let written = sink.add(done)?;
        if let Some(counts) = self.counts.inputs.get_mut(item.input) {
            counts.written += written;
        }
        Ok(())
    }

    fn fold_failure(&mut self, _item: &Item, _kind: FailedKind) {
        self.has_failed = true;
    }

    fn is_over(&self) -> bool {
        self.has_failed || self.sink.as_ref().is_some_and(Sink::is_over)
    }

    fn finish(&mut self, is_whole: bool) -> Result<(), TaskError> {
        let (sink, quarantine) = (self.sink.take(), self.quarantine.take());
        let Some(sink) = sink else { return Ok(()) };
        let (is_a_file, is_closed) = (sink.is_a_file(), sink.is_closed());
        let is_whole = is_whole && !self.has_failed;
        let ended = if is_whole { self.commit(sink, quarantine) } else { Ok(()) };
        if is_whole {
            // The file of bad rows has its name, or an error tells of it.
            self.counts.outputs.truncate(1);
        }
        self.counts.ending = match (is_whole, &ended) {
            (true, Ok(())) if is_closed => Ending::Closed,
            (true, Ok(())) => Ending::Whole,
            (false, _) if is_a_file => Ending::NotWritten,
            (true, Err(_)) if is_a_file => Ending::Unfinished,
            _ => Ending::CutOff,
        };
        if matches!(self.counts.ending, Ending::NotWritten | Ending::Unfinished) {
            self.counts.inputs.iter_mut().for_each(|input| input.written = 0);
        }
        ended
    }

    fn report(self) -> Box<dyn Report> {
        Box::new(self.counts)
    }
}
