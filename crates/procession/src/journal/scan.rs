//! Finds the records of a journal, up to the first that is not whole.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};

use super::format::{Key, RECORD_PREFIX_BYTES, RecordPrefix};

/// Payloads are read in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

/// Where a record lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Of its first byte.
    pub offset: u64,
    pub payload_bytes: u64,
}

/// The records of a journal that were not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The first one of each key.
    places: HashMap<Key, Place>,
    /// Further ones, of items that are all the same: rare.
    others: HashMap<Key, VecDeque<Place>>,
    /// Records that were found.
    pub count: u64,
}

impl Records {
    fn insert(&mut self, key: Key, place: Place) {
        self.count += 1;
        match self.places.entry(key) {
            Entry::Vacant(entry) => drop(entry.insert(place)),
            Entry::Occupied(_) => self.others.entry(key).or_default().push_back(place),
        }
    }

    /// The oldest record of a key; each is given once.
    pub fn take(&mut self, key: &Key) -> Option<Place> {
        let next = self.others.get_mut(key).and_then(VecDeque::pop_front);
        match next {
            Some(next) => self.places.insert(*key, next),
            None => self.places.remove(key),
        }
    }
}

/// Reads all records between `start` and `end`. Returns them, and where the last whole one ends.
///
/// # Errors
/// Those of reading. What is no record is none: there the journal ends.
pub(super) fn scan(file: &mut impl Read, start: u64, end: u64) -> io::Result<(Records, u64)> {
    let mut records = Records::default();
    let mut offset = start;
    let mut piece = Vec::new();
    while let Some(prefix) = read_prefix(file, end - offset)? {
        let mut checker = prefix.checker();
        let mut left = prefix.payload_bytes;
        while left > 0 {
            piece.clear();
            file.take(left.min(PIECE_BYTES as u64)).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok((records, offset));
            }
            checker.update(&piece);
            left -= piece.len() as u64;
        }
        if !checker.is_intact() {
            break;
        }
        records.insert(prefix.key, Place { offset, payload_bytes: prefix.payload_bytes });
        offset += RECORD_PREFIX_BYTES as u64 + prefix.payload_bytes;
    }
    Ok((records, offset))
}

/// What stands before the next record's payload; none if there is no room for all of the record.
fn read_prefix(file: &mut impl Read, room: u64) -> io::Result<Option<RecordPrefix>> {
    let Some(room) = room.checked_sub(RECORD_PREFIX_BYTES as u64) else { return Ok(None) };
    let mut bytes = [0; RECORD_PREFIX_BYTES];
    match file.read_exact(&mut bytes) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let prefix = RecordPrefix::parse(&bytes);
    Ok((prefix.payload_bytes <= room).then_some(prefix))
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::super::format::{Header, read_header};
    use super::scan;

    /// Where the records of a journal are, and how many.
    pub(crate) struct Found {
        pub start: u64,
        pub end: u64,
        pub count: u64,
    }

    /// Takes bytes for a journal, as a call that resumes it does.
    pub(crate) fn find(bytes: &[u8]) -> Found {
        let (mut file, len) = (bytes, bytes.len() as u64);
        let header = read_header(&mut file, len).expect("memory can be read");
        let Header::Whole { bytes: start, .. } = header else { return Found { start: 0, end: 0, count: 0 } };
        let (records, end) = scan(&mut file, start, len).expect("memory can be read");
        Found { start, end, count: records.count }
    }
}
