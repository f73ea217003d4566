//! The progress line on a terminal.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use procession_jobs::{FailedKind, FailedTask, Item, Watch};

use crate::flags::When;
use crate::log::Log;

/// Shows bytes, rate, time left and failures while a job runs, and prints failures as they come.
pub struct Progress<'a> {
    /// None if it is not to be shown.
    bar: Option<ProgressBar>,
    failures: u64,
    /// The inputs whose failure was told. Parts of a large one may fail by the hundred, each for the same reason.
    told: HashSet<usize>,
    log: &'a Log,
}

impl<'a> Progress<'a> {
    /// A progress line, if `when` and the terminal allow it.
    pub fn new(when: When, log: &'a Log) -> Progress<'a> {
        let is_shown = match when {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        Progress { bar: is_shown.then(bar), failures: 0, told: HashSet::new(), log }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn print(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    let template = "{spinner} {bytes} of {total_bytes}, {bytes_per_sec}{left}{msg} {wide_bar}";
    // The template is a constant, and parses.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Before the first task is done nothing is known of the time.
        if state.pos() > 0 {
            let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
        }
    }));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl Watch for Progress<'_> {
    fn planned(&mut self, item: &Item) {
        if let Some(bar) = &self.bar {
            bar.inc_length(item.bytes);
        }
    }

    fn finished(&mut self, item: &Item, error: Option<&FailedTask>) {
        if let Some(bar) = &self.bar {
            bar.inc(item.bytes);
        }
        match error {
            Some(failed) => {
                self.failures += 1;
                if let Some(bar) = &self.bar {
                    bar.set_message(format!(", {} failed", self.failures));
                }
                // What was given up is a number in the summary, not a line each.
                if failed.kind != FailedKind::Cancelled && self.told.insert(item.input) {
                    self.print(|| self.log.error(&failed.message));
                }
            }
            None if self.log.is_verbose => self.print(|| self.log.info(&format!("done `{}`", item.path.display()))),
            None => {}
        }
    }
}
