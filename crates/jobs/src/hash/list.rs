//! Reads lists of checksums.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use crate::printable;

use super::algorithm::Algorithm;
use super::digest::Digest;
use super::line::LineParser;

/// Longer lines are improperly formatted: no path on Linux has more than 4096 bytes, each of which may be escaped.
const MAX_LINE_BYTES: usize = 16 << 10;

/// A file that a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of the list.
    pub list: usize,
    /// The file.
    pub path: Arc<Path>,
    /// The checksum to compute.
    pub algorithm: Algorithm,
    /// What it should be.
    pub digest: Digest,
}

/// What is kept of a list beside its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Its name for people.
    pub name: String,
    /// How many lines are improperly formatted.
    pub malformed: u64,
    /// The numbers of those lines, if they are asked for.
    pub malformed_lines: Vec<u64>,
}

/// Reads one list; adds its entries to `entries` under the number `list`.
///
/// # Errors
/// Those of reading it. What was read until then is dropped.
pub fn read_list(
    path: &Path,
    list: usize,
    parser: &mut LineParser,
    keep_malformed: bool,
    entries: &mut Vec<Entry>,
) -> io::Result<List> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "standard input".into() } else { printable(&path.to_string_lossy()).into_owned() };
    let mut reader: Box<dyn BufRead> =
        if is_stdin { Box::new(io::stdin().lock()) } else { Box::new(BufReader::new(File::open(path)?)) };
    let mut read = List { name, ..List::default() };
    let before = entries.len();
    let mut line = Vec::new();
    for number in 1.. {
        match read_line(&mut reader, &mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(cause) => {
                entries.truncate(before);
                return Err(cause);
            }
        }
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        let parsed = if line.len() > MAX_LINE_BYTES { None } else { parser.parse(text) };
        match parsed {
            // A list on standard input cannot name standard input.
            Some(parsed) if !(is_stdin && parsed.path.as_os_str() == "-") => {
                entries.push(Entry {
                    list,
                    path: parsed.path.into(),
                    algorithm: parsed.algorithm,
                    digest: parsed.digest,
                });
            }
            _ => {
                read.malformed += 1;
                if keep_malformed {
                    read.malformed_lines.push(number);
                }
            }
        }
    }
    Ok(read)
}

/// Reads a line without its newline, and of a line that is too long only its start; false at the end.
pub(crate) fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let newline = memchr::memchr(b'\n', chunk);
        let part = &chunk[..newline.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE_BYTES + 1 - line.len())]);
        let used = part.len() + usize::from(newline.is_some());
        reader.consume(used);
        if newline.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_are_read_in_bounded_memory() {
        let text = [b"a\n\n".to_vec(), vec![b'x'; 5 * MAX_LINE_BYTES], b"\nlast".to_vec()].concat();
        for capacity in [1, 100, 1 << 20] {
            let mut reader = BufReader::with_capacity(capacity, &text[..]);
            let mut line = Vec::new();
            let mut lengths = Vec::new();
            while read_line(&mut reader, &mut line).unwrap() {
                lengths.push(line.len());
            }
            assert_eq!(lengths, [1, 0, MAX_LINE_BYTES + 1, 4]);
            assert!(line.capacity() <= 4 * MAX_LINE_BYTES);
        }
    }
}
