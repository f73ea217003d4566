//! Groups sorted by key, as bytes: what a task returns, and what is put into a file.
//!
//! An entry is the length of its key, the length of its group (both LEB128), the key, and the group by postcard.

use std::io::{self, BufRead, Read};

use super::Group;

/// No entry is longer: what is longer was damaged, or a worker lies.
const MAX_ENTRY_BYTES: u64 = 256 << 20;

/// Appends an entry.
///
/// # Errors
/// When the group cannot be encoded.
pub fn write_entry(run: &mut Vec<u8>, key: &[u8], group: &Group, scratch: &mut Vec<u8>) -> io::Result<()> {
    scratch.clear();
    let body = postcard::to_extend(group, std::mem::take(scratch)).map_err(io::Error::other)?;
    write_length(run, key.len() as u64);
    write_length(run, body.len() as u64);
    run.extend_from_slice(key);
    run.extend_from_slice(&body);
    *scratch = body;
    Ok(())
}

fn write_length(run: &mut Vec<u8>, mut length: u64) {
    while length >= 0x80 {
        run.push(length as u8 | 0x80);
        length >>= 7;
    }
    run.push(length as u8);
}

/// Reads a run from its begin to its end.
#[derive(Debug)]
pub struct RunReader<R> {
    source: R,
    /// The key that was read last.
    pub key: Vec<u8>,
    body: Vec<u8>,
    has_begun: bool,
}

impl<R: BufRead> RunReader<R> {
    /// Stands before the first entry.
    pub fn new(source: R) -> RunReader<R> {
        RunReader { source, key: Vec::new(), body: Vec::new(), has_begun: false }
    }

    /// Goes to the next entry; false at the end.
    ///
    /// # Errors
    /// Those of the source, and if it is no run.
    pub fn advance(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let (key, body) = (self.read_length()?, self.read_length()?);
        // The body's place is taken by the key of before, to compare.
        std::mem::swap(&mut self.key, &mut self.body);
        read_exactly(&mut self.source, &mut self.key, key)?;
        if self.has_begun && self.key <= self.body {
            return Err(damaged("its groups are not in order"));
        }
        self.has_begun = true;
        read_exactly(&mut self.source, &mut self.body, body)?;
        Ok(true)
    }

    /// The group that was read last.
    ///
    /// # Errors
    /// When it is none.
    pub fn group(&self) -> io::Result<Group> {
        postcard::from_bytes(&self.body).map_err(|cause| damaged(&cause.to_string()))
    }

    fn read_length(&mut self) -> io::Result<u64> {
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.source.read_exact(&mut byte)?;
            length |= u64::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 && length <= MAX_ENTRY_BYTES {
                return Ok(length);
            }
            if shift > 28 {
                return Err(damaged("a length is out of bounds"));
            }
        }
    }
}

/// Reads so many bytes; takes no more memory than there are.
fn read_exactly(source: &mut impl BufRead, bytes: &mut Vec<u8>, length: u64) -> io::Result<()> {
    bytes.clear();
    let read = source.by_ref().take(length).read_to_end(bytes)?;
    if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged groups: {why}"))
}
