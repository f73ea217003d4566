//! Cuts a file or a stream into chunks of whole rows.

use std::io::{self, Read};

use memchr::memchr;

use super::csv::{Dialect, RowBorders};
use super::json::ArrayBorders;
use crate::regular::Regular;

/// The longest row that is taken. One without an end must not take all memory.
pub const MAX_ROW_BYTES: u64 = 256 << 20;

/// Bytes asked for at once.
const READ_BYTES: usize = 256 << 10;

/// How the rows of a format end.
#[derive(Debug, Clone)]
pub enum Cut {
    /// With a line feed, always.
    Lines,
    /// With a line feed that is not in quotes.
    Rows(RowBorders),
    /// With a comma between the elements of an array.
    Elements(ArrayBorders),
}

impl Cut {
    /// At the first row of a CSV file.
    pub fn rows(dialect: Dialect) -> Cut {
        Cut::Rows(RowBorders::new(dialect))
    }

    /// At the begin of an array.
    pub fn elements() -> Cut {
        Cut::Elements(ArrayBorders::default())
    }

    /// Goes on over `bytes` up to the first end of a row at or behind `from`.
    fn find(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Cut::Lines => {
                let from = from.saturating_sub(1).min(bytes.len());
                memchr(b'\n', &bytes[from..]).map(|at| from + at + 1)
            }
            Cut::Rows(borders) => borders.find(bytes, from),
            Cut::Elements(borders) => borders.find(bytes, from),
        }
    }
}

/// What chunks are read from.
pub trait Source: Read {
    /// Goes over up to so many bytes without reading them, if it can, and not over its end; returns how many they were.
    ///
    /// # Errors
    /// Those of lseek(2).
    fn skip(&mut self, _bytes: u64) -> io::Result<u64> {
        Ok(0)
    }
}

impl Source for std::fs::File {}

impl Source for Regular {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let bytes = bytes.min(self.left());
        self.seek(self.at().saturating_add(bytes))?;
        Ok(bytes)
    }
}

/// Some rows of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where they begin in the input.
    pub begin: u64,
    /// How many bytes they are.
    pub bytes: u64,
    /// The bytes themselves, if the input can be read once only.
    pub text: Option<Vec<u8>>,
    /// Nothing was before.
    pub is_first: bool,
    /// Nothing follows.
    pub is_last: bool,
}

/// The chunks of one input, made while they are pulled.
pub struct Chunks {
    source: Box<dyn Source>,
    cut: Cut,
    chunk_bytes: usize,
    /// Whether chunks carry their bytes.
    keeps_text: bool,
    /// What was read: what belongs to the next chunk, and of that the bytes that were searched.
    held: Vec<u8>,
    searched: usize,
    /// Bytes of the next chunk that are not held any more.
    passed: u64,
    begin: u64,
    is_first: bool,
    is_over: bool,
}

impl Chunks {
    /// Chunks of `head` and then `source`, the first of which begins at `begin`; none is much longer than `chunk_bytes` if
    /// rows are not.
    pub fn new(
        source: Box<dyn Source>,
        head: Vec<u8>,
        begin: u64,
        cut: Cut,
        chunk_bytes: usize,
        keeps_text: bool,
    ) -> Chunks {
        let (held, searched, passed) = (head, 0, 0);
        Chunks { source, cut, chunk_bytes, keeps_text, held, searched, passed, begin, is_first: true, is_over: false }
    }

    fn read(&mut self) -> io::Result<Chunk> {
        loop {
            let done = self.passed + self.searched as u64;
            let from = (self.chunk_bytes as u64).saturating_sub(done).max(1);
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            if let Some(at) = self.cut.find(&self.held[self.searched..], from) {
                return Ok(self.take(self.searched + at, false));
            }
            self.searched = self.held.len();
            if !self.keeps_text {
                self.passed += self.searched as u64;
                self.held.clear();
                self.searched = 0;
            }
            if self.passed + self.searched as u64 > MAX_ROW_BYTES + self.chunk_bytes as u64 {
                let limit = MAX_ROW_BYTES >> 20;
                return Err(io::Error::other(format!(
                    "the row at byte {} or one behind it is longer than {limit} MiB (or has a quote that nothing closes)",
                    self.begin
                )));
            }
            // Wherever one is in a file of lines, the next line feed ends a row.
            if !self.keeps_text && matches!(self.cut, Cut::Lines) {
                let wanted = (self.chunk_bytes as u64).saturating_sub(self.passed + 1);
                self.passed += self.source.skip(wanted)?;
            }
            let before = self.held.len();
            let mut part = (&mut self.source).take(READ_BYTES as u64);
            if part.read_to_end(&mut self.held)? == 0 {
                return Ok(self.take(before, true));
            }
        }
    }

    /// Cuts off the chunk that ends with the first `end` bytes held.
    fn take(&mut self, end: usize, is_last: bool) -> Chunk {
        let bytes = self.passed + end as u64;
        let text = self.keeps_text.then(|| {
            let behind = self.held.split_off(end);
            std::mem::replace(&mut self.held, behind)
        });
        if text.is_none() {
            self.held.drain(..end);
        }
        let chunk = Chunk { begin: self.begin, bytes, text, is_first: self.is_first, is_last };
        self.begin += bytes;
        (self.searched, self.passed, self.is_first, self.is_over) = (0, 0, false, is_last);
        chunk
    }
}

impl Iterator for Chunks {
    type Item = io::Result<Chunk>;

    /// The next chunk; the last one may be empty.
    fn next(&mut self) -> Option<io::Result<Chunk>> {
        if self.is_over {
            return None;
        }
        let chunk = self.read();
        self.is_over |= chunk.is_err();
        Some(chunk)
    }
}
