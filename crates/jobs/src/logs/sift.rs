//! Reads lines into fields, in a worker, and counts those that meet the conditions.

use std::io;

use memchr::memchr;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::first::{MAX_BYTES, Room};
use super::groups::{MAX_KEY_BYTES, Table, push_part};
use super::histogram::Histogram;
use super::query::Query;
use super::scan::cut;
use crate::data::Raw;
use crate::data::json::Shape;
use crate::parse::LineParser;
use crate::time::Timestamp;

/// What was found in the fields of one part of an input.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All lines.
    pub lines: u64,
    /// Lines that are not of the format, or of which a condition cannot be told.
    pub unparsed: u64,
    /// Lines without a time that is understood, when one is needed.
    pub without_time: u64,
    /// Lines that meet all conditions.
    pub selected: u64,
    /// The first lines that are unparsed.
    pub samples: Vec<Unparsed>,
    /// The groups of the selected lines, as runs.
    pub runs: Vec<ByteBuf>,
    /// The spans of the selected lines.
    pub histogram: Histogram,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unparsed {
    /// Where it begins in the input.
    pub offset: u64,
    /// Why.
    pub reason: String,
    /// The line, cut as samples are.
    pub line: String,
}

impl Unparsed {
    /// How long its texts are.
    pub fn text_bytes(&self) -> usize {
        self.reason.len() + self.line.len()
    }
}

/// Sifts one block of lines after the other.
#[derive(Debug)]
pub struct Sift<'q> {
    query: &'q Query,
    parser: &'q LineParser,
    table: Option<Table>,
    key: Vec<u8>,
    /// Of the last line, if it was JSON.
    shape: Shape,
    /// The span of the last line, and the lines that followed each other in it.
    span: Option<(Timestamp, u64)>,
    tally: Tally,
    /// How many more lines that cannot be read are wanted.
    room: Room,
    /// Why the groups are not whole.
    problem: Option<io::Error>,
}

/// What becomes of a line.
enum Verdict {
    Selected,
    Dropped,
    WithoutTime,
}

impl<'q> Sift<'q> {
    /// Has seen nothing.
    ///
    /// # Errors
    /// When there is no parser.
    pub fn new(query: &'q Query) -> Result<Sift<'q>, &'q str> {
        let parser = query.parser()?;
        let table = query.has_groups().then(|| Table::new(query.stats.len()));
        let (key, shape, tally) = (Vec::new(), Shape::default(), Tally::default());
        let room = Room::new(query.show_unparsed, MAX_BYTES);
        Ok(Sift { query, parser, table, key, shape, span: None, tally, room, problem: None })
    }

    /// Reads `text`, which is whole lines and begins at `offset`. Calls `selected` with the lines that meet the conditions:
    /// those that follow each other come together, with their offset.
    pub fn add(&mut self, text: &[u8], offset: u64, mut selected: impl FnMut(&[u8], u64)) {
        let mut slots = vec![Raw::Null; self.parser.slots()];
        let (mut at, mut selected_from) = (0, 0);
        while at < text.len() {
            let end = memchr(b'\n', &text[at..]).map_or(text.len(), |i| at + i);
            let behind = text.len().min(end + 1);
            let line = &text[at..end];
            self.tally.lines += 1;
            let is_selected = match self.line(line, &mut slots) {
                Ok(Verdict::Selected) => {
                    self.tally.selected += 1;
                    true
                }
                Ok(Verdict::Dropped) => false,
                Ok(Verdict::WithoutTime) => {
                    self.tally.without_time += 1;
                    false
                }
                Err(reason) => {
                    self.unparsed(line, offset + at as u64, &reason);
                    false
                }
            };
            if !is_selected {
                if selected_from < at {
                    selected(&text[selected_from..at], offset + selected_from as u64);
                }
                selected_from = behind;
            }
            at = behind;
        }
        if selected_from < at {
            selected(&text[selected_from..at], offset + selected_from as u64);
        }
    }

    #[inline]
    fn line<'a>(&mut self, line: &'a [u8], slots: &mut [Raw<'a>]) -> Result<Verdict, std::borrow::Cow<'static, str>> {
        self.parser.read(line, slots, &mut self.shape)?;
        if !self.query.holds(slots)? {
            return Ok(Verdict::Dropped);
        }
        let mut span = None;
        if self.query.wants_time() {
            let time = self.parser.time(slots).and_then(|time| Timestamp::parse(&time, self.query.clock));
            let Some(time) = time else { return Ok(Verdict::WithoutTime) };
            if !self.query.spans(time) {
                return Ok(Verdict::Dropped);
            }
            span = self.query.width.map(|width| time.floor(width));
        }
        let Some(table) = &mut self.table else {
            self.count_span(span);
            return Ok(Verdict::Selected);
        };
        let (by, rest) = slots.split_at(self.query.by.len());
        self.key.clear();
        for value in by {
            push_part(&mut self.key, value);
        }
        if self.key.len() > MAX_KEY_BYTES {
            self.key = Vec::new();
            return Err("--by: the values of its fields are longer than 64 KiB".into());
        }
        let added =
            table.add(&self.key, |stats| stats.iter_mut().zip(rest).map(|(stats, value)| stats.add(value)).sum());
        if let Err(problem) = added {
            self.problem = Some(problem);
            self.table = None;
        }
        self.count_span(span);
        Ok(Verdict::Selected)
    }

    /// Counts a line in its span. Lines mostly come in the order of their times.
    #[inline]
    fn count_span(&mut self, span: Option<Timestamp>) {
        let Some(from) = span else { return };
        match &mut self.span {
            Some((last, lines)) if *last == from => *lines += 1,
            last => {
                if let Some((from, lines)) = last.replace((from, 1)) {
                    self.tally.histogram.add(from, lines);
                }
            }
        }
    }

    #[cold]
    fn unparsed(&mut self, line: &[u8], offset: u64, reason: &str) {
        self.tally.unparsed += 1;
        if self.room.is_open() {
            let unparsed = Unparsed { offset, reason: cut(reason.as_bytes()), line: cut(line) };
            self.room.take(unparsed.text_bytes());
            self.tally.samples.push(unparsed);
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// When a task may not return so many groups.
    pub fn finish(mut self) -> io::Result<Tally> {
        if let Some((from, lines)) = self.span {
            self.tally.histogram.add(from, lines);
        }
        if let Some(table) = self.table {
            self.tally.runs = table.finish()?;
        }
        self.problem.map_or(Ok(self.tally), Err)
    }
}
