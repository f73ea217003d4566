//! Where the report goes, and its forms.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use procession_jobs::{
    FailedTask, Item, Job, NewFile, PlannedTask, Replace, Report, Streamed, Summary, Table, TaskError, describe,
    printable,
};
use serde_json::{Value, json};

use crate::flags::Format;

/// The place of the report.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error, when the job itself writes to standard output.
    Stderr,
    /// A file, which appears whole or not at all.
    File {
        /// Its final name.
        path: PathBuf,
        /// Whether it may replace another.
        replace: Replace,
    },
    /// A device or a fifo, which is written to and never replaced.
    Stream {
        /// Its name.
        path: PathBuf,
    },
}

impl Output {
    /// Checks before any work that the report will have a place. `path` is where the user wants the output, be it the
    /// report or what the job writes.
    ///
    /// # Errors
    /// When the file exists and `force` was not said, or its folder does not exist.
    pub fn new<J: Job>(path: Option<&Path>, force: bool) -> anyhow::Result<Output> {
        let path = path.filter(|p| *p != Path::new("-"));
        if J::WRITES_OUTPUT {
            return Ok(if path.is_some() { Output::Stdout } else { Output::Stderr });
        }
        let Some(path) = path else { return Ok(Output::Stdout) };
        let shown = path.display();
        match path.metadata() {
            Ok(meta) if meta.is_dir() => bail!("failed to write `{shown}`: it is a folder (-o/--output takes a file)"),
            Ok(meta) if !meta.is_file() => return Ok(Output::Stream { path: path.to_path_buf() }),
            _ => {}
        }
        if !force && path.symlink_metadata().is_ok() {
            bail!("failed to write `{shown}`: it exists (--force replaces it)");
        }
        let replace = if force { Replace::Allowed } else { Replace::Never };
        // Now, not after hours of work.
        if let Err(error) = NewFile::create(path, replace) {
            bail!("{error} (-o/--output)");
        }
        Ok(Output::File { path: path.to_path_buf(), replace })
    }

    /// Whether the report is read by somebody who sees what control characters do.
    pub fn is_terminal(&self) -> bool {
        match self {
            Output::Stdout => io::stdout().is_terminal(),
            Output::Stderr => io::stderr().is_terminal(),
            // A fifo would wait for its reader.
            Output::Stream { .. } | Output::File { .. } => false,
        }
    }

    /// Writes the report. A reader that closes its end early is no error.
    ///
    /// # Errors
    /// When it cannot be written; then a file keeps what it had.
    pub fn write(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        match self {
            Output::Stdout => {
                let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
                written(content(&mut out).and_then(|()| out.flush()), "the report to standard output")
            }
            Output::Stderr => {
                let mut out = BufWriter::new(io::stderr().lock());
                written(content(&mut out).and_then(|()| out.flush()), "the report to standard error")
            }
            Output::Stream { path } => {
                let opened = OpenOptions::new().write(true).open(path);
                let result = opened.and_then(|file| {
                    let mut out = BufWriter::new(file);
                    content(&mut out).and_then(|()| out.flush())
                });
                written(result, &format!("`{}`", path.display()))
            }
            Output::File { path, replace } => {
                let mut file = NewFile::create(path, *replace)?;
                content(&mut file).map_err(|cause| file.error(&cause))?;
                Ok(file.commit()?)
            }
        }
    }
}

fn written(result: io::Result<()>, place: &str) -> anyhow::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|cause| anyhow!("failed to write {place}: {}", describe(&cause))),
    }
}

/// What was around the workers, in words.
pub fn sandbox(summary: &Summary) -> String {
    summary.sandbox.as_ref().map_or_else(|| "off".to_string(), ToString::to_string)
}

/// What a report lacks because the run was cut short, in words.
pub fn shortfall(summary: &Summary) -> Option<String> {
    let Summary { tasks, done, is_interrupted, is_planned, is_cut_short, .. } = summary;
    let why = if *is_interrupted { "interrupted" } else { "ended by a failure" };
    let more = if *is_planned { "" } else { "; there may be more tasks" };
    is_cut_short.then(|| format!("not complete: {why} with {done} of {tasks} tasks done{more}"))
}

/// The report for people.
pub fn write_text(out: &mut dyn Write, summary: &Summary, report: &dyn Report) -> io::Result<()> {
    report.text(out)?;
    match shortfall(summary).and_then(|shortfall| report.remark(&shortfall)) {
        Some(line) => writeln!(out, "{line}"),
        None => Ok(()),
    }
}

/// The report as one JSON object.
pub fn write_json(out: &mut dyn Write, summary: &Summary, report: &dyn Report) -> io::Result<()> {
    let failure = |failed: &FailedTask| {
        let FailedTask { task, input, kind, message, attempts } = failed;
        json!({ "task": task, "input": input, "kind": kind.name(), "message": message, "attempts": attempts })
    };
    let object = Streamed::Object(vec![
        ("job", json!(summary.job).into()),
        ("tasks", json!(summary.tasks).into()),
        ("done", json!(summary.done).into()),
        ("failed", json!(summary.failed).into()),
        ("timed_out", json!(summary.timed_out).into()),
        ("crashed", json!(summary.crashed).into()),
        ("over_memory", json!(summary.over_memory).into()),
        ("cancelled", json!(summary.cancelled).into()),
        ("retried", json!(summary.retried).into()),
        ("resumed", json!(summary.resumed).into()),
        ("cut_short", json!(summary.is_cut_short).into()),
        ("elapsed_s", json!(summary.elapsed.as_secs_f64()).into()),
        ("cpu_s", json!(summary.cpu.as_secs_f64()).into()),
        ("peak_rss_bytes", json!(summary.peak_rss_bytes).into()),
        ("bytes_in", json!(summary.bytes_in).into()),
        ("workers", json!(summary.workers).into()),
        ("sandbox", json!(sandbox(summary)).into()),
        ("result", report.result()),
        ("failures", Streamed::rows(move || summary.failures.iter().map(failure))),
    ]);
    crate::json::write_json(out, &object)
}

/// A table as CSV (RFC 4180, with line feeds). For a terminal control characters are escaped: a program gets all as it is.
pub fn write_csv(out: &mut dyn Write, table: &Table, is_for_terminal: bool) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for row in std::iter::once(&table.header).chain(&table.rows) {
        match is_for_terminal {
            true => csv.write_record(row.iter().map(|cell| printable(cell).into_owned()))?,
            false => csv.write_record(row)?,
        }
    }
    csv.flush()
}

/// The tasks of a plan, for `--dry-run`.
pub fn write_plan(
    out: &mut dyn Write,
    job: &str,
    plan: &[PlannedTask],
    format: Format,
    is_for_terminal: bool,
) -> io::Result<()> {
    let path = |item: &Item| item.path.display().to_string();
    let problem = |error: &Option<TaskError>| error.as_ref().map(ToString::to_string);
    match format {
        Format::Table => {
            for PlannedTask { number, item, problem: error } in plan {
                match error {
                    None => writeln!(out, "task {number}: {job} `{}` ({} bytes)", printable(&path(item)), item.bytes)?,
                    Some(error) => writeln!(out, "task {number}: {}", printable(&error.to_string()))?,
                }
            }
            Ok(())
        }
        Format::Json => {
            let tasks: Vec<Value> = plan
                .iter()
                .map(|task| {
                    let PlannedTask { number, item, problem: error } = task;
                    json!({ "task": number, "input": path(item), "bytes": item.bytes, "problem": problem(error) })
                })
                .collect();
            crate::json::write_json(out, &json!({ "job": job, "tasks": tasks }).into())
        }
        Format::Csv => {
            let row = |PlannedTask { number, item, problem: error }: &PlannedTask| {
                vec![number.to_string(), path(item), item.bytes.to_string(), problem(error).unwrap_or_default()]
            };
            let header = ["task", "input", "bytes", "problem"].map(str::to_string).to_vec();
            write_csv(out, &Table { header, rows: plan.iter().map(row).collect() }, is_for_terminal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_for_a_terminal_has_no_control_characters() {
        let table = Table { header: vec!["k\u{9b}".into()], rows: vec![vec!["a\u{1b}[2J".into()]] };
        for (is_for_terminal, expected) in [(true, "k\\u{9b}\na\\u{1b}[2J\n"), (false, "k\u{9b}\na\u{1b}[2J\n")] {
            let mut out = Vec::new();
            write_csv(&mut out, &table, is_for_terminal).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
