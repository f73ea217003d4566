//! Reads the rows of a text: lines and arrays of JSON, and CSV.

use memchr::memchr;

use crate::data::Raw;
use crate::data::csv::{Dialect, Rows};
use crate::data::json::{Fault, Scan, Shape};

use super::desk::Desk;
use super::layout::Input;

/// The rows of a text on their way.
pub struct Text<'d, 'l, 'a> {
    desk: &'d mut Desk<'l>,
    input: &'d Input,
    text: &'a [u8],
    is_utf8: bool,
    /// The values of a row: of fields, then of `--set`.
    slots: Vec<Raw<'a>>,
    /// Of the last object.
    shape: Shape,
}

impl<'d, 'l, 'a> Text<'d, 'l, 'a> {
    /// The rows of `text`, for `desk`.
    pub fn new(desk: &'d mut Desk<'l>, input: &'d Input, text: &'a [u8]) -> Text<'d, 'l, 'a> {
        desk.expect(text.len());
        let slots = vec![Raw::Null; desk.layout.slots()];
        Text { desk, input, text, is_utf8: std::str::from_utf8(text).is_ok(), slots, shape: Shape::default() }
    }

    /// A value a line.
    pub fn lines(&mut self) {
        let mut begin = 0;
        while begin < self.text.len() && !self.desk.is_over() {
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
                    Err(fault) => self.desk.bad_row(begin, line, &describe(&fault, "column", fault.at + 1)),
                }
            }
            begin += line.len() + 1;
        }
    }

    /// Elements of an array, each with the comma behind it.
    pub fn elements(&mut self, is_first: bool, is_last: bool) {
        let mut scan = Scan::new(self.text);
        let read = self.read_elements(&mut scan, is_first, is_last);
        if let Err(fault) = read {
            let hint = if fault.at == 0 && is_first { " (--from ndjson reads an object a line)" } else { "" };
            self.desk.stop = Some((fault.at, format!("{}{hint}", fault.reason)));
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
                    self.desk.bad_row(begin, scan.since(begin), "expected an object");
                }
                if self.desk.is_over() {
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
        let is_closed = self.desk.layout.is_closed;
        self.desk.layout.wanted.read(scan, &mut self.slots, &mut self.shape, &mut |name| {
            if is_closed && unknown.is_none() {
                unknown = Some(name.clone());
            }
        })?;
        Ok(unknown)
    }

    /// Rows of CSV.
    pub fn rows(&mut self, dialect: Dialect, is_last: bool) {
        let columns = self.input.slots.len();
        let mut rows = Rows::new(self.text, dialect, columns);
        let mut fields = Vec::with_capacity(columns);
        while !self.desk.is_over()
            && let Some((begin, read)) = rows.next(&mut fields)
        {
            let row = &self.text[begin..rows.at()];
            if self.desk.is_probing() && !is_last && rows.at() == self.text.len() {
                // The last row of a sample may be cut off.
                break;
            }
            match read {
                Err(reason) => self.desk.bad_row(begin, row, &reason),
                Ok(()) if fields.len() != columns => {
                    let reason = format!("the row has {} fields, the header {columns}", fields.len());
                    self.desk.bad_row(begin, row, &reason);
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
            return self.desk.bad_row(begin, row, &reason);
        }
        if let Some(name) = unknown {
            let name = name.text().unwrap_or_default();
            let name = String::from_utf8_lossy(&name);
            let reason =
                format!("there is no column for `{name}`, which the first rows lack (--select names the columns)");
            return self.desk.bad_row(begin, row, &reason);
        }
        self.desk.row(begin, row, &mut self.slots);
    }
}

fn describe(fault: &Fault, what: &str, at: usize) -> String {
    format!("{} ({what} {at})", fault.reason)
}
