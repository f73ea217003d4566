//! Messages on standard error.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use indicatif::HumanBytes;
use procession_jobs::{PlanError, Summary, printable};
use serde_json::json;

use crate::flags::{CommonArgs, LogFormat};
use crate::output;

/// Prints messages in the form that the user asked for.
#[derive(Debug, Clone)]
pub struct Log {
    job: &'static str,
    format: LogFormat,
    is_quiet: bool,
    /// Whether to print a line for each finished task.
    pub is_verbose: bool,
}

impl Log {
    /// A log for one job.
    pub fn new(job: &'static str, common: &CommonArgs) -> Log {
        Log { job, format: common.log_format, is_quiet: common.quiet, is_verbose: common.verbose }
    }

    /// Something went wrong.
    pub fn error(&self, message: &dyn Display) {
        self.line("error", &message.to_string());
    }

    /// Nothing can run.
    pub fn plan_error(&self, error: &PlanError) {
        match self.format {
            LogFormat::Text => {
                self.line("error", error.message());
                error.excerpt().iter().for_each(|line| print(&printable(line)));
            }
            LogFormat::Json => self.error(error),
        }
    }

    /// Something happened.
    pub fn info(&self, message: &dyn Display) {
        if !self.is_quiet {
            self.line("info", &message.to_string());
        }
    }

    /// A line in the job's own words.
    pub fn plain(&self, message: &str) {
        match self.format {
            LogFormat::Text => print(message),
            LogFormat::Json => self.line("warn", message),
        }
    }

    /// What happened to the tasks, in one line.
    pub fn summary(&self, summary: &Summary) {
        let Summary { tasks, done, elapsed, bytes_in, .. } = summary;
        let rate = *bytes_in as f64 / elapsed.as_secs_f64().max(1e-9);
        let mut text = format!(
            "{done} of {tasks} tasks done, {} in {} ({}/s, {}{})",
            HumanBytes(*bytes_in),
            seconds(*elapsed),
            HumanBytes(rate as u64),
            if summary.workers == 1 { "1 worker".into() } else { format!("{} workers", summary.workers) },
            if self.is_verbose { format!("; sandbox: {}", output::sandbox(summary)) } else { String::new() },
        );
        let counts = [
            (summary.failed, "failed"),
            (summary.timed_out, "timed out"),
            (summary.crashed, "crashed"),
            (summary.over_memory, "over memory"),
            (summary.cancelled, "cancelled"),
            (summary.retried, "retried"),
            (summary.resumed, "from the journal"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        if summary.is_interrupted {
            text.push_str(", interrupted");
        }
        self.info(&text);
    }

    fn line(&self, level: &str, message: &str) {
        match self.format {
            LogFormat::Text => print(&format!("procession {}: {}", self.job, printable(message))),
            LogFormat::Json => print(&json!({ "level": level, "job": self.job, "message": message }).to_string()),
        }
    }
}

fn print(line: &str) {
    // There is nobody to tell that standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}
