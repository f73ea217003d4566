//! Adds up the counts of the parts of each input.

use std::path::Path;
use std::sync::Arc;

use super::first::{First, bytes_each};
use super::run::{LogsDone, Part};
use super::scan::Counts;
use crate::Item;

/// The counts of all inputs. Takes little memory per file, for there may be millions.
#[derive(Debug)]
pub struct Totals {
    patterns: usize,
    /// By number of the input; none for what no part is known of yet.
    rows: Vec<Option<Row>>,
    /// The matches of all rows, one after the other.
    matches: Vec<u64>,
    /// For each pattern its first ones.
    samples: Vec<First<String>>,
}

#[derive(Debug)]
struct Row {
    path: Arc<Path>,
    lines: u64,
    selected: u64,
    unparsed: u64,
    parts_done: u32,
    /// How many there are; none until the last one is done.
    parts: Option<u32>,
    is_failed: bool,
}

/// The counts of one file, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCounts<'a> {
    /// The file.
    pub path: &'a Path,
    /// All its lines, if they were asked for.
    pub lines: u64,
    /// The lines that meet the conditions on their fields, if lines were read into any.
    pub selected: u64,
    /// The lines that could not be read into fields.
    pub unparsed: u64,
    /// The lines that match each pattern.
    pub matches: &'a [u64],
}

impl Totals {
    /// No counts, for so many patterns, and so many samples of each.
    pub fn new(patterns: usize, show: usize) -> Totals {
        let samples = vec![First::new(show, bytes_each(patterns)); patterns];
        Totals { patterns, rows: Vec::new(), matches: Vec::new(), samples }
    }

    /// Adds the counts of one part.
    pub fn add(&mut self, item: &Item, done: LogsDone) {
        let LogsDone { part: Part { number, is_last }, counts: Counts { lines, matches, samples }, tally } = done;
        let row = self.row(item);
        row.lines = row.lines.saturating_add(lines);
        if let Some(tally) = tally {
            row.selected = row.selected.saturating_add(tally.selected);
            row.unparsed = row.unparsed.saturating_add(tally.unparsed);
        }
        row.parts_done = row.parts_done.saturating_add(1);
        if is_last {
            row.parts = Some(number.saturating_add(1));
        }
        let first = item.input * self.patterns;
        for (sum, count) in self.matches[first..first + self.patterns].iter_mut().zip(matches) {
            *sum = sum.saturating_add(count);
        }
        for sample in samples {
            let Some(kept) = self.samples.get_mut(sample.pattern) else { continue };
            let text_bytes = sample.line.len();
            kept.add((item.input, sample.offset), &item.path, sample.line, text_bytes);
        }
    }

    /// Drops an input of which a part failed: a count of the rest would pass for the whole. Its samples stay, as they
    /// are what they say they are.
    pub fn drop_file(&mut self, item: &Item) {
        self.row(item).is_failed = true;
    }

    /// The files that were counted from begin to end, in the order of the inputs.
    pub fn files(&self) -> impl Iterator<Item = FileCounts<'_>> {
        self.rows.iter().enumerate().filter_map(|(input, row)| {
            let row = row.as_ref().filter(|row| !row.is_failed && row.parts == Some(row.parts_done))?;
            let first = input * self.patterns;
            Some(FileCounts {
                path: &row.path,
                lines: row.lines,
                selected: row.selected,
                unparsed: row.unparsed,
                matches: &self.matches[first..first + self.patterns],
            })
        })
    }

    /// How many files have parts that are done and one that failed.
    pub fn partial_files(&self) -> usize {
        self.rows.iter().flatten().filter(|row| row.is_failed && row.parts_done > 0).count()
    }

    /// The samples of each pattern.
    pub fn samples(&self) -> &[First<String>] {
        &self.samples
    }

    fn row(&mut self, item: &Item) -> &mut Row {
        if item.input >= self.rows.len() {
            self.rows.resize_with(item.input + 1, || None);
            self.matches.resize((item.input + 1) * self.patterns, 0);
        }
        self.rows[item.input].get_or_insert_with(|| Row {
            path: item.path.clone(),
            lines: 0,
            selected: 0,
            unparsed: 0,
            parts_done: 0,
            parts: None,
            is_failed: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::Sample;
    use super::*;

    fn item(input: usize) -> Item {
        Item { input, path: Path::new(&format!("f{input}")).into(), bytes: 1, stamp: None }
    }

    fn done(number: u32, is_last: bool, lines: u64, offsets: &[u64]) -> LogsDone {
        let sample = |offset: &u64| Sample { pattern: 0, offset: *offset, line: format!("at {offset}") };
        let samples = offsets.iter().map(sample).collect();
        LogsDone {
            part: Part { number, is_last },
            counts: Counts { lines, matches: vec![lines], samples },
            tally: None,
        }
    }

    fn files(totals: &Totals) -> Vec<(String, u64)> {
        totals.files().map(|file| (file.path.display().to_string(), file.lines + file.matches[0])).collect()
    }

    #[test]
    fn only_inputs_of_which_every_part_is_done_are_files() {
        let mut totals = Totals::new(1, 0);
        totals.add(&item(3), done(2, true, 1, &[]));
        totals.add(&item(1), done(0, true, 5, &[]));
        totals.add(&item(3), done(0, false, 2, &[]));
        assert_eq!(files(&totals), [("f1".into(), 10)]);
        totals.add(&item(3), done(1, false, 4, &[]));
        assert_eq!(files(&totals), [("f1".into(), 10), ("f3".into(), 14)]);
        totals.drop_file(&item(0));
        totals.drop_file(&item(3));
        assert_eq!(files(&totals), [("f1".into(), 10)]);
    }

    #[test]
    fn the_first_samples_are_kept_whatever_comes_first() {
        let mut totals = Totals::new(1, 3);
        totals.add(&item(2), done(0, true, 1, &[1, 2, 3]));
        totals.add(&item(0), done(1, true, 1, &[50, 60]));
        totals.add(&item(0), done(0, false, 1, &[7]));
        totals.add(&item(1), done(0, true, 1, &[0]));
        let samples: Vec<_> =
            totals.samples()[0].iter().map(|(path, offset, _)| (path.to_str().unwrap(), offset)).collect();
        assert_eq!(samples, [("f0", 7), ("f0", 50), ("f0", 60)]);
    }
}
