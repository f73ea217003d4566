//! Transforms the rows of one task, in a worker.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::PoisonError;

use memchr::{memchr, memchr_iter};
use serde_bytes::ByteBuf;

use crate::TaskError;
use crate::data::csv::{Dialect, Rows as CsvRows};
use crate::data::json::{Fault, Scan};
use crate::data::{MAX_ROW_BYTES, Raw};
use crate::regular::Regular;

use super::layout::{Form, Input, Layout, Rows};
use super::task::{Bad, Source, TransformDone, TransformTask};
use super::write::write_row;

/// A buffer that has grown beyond this for a huge row is not kept for the next task.
const KEPT_BUFFER_BYTES: usize = 8 << 20;
/// Bad rows of one task that are described: for the report, and if they are kept.
const MAX_DESCRIBED: usize = 3;
const MAX_DESCRIBED_IF_KEPT: usize = 1000;

/// Transforms the rows of `task`.
pub fn run(layout: &Layout, task: TransformTask) -> Result<TransformDone, TaskError> {
    let mut buffer = std::mem::take(&mut *layout.scratch.lock().unwrap_or_else(PoisonError::into_inner));
    buffer.clear();
    let text = match &task.source {
        Source::Block(text) => &text[..],
        Source::Range { path, bytes } => {
            let path = Path::new(OsStr::from_bytes(path));
            read(path, task.begin, *bytes, &mut buffer)?;
            &buffer[..]
        }
    };
    let Some(input) = layout.inputs.get(task.input) else { return Err(TaskError::new("no such input")) };
    let mut work = Work::new(layout, input, text);
    match input.form {
        Form::Array => work.elements(task.is_first, task.is_last),
        Form::Lines => work.lines(),
        Form::Csv(dialect) => work.rows(dialect),
    }
    let done = work.finish(task.begin)?;
    if buffer.capacity() <= KEPT_BUFFER_BYTES {
        *layout.scratch.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
    }
    Ok(done)
}

fn read(path: &Path, begin: u64, bytes: u64, buffer: &mut Vec<u8>) -> Result<(), TaskError> {
    let read = Regular::open(path).and_then(|mut file| {
        file.seek(begin)?;
        buffer.reserve_exact(bytes.min(2 * MAX_ROW_BYTES) as usize + 1);
        file.take(bytes).read_to_end(buffer)
    });
    match read {
        Ok(read) if read as u64 == bytes => Ok(()),
        Ok(_) => Err(TaskError::new(format_args!("failed to read `{}`: it has become shorter", path.display()))),
        Err(cause) => Err(TaskError::io("read", path, &cause)),
    }
}

/// The rows of one task on their way.
struct Work<'l, 'a> {
    layout: &'l Layout,
    input: &'l Input,
    text: &'a [u8],
    is_utf8: bool,
    /// The values of a row: of fields, then of `--set`.
    slots: Vec<Raw<'a>>,
    out: Vec<u8>,
    done: TransformDone,
    /// Offsets of the bad rows that are described, and of what ended the work.
    bad: Vec<(usize, String)>,
    stop: Option<(usize, String)>,
}

impl<'l, 'a> Work<'l, 'a> {
    fn new(layout: &'l Layout, input: &'l Input, text: &'a [u8]) -> Work<'l, 'a> {
        Work {
            layout,
            input,
            text,
            is_utf8: std::str::from_utf8(text).is_ok(),
            slots: vec![Raw::Null; layout.slots()],
            out: Vec::with_capacity(text.len() / 4),
            done: TransformDone::default(),
            bad: Vec::new(),
            stop: None,
        }
    }

    /// Whether no more rows are wanted.
    fn is_over(&self) -> bool {
        self.stop.is_some() || self.layout.limit.is_some_and(|limit| self.done.written >= limit)
    }

    /// A value a line.
    fn lines(&mut self) {
        let mut begin = 0;
        while begin < self.text.len() && !self.is_over() {
            let rest = &self.text[begin..];
            let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
            let mut scan = Scan::new(line);
            scan.space();
            if scan.peek().is_some() {
                let read = self.object(&mut scan).and_then(|unknown| {
                    scan.space();
                    match scan.peek() {
                        None => Ok(unknown),
                        Some(_) => Err(scan.fault("something stands behind the value of the line")),
                    }
                });
                match read {
                    Ok(unknown) => self.row(begin, line, unknown),
                    Err(fault) => self.bad_row(begin, line, &describe(&fault, "column", fault.at + 1)),
                }
            }
            begin += line.len() + 1;
        }
    }

    /// Elements of an array, each with the comma behind it.
    fn elements(&mut self, is_first: bool, is_last: bool) {
        let mut scan = Scan::new(self.text);
        let read = self.read_elements(&mut scan, is_first, is_last);
        if let Err(fault) = read {
            let hint = if fault.at == 0 && is_first { " (--from ndjson reads an object a line)" } else { "" };
            self.stop = Some((fault.at, format!("{}{hint}", fault.reason)));
        }
    }

    fn read_elements(&mut self, scan: &mut Scan<'a>, is_first: bool, is_last: bool) -> Result<(), Fault> {
        scan.space();
        if is_first {
            if !scan.take(b'[') {
                return Err(Fault { at: 0, reason: "expected an array".into() });
            }
            scan.space();
        }
        if !(is_first && scan.take(b']')) {
            loop {
                scan.space();
                if scan.peek().is_none() && !is_last {
                    return Ok(());
                }
                let begin = scan.at();
                if scan.peek() == Some(b'{') {
                    let unknown = self.object(scan)?;
                    self.row(begin, scan.since(begin), unknown);
                } else {
                    scan.value(1)?;
                    self.bad_row(begin, scan.since(begin), "expected an object");
                }
                if self.is_over() {
                    return Ok(());
                }
                scan.space();
                if scan.take(b']') {
                    break;
                }
                if !scan.take(b',') {
                    return Err(scan.fault("expected `,` or `]`"));
                }
            }
        }
        scan.space();
        match scan.peek() {
            None => Ok(()),
            Some(_) => Err(scan.fault("something stands behind the array")),
        }
    }

    /// Reads an object into the slots; returns a name that nobody knows.
    #[inline]
    fn object(&mut self, scan: &mut Scan<'a>) -> Result<Option<Raw<'a>>, Fault> {
        self.slots.fill(Raw::Null);
        let mut unknown = None;
        let is_closed = self.layout.is_closed;
        self.layout.wanted.read(scan, &mut self.slots, &mut |name| {
            if is_closed && unknown.is_none() {
                unknown = Some(name.clone());
            }
        })?;
        Ok(unknown)
    }

    /// Rows of CSV.
    fn rows(&mut self, dialect: Dialect) {
        let columns = self.input.slots.len();
        let mut rows = CsvRows::new(self.text, dialect, columns);
        let mut fields = Vec::with_capacity(columns);
        while !self.is_over()
            && let Some((begin, read)) = rows.next(&mut fields)
        {
            let row = &self.text[begin..rows.at()];
            match read {
                Err(reason) => self.bad_row(begin, row, &reason),
                Ok(()) if fields.len() != columns => {
                    let reason = format!("the row has {} fields, the header {columns}", fields.len());
                    self.bad_row(begin, row, &reason);
                }
                Ok(()) => {
                    self.slots.fill(Raw::Null);
                    for (slot, field) in self.input.slots.iter().zip(&mut fields) {
                        if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                            *slot = std::mem::take(field);
                        }
                    }
                    self.row(begin, row, None);
                }
            }
        }
    }

    /// Takes in a row whose values are in the slots.
    #[inline]
    fn row(&mut self, begin: usize, row: &'a [u8], unknown: Option<Raw<'a>>) {
        if !self.is_utf8
            && let Err(error) = std::str::from_utf8(row)
        {
            let reason = format!("invalid UTF-8 (byte {} of the row)", error.valid_up_to() + 1);
            return self.bad_row(begin, row, &reason);
        }
        if let Some(name) = unknown {
            let name = name.text().unwrap_or_default();
            let name = String::from_utf8_lossy(&name);
            let reason =
                format!("there is no column for `{name}`, which the first rows lack (--select names the columns)");
            return self.bad_row(begin, row, &reason);
        }
        let is_wanted = self.layout.formulas.is_empty()
            || match self.layout.formulas.run(&mut self.slots) {
                Ok(is_wanted) => is_wanted,
                Err(reason) => return self.bad_row(begin, row, &reason),
            };
        self.done.read += 1;
        if !is_wanted {
            return;
        }
        let before = self.out.len();
        if self.layout.to == Form::Array && self.done.written > 0 {
            self.out.extend_from_slice(b",\n");
        }
        if let Err(reason) = write_row(self.layout, self.input.form, row, &self.slots, &mut self.out) {
            self.out.truncate(before);
            self.done.read -= 1;
            return self.bad_row(begin, row, &reason);
        }
        if self.layout.to != Form::Array {
            self.out.push(b'\n');
        }
        self.done.written += 1;
        if self.layout.limit.is_some() {
            self.done.ends.push(self.out.len() as u64);
        }
    }

    #[cold]
    fn bad_row(&mut self, begin: usize, row: &[u8], reason: &str) {
        if self.layout.stops {
            self.stop = Some((begin, reason.to_string()));
            self.done.can_go_on = true;
            return;
        }
        self.done.read += 1;
        self.done.skipped += 1;
        let max_described = if self.layout.keeps_bad { MAX_DESCRIBED_IF_KEPT } else { MAX_DESCRIBED };
        if self.bad.len() < max_described {
            self.bad.push((begin, reason.to_string()));
        }
        if self.layout.keeps_bad {
            let kept = &mut self.done.quarantined;
            // Elements of an array may go over several lines; what they are kept as has one each.
            let row = if self.input.form == Form::Array { crate::data::json::minify(row) } else { Cow::Borrowed(row) };
            kept.extend_from_slice(&row);
            if row.last() != Some(&b'\n') {
                kept.push(b'\n');
            }
        }
    }

    fn finish(mut self, begin: u64) -> Result<TransformDone, TaskError> {
        let text = self.text;
        // They come in their order, so no line feed is counted twice.
        let (mut counted, mut line) = (0, 0);
        let mut place = |(at, reason): (usize, String)| {
            let end = at.min(text.len());
            line += memchr_iter(b'\n', text.get(counted..end).unwrap_or_default()).count() as u64;
            counted = counted.max(end);
            Bad { byte: begin + at as u64, line, reason }
        };
        self.done.bad = self.bad.into_iter().map(&mut place).collect();
        self.done.stop = self.stop.map(place);
        self.done.lines = if self.input.form == Form::Array { 0 } else { memchr_iter(b'\n', text).count() as u64 };
        self.done.out = ByteBuf::from(match self.layout.packed {
            // A limit cuts what is written, and cannot do that to what is packed.
            Some(packed) if self.layout.limit.is_none() && !self.out.is_empty() => {
                packed.pack(&self.out).map_err(|cause| TaskError::new(format_args!("failed to compress: {cause}")))?
            }
            _ => self.out,
        });
        Ok(self.done)
    }
}

fn describe(fault: &Fault, what: &str, at: usize) -> String {
    format!("{} ({what} {at})", fault.reason)
}

impl Layout {
    /// How many values a row has.
    fn slots(&self) -> usize {
        let sets = match &self.rows {
            Rows::Whole(sets) => sets.iter().map(|(_, slot)| slot + 1).max(),
            Rows::Columns(columns) => columns.iter().map(|column| column.slot + 1).max(),
        };
        self.fields.max(sets.unwrap_or(0))
    }
}
