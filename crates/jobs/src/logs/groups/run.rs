//! Groups as sorted bytes: what a task returns, and what is put into a file.
//!
//! An entry is the length of its key, the count of its lines and the length of its statistics (all LEB128), the key, and the
//! statistics by postcard. Entries are in the order of their places: any order would do that all workers have in common,
//! and hashes are compared faster than keys, which mostly begin alike.

use std::io::{self, BufRead, Read};

use xxhash_rust::xxh3::xxh3_64;

use super::{Group, MAX_KEY_BYTES};
use crate::logs::stats::Stats;

/// Where a key stands in runs; of two with one place the lesser comes first. Keys that are chosen to have the same place
/// cost comparisons of keys, and no more.
pub fn place(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Appends an entry.
///
/// # Errors
/// When the statistics cannot be encoded.
pub fn write_entry(run: &mut Vec<u8>, key: &[u8], lines: u64, stats: &[Stats]) -> io::Result<()> {
    let body = match stats {
        [] => Vec::new(),
        _ => postcard::to_stdvec(stats).map_err(io::Error::other)?,
    };
    for number in [key.len() as u64, lines, body.len() as u64] {
        write_number(run, number);
    }
    run.extend_from_slice(key);
    run.extend_from_slice(&body);
    Ok(())
}

fn write_number(run: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        run.push(number as u8 | 0x80);
        number >>= 7;
    }
    run.push(number as u8);
}

/// Reads a run from its begin to its end.
#[derive(Debug)]
pub struct RunReader<R> {
    source: R,
    /// How many fields each group has statistics of.
    stats: usize,
    place: u64,
    key: Vec<u8>,
    lines: u64,
    body: Vec<u8>,
    /// The key of before.
    last: Vec<u8>,
    has_begun: bool,
}

impl<R: BufRead> RunReader<R> {
    /// Stands before the first entry of a run with the statistics of so many fields.
    pub fn new(source: R, stats: usize) -> RunReader<R> {
        let (key, body, last) = Default::default();
        RunReader { source, stats, place: 0, key, lines: 0, body, last, has_begun: false }
    }

    /// Goes to the next entry; false at the end.
    ///
    /// # Errors
    /// Those of the source, and if it is no run.
    pub fn advance(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let key = self.read_number()?;
        self.lines = self.read_number()?;
        let body = self.read_number()?;
        std::mem::swap(&mut self.key, &mut self.last);
        read_exactly(&mut self.source, &mut self.key, key, MAX_KEY_BYTES)?;
        let place = place(&self.key);
        if self.has_begun && (place, &self.key) <= (self.place, &self.last) {
            return Err(damaged("its groups are not in order"));
        }
        self.place = place;
        self.has_begun = true;
        let max_bytes = self.stats.saturating_mul(Stats::MAX_ENCODED_BYTES);
        read_exactly(&mut self.source, &mut self.body, body, max_bytes)?;
        Ok(true)
    }

    /// What the next entry of all runs has least of.
    pub fn order(&self) -> (u64, &[u8]) {
        (self.place, &self.key)
    }

    /// The key that was read last.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The group that was read last.
    ///
    /// # Errors
    /// When it is none.
    pub fn group(&self) -> io::Result<Group> {
        let stats: Box<[Stats]> = match self.body.as_slice() {
            [] => Box::default(),
            body => postcard::from_bytes(body).map_err(|cause| damaged(&cause.to_string()))?,
        };
        if stats.len() != self.stats {
            return Err(damaged("other statistics"));
        }
        Ok(Group { lines: self.lines, stats })
    }

    fn read_number(&mut self) -> io::Result<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = match self.source.fill_buf()? {
                [] => return Err(io::ErrorKind::UnexpectedEof.into()),
                [byte, ..] => *byte,
            };
            self.source.consume(1);
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte < 0x80 {
                return Ok(number);
            }
            if shift >= 64 {
                return Err(damaged("a number is out of bounds"));
            }
        }
    }
}

/// Reads so many bytes, at most `max_bytes`: what is longer was damaged, or a worker lies. Takes no more memory than there
/// are.
fn read_exactly(source: &mut impl BufRead, bytes: &mut Vec<u8>, length: u64, max_bytes: usize) -> io::Result<()> {
    bytes.clear();
    if length == 0 {
        return Ok(());
    }
    if length > max_bytes as u64 {
        return Err(damaged("a length is out of bounds"));
    }
    // Mostly all of it is there.
    let there = source.fill_buf()?;
    if let Some(there) = there.get(..length as usize) {
        bytes.extend_from_slice(there);
        source.consume(length as usize);
        return Ok(());
    }
    let read = source.by_ref().take(length).read_to_end(bytes)?;
    if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged groups: {why}"))
}
