//! The result of `logs`: counts per file and in total, and samples; and what was found in fields.

mod aligned;
mod fields;
mod values;

use std::io::{self, Write};

use serde_json::{Value, json};

use super::first::{First, MAX_BYTES};
use super::pattern::Pattern;
use super::totals::{FileCounts, Totals};
use aligned::{shortened, write_aligned};

use crate::{Report, Streamed, Table, printable};
pub use fields::Fields;

/// How many files the table for people has at most.
const MAX_ROWS: usize = 50;
/// How many characters of a pattern's name stand above its column.
const MAX_HEADER_CHARS: usize = 40;

/// What `logs` found.
#[derive(Debug)]
pub struct LogsReport {
    patterns: Vec<Pattern>,
    has_lines: bool,
    has_samples: bool,
    totals: Totals,
    /// All files together.
    files: usize,
    lines: u64,
    matches: Vec<u64>,
    selected: u64,
    unparsed: u64,
    /// What was found in fields, if lines were read into any.
    fields: Option<Fields>,
}

impl LogsReport {
    /// The report of what was folded.
    pub fn new(
        patterns: Vec<Pattern>,
        has_lines: bool,
        has_samples: bool,
        totals: Totals,
        fields: Option<Fields>,
    ) -> LogsReport {
        let mut matches = vec![0_u64; patterns.len()];
        let (mut files, mut lines, mut selected, mut unparsed) = (0, 0_u64, 0_u64, 0_u64);
        for file in totals.files() {
            files += 1;
            lines = lines.saturating_add(file.lines);
            selected = selected.saturating_add(file.selected);
            unparsed = unparsed.saturating_add(file.unparsed);
            for (sum, count) in matches.iter_mut().zip(file.matches) {
                *sum = sum.saturating_add(*count);
            }
        }
        LogsReport { patterns, has_lines, has_samples, totals, files, lines, matches, selected, unparsed, fields }
    }

    /// The cells of a row for people.
    fn row(&self, name: String, lines: u64, parsed: [u64; 2], matches: &[u64]) -> Vec<String> {
        let lines = self.has_lines.then_some(lines);
        let parsed = self.fields.is_some().then_some(parsed).into_iter().flatten();
        let counts = lines.into_iter().chain(parsed).chain(matches.iter().copied());
        std::iter::once(name).chain(counts.map(|count| count.to_string())).collect()
    }

    fn lines(&self, lines: u64) -> Option<u64> {
        self.has_lines.then_some(lines)
    }

    fn write_samples(&self, out: &mut dyn Write) -> io::Result<()> {
        for (pattern, samples) in self.patterns.iter().zip(self.totals.samples()) {
            for (n, (path, offset, line)) in samples.iter().enumerate() {
                if n == 0 {
                    writeln!(out, "\nfirst lines that match {}:", printable(&pattern.name))?;
                }
                writeln!(out, "{}:{offset}: {}", printable(&path.to_string_lossy()), printable(line))?;
            }
            write_if_cut(out, samples)?;
        }
        Ok(())
    }
}

/// Tells that lines are missing which were asked for.
fn write_if_cut<T>(out: &mut dyn Write, samples: &First<T>) -> io::Result<()> {
    if samples.is_cut() {
        writeln!(out, "the next ones are not shown: samples take {} MiB of memory at most", MAX_BYTES >> 20)?;
    }
    Ok(())
}

impl Report for LogsReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut files: Vec<FileCounts> = Vec::new();
        if self.files <= MAX_ROWS {
            files.extend(self.totals.files());
        } else {
            // The files that matter most; equal ones stay in order.
            let rank = |file: &FileCounts| (file.matches.iter().copied().fold(0, u64::saturating_add), file.lines);
            for file in self.totals.files() {
                let place = files.partition_point(|kept| rank(kept) >= rank(&file));
                if place < MAX_ROWS {
                    files.truncate(MAX_ROWS - 1);
                    files.insert(place, file);
                }
            }
        }
        let lines = self.has_lines.then(|| "lines".to_string());
        let names = self.patterns.iter().map(|pattern| shortened(&printable(&pattern.name), MAX_HEADER_CHARS));
        let parsed = self.fields.is_some().then(|| ["selected", "unparsed"].map(str::to_string));
        let parsed = parsed.into_iter().flatten();
        let mut rows = vec![std::iter::once("path".to_string()).chain(lines).chain(parsed).chain(names).collect()];
        rows.extend(files.iter().map(|file| {
            let name = printable(&file.path.to_string_lossy()).into_owned();
            self.row(name, file.lines, [file.selected, file.unparsed], file.matches)
        }));
        let count = if self.files == 1 { "1 file".into() } else { format!("{} files", self.files) };
        rows.push(self.row(format!("total of {count}"), self.lines, [self.selected, self.unparsed], &self.matches));
        write_aligned(out, &|column| column == 0, &rows)?;
        if self.files > files.len() {
            let more = self.files - files.len();
            let what = if more == 1 { "file with fewer matches is" } else { "files with fewer matches are" };
            writeln!(out, "{more} more {what} not shown")?;
        }
        if let Some(fields) = &self.fields {
            fields.text(out)?;
        }
        if self.has_samples { self.write_samples(out) } else { Ok(()) }
    }

    fn result(&self) -> Streamed<'_> {
        let patterns: Vec<Value> = self
            .patterns
            .iter()
            .zip(&self.matches)
            .map(|(pattern, lines)| json!({"name": pattern.name, "regex": pattern.regex, "lines": lines}))
            .collect();
        let file = move |file: FileCounts| {
            let path = file.path.to_string_lossy();
            let mut row = json!({"path": path, "lines": self.lines(file.lines), "patterns": file.matches});
            if self.fields.is_some() {
                row["selected"] = file.selected.into();
                row["unparsed"] = file.unparsed.into();
            }
            row
        };
        let files = Streamed::rows(move || self.totals.files().map(file));
        let lines = json!(self.lines(self.lines)).into();
        let mut members = vec![("lines", lines), ("patterns", json!(patterns).into()), ("files", files)];
        if self.has_samples {
            let samples = Streamed::rows(move || {
                let patterns = self.patterns.iter().zip(self.totals.samples());
                patterns.flat_map(|(pattern, samples)| {
                    samples.iter().map(|(path, offset, line)| {
                        json!({"pattern": pattern.name, "path": path.to_string_lossy(), "offset": offset, "line": line})
                    })
                })
            });
            let has_all = !self.totals.samples().iter().any(First::is_cut);
            members.extend([("samples", samples), ("has_all_samples", Streamed::Value(has_all.into()))]);
        }
        members.extend(self.fields.iter().flat_map(Fields::result));
        Streamed::Object(members)
    }

    fn table(&self) -> Table {
        if let Some(table) = self.fields.as_ref().and_then(Fields::table) {
            return table;
        }
        let names = self.patterns.iter().map(|pattern| pattern.name.clone());
        let header = ["path".into(), "lines".into()].into_iter().chain(names).collect();
        let row = |file: FileCounts| {
            let lines = self.lines(file.lines).map_or_else(String::new, |lines| lines.to_string());
            let first = [file.path.to_string_lossy().into_owned(), lines];
            first.into_iter().chain(file.matches.iter().map(u64::to_string)).collect()
        };
        Table { header, rows: self.totals.files().map(row).collect() }
    }

    fn warnings(&self) -> Vec<String> {
        let Some(fields) = &self.fields else { return Vec::new() };
        let mut warnings = fields.warnings();
        let partial = self.totals.partial_files();
        if partial > 0 {
            let what = "what was found in fields includes the parts that were read of";
            warnings.push(format!("{what} {partial} files of which another part failed"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use crate::logs::run::{LogsDone, Part};
    use crate::logs::scan::{Counts, Sample};
    use std::path::Path;

    fn report(files: usize, has_lines: bool, show: usize) -> LogsReport {
        let pattern = |name: &str, regex: &str| Pattern { name: name.into(), regex: regex.into() };
        let mut totals = Totals::new(2, show);
        for input in 0..files {
            let item = Item { input, path: Path::new(&format!("f{input}\u{1b}")).into(), bytes: 1, stamp: None };
            let samples = vec![Sample { pattern: 1, offset: 7, line: "a\u{9b}\tb".into() }];
            let samples = if show > 0 { samples } else { Vec::new() };
            let counts = Counts { lines: 100, matches: vec![input as u64, 1], samples };
            totals.add(&item, LogsDone { part: Part::WHOLE, counts, tally: None });
        }
        LogsReport::new(vec![pattern("err", "E+"), pattern("x", "x")], has_lines, show > 0, totals, None)
    }

    fn text(report: &LogsReport) -> String {
        let mut out = Vec::new();
        report.text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_is_aligned_and_harmless() {
        assert_eq!(
            text(&report(2, true, 1)),
            "path              lines  err  x\n\
             f0\\u{1b}            100    0  1\n\
             f1\\u{1b}            100    1  1\n\
             total of 2 files    200    1  2\n\
             \nfirst lines that match x:\n\
             f0\\u{1b}:7: a\\u{9b}\tb\n"
        );
        assert_eq!(text(&report(0, false, 0)), "path              err  x\ntotal of 0 files    0  0\n");
    }

    #[test]
    fn of_many_files_the_table_shows_those_with_the_most_matches() {
        let report = report(60, false, 0);
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 53);
        assert!(lines[1].starts_with("f59"), "{text}");
        assert!(lines[51].starts_with("total of 60 files") && lines[51].contains("1770"), "{text}");
        assert_eq!(lines[52], "10 more files with fewer matches are not shown");
        assert_eq!(report.table().rows.len(), 60);
        assert_eq!(report.json()["files"].as_array().map(Vec::len), Some(60));
    }

    #[test]
    fn json_and_csv_have_everything() {
        let with_lines = report(1, true, 1);
        assert_eq!(
            with_lines.json(),
            json!({
                "lines": 100,
                "patterns": [{"name": "err", "regex": "E+", "lines": 0}, {"name": "x", "regex": "x", "lines": 1}],
                "files": [{"path": "f0\u{1b}", "lines": 100, "patterns": [0, 1]}],
                "samples": [{"pattern": "x", "path": "f0\u{1b}", "offset": 7, "line": "a\u{9b}\tb"}],
                "has_all_samples": true,
            })
        );
        assert_eq!(with_lines.table().header, ["path", "lines", "err", "x"]);
        assert_eq!(with_lines.table().rows, [["f0\u{1b}", "100", "0", "1"]]);
        let without = report(1, false, 0);
        assert_eq!(without.json()["lines"], Value::Null);
        assert_eq!(without.json().get("samples"), None);
        assert_eq!(without.table().rows, [["f0\u{1b}", "", "0", "1"]]);
    }
}
