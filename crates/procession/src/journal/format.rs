//! The bytes of a journal: its header and its records. docs/protocol.md has the table.

use std::io::{self, Read};

/// The first bytes of every journal.
pub(super) const MAGIC: [u8; 8] = *b"procJRNL";
/// Of the format. Others are refused.
pub(super) const VERSION: u32 = 1;
/// Before the purpose: magic, version, length.
const PREFIX_BYTES: usize = 16;
/// Before a record's payload: key, length, checksum.
pub(super) const RECORD_PREFIX_BYTES: usize = 32;
/// More than a command line can have.
pub(super) const MAX_PURPOSE_BYTES: usize = 16 << 20;

/// What tells one item from another.
pub(super) type Key = [u8; 16];

type Checksum = [u8; 8];

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A journal's, of that many bytes.
    Whole { purpose: String, bytes: u64 },
    /// The begin of a journal's, or one that was damaged.
    Torn,
    /// A journal's of another version.
    Version(u32),
    /// Somebody else's.
    Foreign,
}

fn checksum(parts: &[&[u8]]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    first(hasher.finalize().as_bytes())
}

/// The first `N` of 32 bytes.
pub(super) fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at])
}

/// The header of a journal for this purpose.
pub(super) fn header(purpose: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + purpose.len() + size_of::<Checksum>());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(purpose.len() as u32).to_le_bytes());
    bytes.extend_from_slice(purpose.as_bytes());
    let sum = checksum(&[&bytes]);
    bytes.extend_from_slice(&sum);
    bytes
}

/// Reads the header of a file of `file_bytes` bytes.
///
/// # Errors
/// Those of reading.
pub(super) fn read_header(file: &mut impl Read, file_bytes: u64) -> io::Result<Header> {
    let mut bytes = read_up_to(file, PREFIX_BYTES)?;
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Ok(Header::Foreign);
    }
    let (Some(version), Some(len)) = (number_at(&bytes, 8), number_at(&bytes, 12)) else { return Ok(Header::Torn) };
    if version != VERSION {
        return Ok(Header::Version(version));
    }
    let rest = len as usize + size_of::<Checksum>();
    if len as usize > MAX_PURPOSE_BYTES || (PREFIX_BYTES + rest) as u64 > file_bytes {
        return Ok(Header::Torn);
    }
    bytes.append(&mut read_up_to(file, rest)?);
    let (content, sum) = bytes.split_at(bytes.len().saturating_sub(size_of::<Checksum>()));
    if bytes.len() != PREFIX_BYTES + rest || checksum(&[content]) != sum {
        return Ok(Header::Torn);
    }
    match String::from_utf8(content[PREFIX_BYTES..].to_vec()) {
        Ok(purpose) => Ok(Header::Whole { purpose, bytes: bytes.len() as u64 }),
        Err(_) => Ok(Header::Torn),
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The next bytes, as many as there are. What is asked for has been compared with the file's size.
fn read_up_to(file: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What stands before a record's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordPrefix {
    pub key: Key,
    pub payload_bytes: u64,
    checksum: Checksum,
}

impl RecordPrefix {
    /// That of a payload.
    fn of(key: Key, payload: &[u8]) -> RecordPrefix {
        let payload_bytes = payload.len() as u64;
        RecordPrefix { key, payload_bytes, checksum: checksum(&[&key, &payload_bytes.to_le_bytes(), payload]) }
    }

    /// The prefix that these bytes are.
    pub fn parse(bytes: &[u8; RECORD_PREFIX_BYTES]) -> RecordPrefix {
        let part = |at| std::array::from_fn(|i| bytes[at + i]);
        let key = std::array::from_fn(|i| bytes[i]);
        RecordPrefix { key, payload_bytes: u64::from_le_bytes(part(16)), checksum: part(24) }
    }

    /// Begins to check a payload that comes in pieces.
    pub fn checker(&self) -> Checker {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.key).update(&self.payload_bytes.to_le_bytes());
        Checker { hasher, checksum: self.checksum }
    }
}

/// A payload on its way through its check.
pub(super) struct Checker {
    hasher: blake3::Hasher,
    checksum: Checksum,
}

impl Checker {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Whether the bytes are those that were recorded.
    pub fn is_intact(&self) -> bool {
        first(self.hasher.finalize().as_bytes()) == self.checksum
    }
}

/// Appends a record to `out`.
pub(super) fn put_record(key: Key, payload: &[u8], out: &mut Vec<u8>) {
    let RecordPrefix { key, payload_bytes, checksum } = RecordPrefix::of(key, payload);
    out.extend_from_slice(&key);
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&checksum);
    out.extend_from_slice(payload);
}
