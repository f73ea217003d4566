//! How many rows were read, written and skipped, and what was wrong with the bad ones.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::{Report, Table, printable};

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
}

/// The rows of one input.
#[derive(Debug)]
pub struct InputCounts {
    pub(super) path: Arc<Path>,
    pub(super) read: u64,
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
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
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
            "bad_rows": self.bad,
        })
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
