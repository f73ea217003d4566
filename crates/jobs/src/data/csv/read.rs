//! Reads rows of CSV.

use std::borrow::Cow;

use memchr::memchr;
use wide::u8x16;

use super::{Dialect, RowBorders};
use crate::data::Raw;

const STEP: usize = 16;

/// The rows of some bytes, which begin where a row begins.
#[derive(Debug)]
pub struct Rows<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// Whether an empty line is a row, of one field.
    takes_empty: bool,
}

impl<'a> Rows<'a> {
    /// The rows of `bytes`. Of a table of one column an empty line is a row, of others none.
    pub fn new(bytes: &'a [u8], dialect: Dialect, columns: usize) -> Rows<'a> {
        Rows { bytes, at: 0, dialect, takes_empty: columns == 1 }
    }

    /// The offset of the next row.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads the next row into `fields`, which it empties first; returns where the row begins. An empty field is null, and
    /// with quotes it is an empty text.
    ///
    /// # Errors
    /// What is wrong with the row. The next one can be read for all that.
    pub fn next(&mut self, fields: &mut Vec<Raw<'a>>) -> Option<(usize, Result<(), Cow<'static, str>>)> {
        while !self.takes_empty && self.skip_line_end() {}
        if self.at >= self.bytes.len() {
            return None;
        }
        let begin = self.at;
        fields.clear();
        let read = self.row(fields);
        if read.is_err() {
            let rest = &self.bytes[begin..];
            self.at = begin + RowBorders::new(self.dialect).find(rest, 1).unwrap_or(rest.len());
        }
        Some((begin, read))
    }

    /// Goes over the end of a line, if it is here.
    fn skip_line_end(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let length = if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
        self.at += length;
        length > 0
    }

    fn row(&mut self, fields: &mut Vec<Raw<'a>>) -> Result<(), Cow<'static, str>> {
        let Dialect { delimiter, quote } = self.dialect;
        loop {
            if self.bytes.get(self.at) == Some(&quote) {
                let field = self.quoted()?;
                fields.push(field);
                match self.bytes.get(self.at) {
                    None => return Ok(()),
                    Some(byte) if *byte == delimiter => {
                        self.at += 1;
                        continue;
                    }
                    Some(_) if self.skip_line_end() => return Ok(()),
                    Some(_) => return Err("something stands behind a closing quote".into()),
                }
            }
            let begin = self.at;
            self.at = self.stop(begin);
            let mut field = &self.bytes[begin..self.at];
            let stop = self.bytes.get(self.at).copied();
            if stop == Some(quote) {
                return Err("a quote stands in a field without quotes".into());
            }
            if stop != Some(delimiter) {
                field = field.strip_suffix(b"\r").unwrap_or(field);
            }
            fields.push(if field.is_empty() { Raw::Null } else { Raw::Text(field) });
            self.at += usize::from(stop.is_some());
            if stop != Some(delimiter) {
                return Ok(());
            }
        }
    }

    /// The first delimiter, line feed or quote at or behind `at`, or the end.
    #[inline]
    fn stop(&self, mut at: usize) -> usize {
        let Dialect { delimiter, quote } = self.dialect;
        let [delimiters, quotes, ends] = [delimiter, quote, b'\n'].map(u8x16::splat);
        while let Some(block) = self.bytes.get(at..at + STEP).and_then(|b| <[u8; STEP]>::try_from(b).ok()) {
            let block = u8x16::new(block);
            let stops = block.cmp_eq(delimiters) | block.cmp_eq(quotes) | block.cmp_eq(ends);
            let stops = stops.move_mask();
            if stops != 0 {
                return at + stops.trailing_zeros() as usize;
            }
            at += STEP;
        }
        while self.bytes.get(at).is_some_and(|byte| ![delimiter, quote, b'\n'].contains(byte)) {
            at += 1;
        }
        at
    }

    /// Reads a quoted field.
    fn quoted(&mut self) -> Result<Raw<'a>, Cow<'static, str>> {
        let quote = self.dialect.quote;
        let begin = self.at + 1;
        let mut at = begin;
        let mut is_doubled = false;
        loop {
            let Some(found) = self.bytes.get(at..).and_then(|rest| memchr(quote, rest)) else {
                return Err("a quoted field has no end".into());
            };
            at += found;
            if self.bytes.get(at + 1) != Some(&quote) {
                let inside = &self.bytes[begin..at];
                self.at = at + 1;
                return Ok(if is_doubled { Raw::Doubled(inside, quote) } else { Raw::Text(inside) });
            }
            is_doubled = true;
            at += 2;
        }
    }
}

/// The text of a quoted field in which quotes are doubled.
pub fn undouble(inside: &[u8], quote: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr(quote, rest) {
        text.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}
