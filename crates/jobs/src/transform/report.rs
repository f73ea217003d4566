//! How many rows were read, written and skipped, what was wrong with the bad ones, and what became of the output.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::{Report, Streamed, Table, printable};

/// More bad rows are not described.
pub const MAX_DESCRIBED: usize = 10;

/// The rows of each input.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) inputs: Vec<InputCounts>,
    /// The first bad rows that were skipped, in words.
    pub(super) bad: Vec<String>,
    /// What is probably not as the user thinks it is.
    pub(super) notes: Vec<String>,
    /// What became of the output.
    pub(super) ending: Ending,
    /// The output, and the file of bad rows if there is one, as the user knows them.
    pub(super) outputs: Vec<String>,
}

/// What became of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ending {
    /// It has all rows.
    #[default]
    Whole,
    /// It is a file, and none of the rows is in it: a file that was there is what it was.
    NotWritten,
    /// It is a file that could not be finished; whether it is there the error tells.
    Unfinished,
    /// It is a stream, and has some of the rows.
    CutOff,
    /// It is a stream whose reader has closed it.
    Closed,
}

impl Ending {
    /// The word in JSON.
    fn name(self) -> &'static str {
        match self {
            Ending::Whole => "whole",
            Ending::NotWritten => "not_written",
            Ending::Unfinished => "unfinished",
            Ending::CutOff => "cut_off",
            Ending::Closed => "closed",
        }
    }

    /// The line for people; none if all is as it should be.
    fn line(self, outputs: &[String]) -> Option<String> {
        let output = outputs.first().map(String::as_str).unwrap_or_default();
        match self {
            Ending::Whole => None,
            Ending::NotWritten => {
                let verb = if outputs.len() > 1 { "were" } else { "was" };
                Some(format!("{} {verb} not written: the run ended behind these rows", outputs.join(" and ")))
            }
            Ending::Unfinished => Some(format!("{output} could not be finished")),
            Ending::CutOff => {
                let other = outputs.get(1).map(|other| format!(", {other} was not written"));
                let other = other.unwrap_or_default();
                Some(format!("{output} is not whole{other}: the run ended behind these rows"))
            }
            Ending::Closed => Some(format!("{output} was closed by its reader, who may have less than these rows")),
        }
    }
}

/// The rows of one input. Tasks count in the order of their rows, and the last one up to what ended the run: workers may have
/// been further.
#[derive(Debug)]
pub struct InputCounts {
    pub(super) path: Arc<Path>,
    pub(super) read: u64,
    /// Rows that the output has: none of a file that was not written.
    pub(super) written: u64,
    pub(super) skipped: u64,
    /// Lines before those of the next task.
    pub(super) lines: u64,
}

impl Counts {
    fn skipped(&self) -> u64 {
        self.inputs.iter().map(|input| input.skipped).sum()
    }
}

impl Report for Counts {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for InputCounts { path, read, written, skipped, .. } in &self.inputs {
            let path = path.display().to_string();
            writeln!(out, "{}: {read} rows read, {written} written, {skipped} skipped", printable(&path))?;
        }
        match self.ending.line(&self.outputs) {
            Some(line) => writeln!(out, "{}", printable(&line)),
            None => Ok(()),
        }
    }

    fn result(&self) -> Streamed<'_> {
        let sum = |count: fn(&InputCounts) -> u64| self.inputs.iter().map(count).sum::<u64>();
        let inputs = self.inputs.iter().map(|input| {
            let InputCounts { path, read, written, skipped, .. } = input;
            json!({
                "input": path.display().to_string(),
                "rows_read": read, "rows_written": written, "rows_skipped": skipped,
            })
        });
        json!({
            "rows_read": sum(|input| input.read),
            "rows_written": sum(|input| input.written),
            "rows_skipped": sum(|input| input.skipped),
            "inputs": inputs.collect::<Vec<_>>(),
            "output": self.ending.name(),
            "bad_rows": self.bad,
        })
        .into()
    }

    fn table(&self) -> Table {
        let header = ["input", "rows_read", "rows_written", "rows_skipped"].map(str::to_string).to_vec();
        let row = |input: &InputCounts| {
            let counts = [input.read, input.written, input.skipped].map(|count| count.to_string());
            [&[input.path.display().to_string()], &counts[..]].concat()
        };
        Table { header, rows: self.inputs.iter().map(row).collect() }
    }

    fn has_parts(&self) -> bool {
        false
    }

    fn warnings(&self) -> Vec<String> {
        let more = self.skipped().saturating_sub(self.bad.len() as u64);
        let more = (more > 0).then(|| format!("{more} more bad rows were skipped"));
        let shown = |text: &String| printable(text).to_string();
        self.notes.iter().map(shown).chain(self.bad.iter().map(shown)).chain(more).collect()
    }
}
