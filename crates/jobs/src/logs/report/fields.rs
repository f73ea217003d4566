//! What was found in fields: how many lines could be read, groups, statistics, the histogram.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::aligned::{cell, write_aligned};
use super::values::{csv_part, json_part, short, shown_part, summary_cells, summary_json, summary_names, whole};
use super::write_if_cut;
use crate::logs::gather::Found;
use crate::logs::groups::{KeyPart, Row, read_key};
use crate::logs::histogram::{MAX_SPANS, filled};
use crate::logs::query::Query;
use crate::logs::sift::Unparsed;
use crate::parse::LineFormat;
use crate::time::Timestamp;
use crate::{Streamed, Table, printable};

/// How many groups the table for people has without `--top`.
const MAX_ROWS: usize = 50;
/// Characters of the longest bar.
const BAR_CHARS: u64 = 40;

/// What was found, and what for.
#[derive(Debug)]
pub struct Fields {
    /// What was asked.
    pub query: Query,
    /// The answer.
    pub found: Found,
    /// Whether `--top` says how many groups there are.
    pub has_top: bool,
}

impl Fields {
    /// The parts of the report for people, each behind an empty line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.query.by.is_empty() {
            writeln!(out)?;
            self.write_groups(out)?;
        }
        if !self.query.stats.is_empty() {
            writeln!(out)?;
            let header = std::iter::once("field".to_string()).chain(summary_names().map(str::to_string)).collect();
            let rows = self.query.stats.iter().zip(&self.found.stats);
            let rows =
                rows.map(|(name, summary)| [cell(name)].into_iter().chain(summary_cells(summary, short)).collect());
            write_aligned(out, &|column| column == 0, &[vec![header], rows.collect()].concat())?;
        }
        if let Some(width) = self.query.width {
            writeln!(out)?;
            self.write_histogram(out, width)?;
        }
        for (n, (path, offset, unparsed)) in self.found.samples.iter().enumerate() {
            if n == 0 {
                writeln!(out, "\nfirst lines that could not be read:")?;
            }
            let (path, line) = (path.to_string_lossy(), printable(&unparsed.line));
            writeln!(out, "{}:{offset}: {}: {line}", printable(&path), printable(&unparsed.reason))?;
        }
        write_if_cut(out, &self.found.samples)
    }

    fn write_groups(&self, out: &mut dyn Write) -> io::Result<()> {
        let by = self.query.by.len();
        let shown = &self.found.rows[..self.found.rows.len().min(if self.has_top { usize::MAX } else { MAX_ROWS })];
        let rows = [vec![self.text_header()], shown.iter().flat_map(|row| self.text_rows(row)).collect()].concat();
        write_aligned(out, &|column| column < by || column == by + 1, &rows)?;
        let (groups, lines) = self.not_in(shown);
        if groups > 0 {
            let (noun, verb) = if groups == 1 { ("group", "is") } else { ("groups", "are") };
            writeln!(out, "{groups} more {noun} with {lines} lines {verb} not shown")?;
        }
        Ok(())
    }

    /// The header of [`Fields::text_rows`].
    fn text_header(&self) -> Vec<String> {
        let stats = std::iter::once("field").chain(summary_names()).filter(|_| !self.query.stats.is_empty());
        let names = self.query.by.iter().map(|name| cell(name));
        names.chain(std::iter::once("lines").chain(stats).map(str::to_string)).collect()
    }

    /// The rows of a group: one for each field with statistics, since side by side they are wider than a screen.
    fn text_rows(&self, row: &Row) -> Vec<Vec<String>> {
        let key = read_key(&row.key, self.query.by.len());
        let mut cells: Vec<String> = key.iter().map(|part| cell(&shown_part(part))).collect();
        cells.push(row.lines.to_string());
        if self.query.stats.is_empty() {
            return vec![cells];
        }
        let mut rows = Vec::new();
        for (name, summary) in self.query.stats.iter().zip(&row.stats) {
            let of_group = std::mem::replace(&mut cells, vec![String::new(); key.len() + 1]);
            rows.push(of_group.into_iter().chain([cell(name)]).chain(summary_cells(summary, short)).collect());
        }
        rows
    }

    fn write_histogram(&self, out: &mut dyn Write, width: Duration) -> io::Result<()> {
        let (spans, has_gaps) = filled(&self.found.histogram, width);
        let most = spans.iter().map(|(_, lines)| *lines).max().unwrap_or(0).max(1);
        let bar = |lines: u64| "#".repeat((u128::from(lines) * u128::from(BAR_CHARS)).div_ceil(most.into()) as usize);
        let mut rows = vec![vec!["from".to_string(), "lines".to_string()]];
        rows.extend(spans.iter().map(|(from, lines)| vec![from.to_string(), lines.to_string()]));
        let mut aligned = Vec::new();
        write_aligned(&mut aligned, &|column| column == 0, &rows)?;
        let bars = std::iter::once(String::new()).chain(spans.iter().map(|(_, lines)| bar(*lines)));
        for (row, bar) in String::from_utf8_lossy(&aligned).lines().zip(bars) {
            writeln!(out, "{}", format_args!("{row}  {bar}").to_string().trim_end())?;
        }
        if has_gaps {
            writeln!(out, "spans without lines are left out: with them there would be more than {MAX_SPANS}")?;
        }
        Ok(())
    }

    /// The members of the result.
    pub fn result(&self) -> Vec<(&'static str, Streamed<'_>)> {
        let mut members: Vec<(&str, Streamed)> = Vec::new();
        let Fields { query, found, .. } = self;
        let counts = found.counts;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let parsed = json!({
            "format": query.format.to_string(),
            "since": time(query.since),
            "until": time(query.until),
            "lines": counts.lines,
            "unparsed": counts.unparsed,
            "without_time": counts.without_time,
            "selected": counts.selected,
        });
        members.push(("parsed", parsed.into()));
        if query.show_unparsed > 0 {
            let sample = |(path, offset, unparsed): (&Path, u64, &Unparsed)| {
                json!({
                    "path": path.to_string_lossy(),
                    "offset": offset,
                    "reason": unparsed.reason,
                    "line": unparsed.line,
                })
            };
            members.push(("unparsed_lines", Streamed::rows(move || found.samples.iter().map(sample))));
            members.push(("has_all_unparsed_lines", Streamed::Value((!found.samples.is_cut()).into())));
        }
        if !query.by.is_empty() {
            let (groups, lines) = self.not_in(&found.rows);
            let groups = vec![
                ("by", json!(query.by).into()),
                ("count", Streamed::Value(found.groups.0.into())),
                ("rows", Streamed::rows(move || found.rows.iter().map(|row| self.row_json(row)))),
                ("not_shown", json!({"groups": groups, "lines": lines}).into()),
            ];
            members.push(("groups", Streamed::Object(groups)));
        }
        if !query.stats.is_empty() {
            let stats = query.stats.iter().zip(&found.stats);
            let stats: Value = stats.map(|(name, summary)| (name.clone(), summary_json(summary))).collect();
            members.push(("stats", stats.into()));
        }
        if let Some(width) = query.width {
            let (spans, has_gaps) = filled(&found.histogram, width);
            let spans: Vec<Value> =
                spans.iter().map(|(from, lines)| json!({"from": from.to_string(), "lines": lines})).collect();
            let width = if width.subsec_nanos() == 0 { json!(width.as_secs()) } else { json!(width.as_secs_f64()) };
            members.push(("histogram", json!({"width_s": width, "buckets": spans, "has_gaps": has_gaps}).into()));
        }
        members
    }

    fn row_json(&self, row: &Row) -> Value {
        let key: Vec<Value> = read_key(&row.key, self.query.by.len()).iter().map(json_part).collect();
        let mut object = json!({"key": key, "lines": row.lines});
        if !self.query.stats.is_empty() {
            let stats = self.query.stats.iter().zip(&row.stats);
            object["stats"] = stats.map(|(name, summary)| (name.clone(), summary_json(summary))).collect();
        }
        object
    }

    /// The rows of `--format csv`: those of groups, else of the histogram, else of statistics. None if nothing of these
    /// was asked for.
    pub fn table(&self) -> Option<Table> {
        let Fields { query, found, .. } = self;
        if !query.by.is_empty() {
            let row = |row: &Row| {
                let stats = row.stats.iter().flat_map(|summary| summary_cells(summary, whole));
                read_key(&row.key, self.query.by.len())
                    .iter()
                    .map(csv_part)
                    .chain([row.lines.to_string()])
                    .chain(stats)
                    .collect()
            };
            return Some(Table { header: self.csv_header(), rows: found.rows.iter().map(row).collect() });
        }
        if let Some(width) = query.width {
            let (spans, _) = filled(&found.histogram, width);
            let rows = spans.iter().map(|(from, lines)| vec![from.to_string(), lines.to_string()]).collect();
            return Some(Table { header: vec!["from".into(), "lines".into()], rows });
        }
        if query.stats.is_empty() {
            return None;
        }
        let header = std::iter::once("field").chain(summary_names()).map(str::to_string).collect();
        let stats = query.stats.iter().zip(&found.stats);
        let rows =
            stats.map(|(name, summary)| [name.clone()].into_iter().chain(summary_cells(summary, whole)).collect());
        Some(Table { header, rows: rows.collect() })
    }

    /// What the user should know besides.
    pub fn warnings(&self) -> Vec<String> {
        let counts = self.found.counts;
        let mut warnings = Vec::new();
        if counts.unparsed > 0 {
            let is_unknown = self.query.format == LineFormat::Auto && counts.unparsed > counts.lines / 2;
            let help = match (is_unknown, self.query.show_unparsed > 0) {
                (true, _) => " (--parse tells their format)",
                (false, true) => "",
                (false, false) => " (--show-unparsed N shows the first)",
            };
            warnings.push(format!("{} of {} lines could not be read{help}", counts.unparsed, counts.lines));
        }
        for (field, flag) in self.absent() {
            warnings.push(format!("no line that is counted has the field `{field}` ({flag})"));
        }
        if counts.without_time > 0 {
            let count = counts.without_time;
            warnings.push(format!("{count} lines are not counted: they have no time (--time names its field)"));
        }
        let (groups, lines) = self.not_in(&self.found.rows);
        if groups > 0 && (!self.has_top || self.found.is_cut) {
            warnings
                .push(format!("{groups} groups with {lines} lines are not in the report: it has the largest alone"));
        }
        let none: u64 = self.found.stats.iter().map(|summary| summary.not_numbers).sum();
        if none > 0 {
            warnings.push(format!("{none} values of the fields of --stats are no numbers"));
        }
        warnings
    }

    /// The fields that no selected line has, which are mostly slips of the pen, and their flags.
    fn absent(&self) -> Vec<(&str, &'static str)> {
        let Fields { query, found, .. } = self;
        if found.counts.selected == 0 {
            return Vec::new();
        }
        let keys: Vec<_> = found.rows.iter().map(|row| read_key(&row.key, query.by.len())).collect();
        let is_null = |n: usize| keys.iter().all(|key| matches!(key.get(n), Some(KeyPart::Null)));
        let has_all = !keys.is_empty() && self.not_in(&found.rows).0 == 0;
        let by = query.by.iter().enumerate().filter(|(n, _)| has_all && is_null(*n));
        let stats = query.stats.iter().zip(&found.stats);
        let stats = stats.filter(|(_, summary)| summary.count == 0 && summary.not_numbers == 0);
        let by = by.map(|(_, name)| (name.as_str(), "--by"));
        by.chain(stats.map(|(name, _)| (name.as_str(), "--stats"))).collect()
    }

    /// The groups that are not among `rows`, and their lines.
    fn not_in(&self, rows: &[Row]) -> (u64, u64) {
        let (groups, lines) = self.found.groups;
        let shown = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.lines));
        if self.query.by.is_empty() {
            return (0, 0);
        }
        (groups.saturating_sub(rows.len() as u64), lines.saturating_sub(shown))
    }

    fn csv_header(&self) -> Vec<String> {
        let stats =
            self.query.stats.iter().flat_map(|field| summary_names().map(move |name| format!("{field}_{name}")));
        self.query.by.iter().cloned().chain(["lines".to_string()]).chain(stats).collect()
    }
}
