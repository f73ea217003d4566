//! The result of checking lists: which files have the digest that they should have.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::{FailedKind, Item, Report, Streamed, Table, printable};

use super::algorithm::Algorithm;
use super::digest::Digest;
use super::escape::{needs_escape, write_escaped};
use super::join::Join;
use super::list::{Entry, List};
use super::task::Done;

/// What of the result is shown, and what counts as bad.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckStyle {
    /// The checksum of untagged lines, if it was given.
    pub algorithm: Option<Algorithm>,
    /// Missing files are no failure and have no status.
    pub ignore_missing: bool,
    /// Improperly formatted lines are bad.
    pub strict: bool,
    /// Files that match are not shown.
    pub quiet: bool,
    /// No file is shown.
    pub status: bool,
    /// Every improperly formatted line is named.
    pub warn: bool,
}

/// The files checked so far.
#[derive(Debug)]
pub struct Check {
    style: CheckStyle,
    join: Join,
    lists: Vec<List>,
    entries: Vec<Entry>,
    /// Of each entry.
    statuses: Vec<Status>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// Not known yet: what the run did not get to.
    Unchecked,
    Ok,
    Mismatched,
    /// With the cause, unless the driver has told it.
    Unreadable(Option<Box<str>>),
    /// Missing, which is to be ignored.
    Ignored,
}

/// How many files of one list have which status.
#[derive(Debug, Default)]
struct Counts {
    entries: u64,
    ok: u64,
    mismatched: u64,
    unreadable: u64,
    unchecked: u64,
}

impl Check {
    /// Nothing checked yet.
    pub fn new(style: CheckStyle, join: Join) -> Check {
        Check { style, join, lists: Vec::new(), entries: Vec::new(), statuses: Vec::new() }
    }

    /// What is shown.
    pub fn style(&self) -> CheckStyle {
        self.style
    }

    /// Takes in the lists and what they name.
    pub fn set_lists(&mut self, lists: Vec<List>, entries: Vec<Entry>) {
        self.statuses = vec![Status::Unchecked; entries.len()];
        self.lists = lists;
        self.entries = entries;
    }

    /// What the lists name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes in what a task found.
    pub fn fold(&mut self, item: &Item, done: Done) {
        match done {
            Done::File { digest, .. } => self.compare(item.input, &digest),
            Done::Piece { index, file_bytes, chain } => {
                if let Some(digest) = self.join.add(item.input, index, file_bytes, chain) {
                    self.compare(item.input, &digest);
                }
            }
            Done::Unreadable { missing: true, .. } if self.style.ignore_missing => {
                self.fail(item.input, Status::Ignored);
            }
            Done::Unreadable { message, .. } => self.fail(item.input, Status::Unreadable(Some(message.into()))),
        }
    }

    /// Takes in that a file, or a piece of it, failed. One that was given up was not checked.
    pub fn fold_failure(&mut self, item: &Item, kind: FailedKind) {
        match kind {
            FailedKind::Cancelled => self.join.drop_input(item.input),
            _ => self.fail(item.input, Status::Unreadable(None)),
        }
    }

    fn compare(&mut self, input: usize, digest: &Digest) {
        if let (Some(entry), Some(status)) = (self.entries.get(input), self.statuses.get_mut(input)) {
            *status = if entry.digest == *digest { Status::Ok } else { Status::Mismatched };
        }
    }

    /// Many pieces of one file may fail; the first cause is kept.
    fn fail(&mut self, input: usize, cause: Status) {
        self.join.drop_input(input);
        if let Some(status @ Status::Unchecked) = self.statuses.get_mut(input) {
            *status = cause;
        }
    }

    /// The result.
    pub fn report(self) -> Box<dyn Report> {
        Box::new(self)
    }

    /// The statuses of one list's entries, which stand together.
    fn of_list(&self, list: usize) -> &[Status] {
        let start = self.entries.partition_point(|entry| entry.list < list);
        let end = self.entries.partition_point(|entry| entry.list <= list);
        &self.statuses[start..end]
    }

    fn counts(&self) -> Vec<Counts> {
        let mut counts: Vec<Counts> = self.lists.iter().map(|_| Counts::default()).collect();
        for (entry, status) in self.entries.iter().zip(&self.statuses) {
            let Some(counts) = counts.get_mut(entry.list) else { continue };
            counts.entries += 1;
            match status {
                Status::Unchecked => counts.unchecked += 1,
                Status::Ok => counts.ok += 1,
                Status::Mismatched => counts.mismatched += 1,
                Status::Unreadable(_) => counts.unreadable += 1,
                Status::Ignored => {}
            }
        }
        counts
    }

    fn shown(&self) -> impl Iterator<Item = (&Entry, &Status)> {
        let shown = self.entries.iter().zip(&self.statuses);
        shown.filter(|(_, status)| **status != Status::Ignored)
    }
}

impl Status {
    /// The word in JSON and CSV.
    fn name(&self) -> &'static str {
        match self {
            Status::Unchecked => "unchecked",
            Status::Ok => "ok",
            Status::Mismatched => "mismatched",
            Status::Unreadable(_) => "unreadable",
            Status::Ignored => "missing",
        }
    }

    /// The word of coreutils.
    fn word(&self) -> Option<&'static str> {
        match self {
            Status::Ok => Some("OK"),
            Status::Mismatched => Some("FAILED"),
            Status::Unreadable(_) => Some("FAILED open or read"),
            Status::Unchecked | Status::Ignored => None,
        }
    }
}

impl Counts {
    fn are_bad(&self, list: &List, style: &CheckStyle) -> bool {
        let not_ok = self.mismatched + self.unreadable + self.unchecked;
        self.ok == 0 || not_ok > 0 || (style.strict && list.malformed > 0)
    }
}

impl Report for Check {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.status {
            return Ok(());
        }
        for (entry, status) in self.shown() {
            let Some(word) = status.word() else { continue };
            if self.style.quiet && *status == Status::Ok {
                continue;
            }
            let name = entry.path.as_os_str().as_bytes();
            match needs_escape(name) {
                true => out.write_all(b"\\").and_then(|()| write_escaped(out, name))?,
                false => out.write_all(name)?,
            }
            writeln!(out, ": {word}")?;
        }
        Ok(())
    }

    fn remark(&self, remark: &str) -> Option<String> {
        (!self.style.status).then(|| remark.to_string())
    }

    fn result(&self) -> Streamed<'_> {
        let counts = self.counts();
        let sum = |count: fn(&Counts) -> u64| Streamed::Value(counts.iter().map(count).sum::<u64>().into());
        let malformed = self.lists.iter().map(|list| list.malformed).sum::<u64>();
        let file = |(entry, status): (&Entry, &Status)| json!({ "path": entry.path.to_string_lossy(), "status": status.name() });
        Streamed::Object(vec![
            ("ok", sum(|counts| counts.ok)),
            ("mismatched", sum(|counts| counts.mismatched)),
            ("unreadable", sum(|counts| counts.unreadable)),
            ("malformed", Streamed::Value(malformed.into())),
            ("files", Streamed::rows(move || self.shown().map(file))),
        ])
    }

    fn table(&self) -> Table {
        let row = |(entry, status): (&Entry, &Status)| {
            vec![status.name().to_string(), entry.path.to_string_lossy().into_owned()]
        };
        Table { header: ["status", "path"].map(String::from).to_vec(), rows: self.shown().map(row).collect() }
    }

    fn is_bad(&self) -> bool {
        self.lists.iter().zip(self.counts()).any(|(list, counts)| counts.are_bad(list, &self.style))
    }

    fn wants_summary(&self) -> bool {
        false
    }

    fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, (list, counts)) in self.lists.iter().zip(self.counts()).enumerate() {
            let name = &list.name;
            let kind = self.style.algorithm.map(|algorithm| format!("{} ", algorithm.tag())).unwrap_or_default();
            for line in &list.malformed_lines {
                lines.push(format!("{name}: {line}: improperly formatted {kind}checksum line"));
            }
            lines.extend(self.of_list(number).iter().filter_map(|status| match status {
                Status::Unreadable(Some(message)) => Some(printable(message).into_owned()),
                _ => None,
            }));
            if counts.entries == 0 {
                lines.push(format!("{name}: no properly formatted checksum lines found"));
                continue;
            }
            if self.style.status {
                continue;
            }
            let totals = [
                (list.malformed, "line is improperly formatted", "lines are improperly formatted"),
                (counts.unreadable, "listed file could not be read", "listed files could not be read"),
                (counts.mismatched, "computed checksum did NOT match", "computed checksums did NOT match"),
                (counts.unchecked, "listed file was not checked", "listed files were not checked"),
            ];
            for (count, singular, plural) in totals {
                match count {
                    0 => {}
                    1 => lines.push(format!("WARNING: 1 {singular}")),
                    _ => lines.push(format!("WARNING: {count} {plural}")),
                }
            }
            if self.style.ignore_missing && counts.ok == 0 {
                lines.push(format!("{name}: no file was verified"));
            }
        }
        lines
    }
}
