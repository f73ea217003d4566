//! Finds where rows of CSV end, be there line feeds in quoted fields.
//!
//! What a row is does not depend on its being right: a quote opens only at the begin of a field, and elsewhere stands for
//! nothing. So one bad row is one bad row, wherever the file is cut.

use memchr::memchr;

use super::Dialect;

/// A place in a CSV file.
#[derive(Debug, Clone)]
pub struct RowBorders {
    dialect: Dialect,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first of two.
    BehindQuote,
}

impl RowBorders {
    /// At the begin of a row.
    pub fn new(dialect: Dialect) -> RowBorders {
        RowBorders { dialect, state: State::FieldStart }
    }

    /// Goes on over `bytes` up to the first end of a row at or behind `from`; over all of them if there is none.
    pub fn find(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let Dialect { delimiter, quote } = self.dialect;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Quoted => {
                    at += memchr(quote, &bytes[at..])? + 1;
                    self.state = State::BehindQuote;
                }
                State::BehindQuote if *byte == quote => (self.state, at) = (State::Quoted, at + 1),
                State::FieldStart if *byte == quote => (self.state, at) = (State::Quoted, at + 1),
                State::FieldStart | State::BehindQuote | State::Plain => {
                    let end = memchr(quote, &bytes[at..]).map_or(bytes.len(), |found| at + found);
                    let first = at.max(from.saturating_sub(1)).min(end);
                    if let Some(found) = memchr(b'\n', &bytes[first..end]) {
                        self.state = State::FieldStart;
                        return Some(first + found + 1);
                    }
                    let is_start = end > at && (bytes[end - 1] == delimiter || bytes[end - 1] == b'\n');
                    self.state = match (is_start, end < bytes.len()) {
                        (true, true) => State::Quoted,
                        (true, false) => State::FieldStart,
                        (false, _) => State::Plain,
                    };
                    at = end + 1;
                }
            }
        }
        None
    }
}
