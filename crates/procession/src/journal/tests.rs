//! Journals that are whole, cut off, damaged, somebody else's, or no journals at all.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::file::{JournalFile, Opening};
use super::format::{self, Key, put_record};
use super::*;
use crate::ErrorKind;

/// A journal in the making.
struct Lab {
    folder: TempDir,
}

const PAYLOADS: [&[u8]; 4] = [b"first", b"", b"the third one", b"last"];

fn key(number: usize) -> Key {
    [number as u8 + 1; 16]
}

impl Lab {
    fn new() -> Lab {
        Lab { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn with(bytes: &[u8]) -> Lab {
        let lab = Lab::new();
        fs::write(lab.path(), bytes).unwrap();
        lab
    }

    fn resume(&self) -> Result<JournalFile, Error> {
        JournalFile::open(&self.path(), "test", Opening::Resume)
    }
}

/// The bytes of a journal of these payloads, and where each record ends.
fn journal(payloads: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = format::header("test");
    let mut ends = vec![bytes.len()];
    for (number, payload) in payloads.iter().enumerate() {
        put_record(key(number), payload, &mut bytes);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Opens what should have the first `whole` of the payloads, and writes and finds another record.
fn check(bytes: &[u8], whole: usize, end: usize) {
    let lab = Lab::with(bytes);
    let file = lab.resume().unwrap();
    assert_eq!((file.recovered, file.lost_bytes), (whole as u64, (bytes.len() - end) as u64));
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let expected = (number < whole).then(|| payload.to_vec());
        assert_eq!((file.take(&key(number)), file.take(&key(number))), (expected, None), "{number}");
    }
    let mut record = Vec::new();
    put_record(key(99), b"after it", &mut record);
    file.append(&record).unwrap();
    file.sync().unwrap();
    drop(file);
    let file = lab.resume().unwrap();
    assert_eq!(
        (file.recovered, file.lost_bytes, file.take(&key(99))),
        (whole as u64 + 1, 0, Some(b"after it".to_vec()))
    );
}

#[test]
fn a_journal_cut_off_anywhere_has_the_records_before() {
    let (bytes, ends) = journal(&PAYLOADS);
    for len in ends[0]..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= len).count() - 1;
        check(&bytes[..len], whole, ends[whole]);
    }
}

#[test]
fn a_flipped_byte_costs_its_record_and_what_follows() {
    let (bytes, ends) = journal(&PAYLOADS);
    for at in ends[0]..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= at).count() - 1;
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            check(&damaged, whole, ends[whole]);
        }
    }
}

#[test]
fn a_header_that_is_not_whole_is_begun_afresh() {
    let (bytes, ends) = journal(&PAYLOADS);
    for len in 0..ends[0] {
        let lab = Lab::with(&bytes[..len]);
        let file = lab.resume().unwrap();
        assert_eq!((file.recovered, file.lost_bytes), (0, len as u64));
        drop(file);
        assert_eq!(fs::read(lab.path()).unwrap(), bytes[..ends[0]]);
    }
    // Length, purpose and checksum.
    for at in 12..ends[0] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let lab = Lab::with(&damaged);
        let file = lab.resume().unwrap();
        assert_eq!((file.recovered, file.lost_bytes), (0, damaged.len() as u64), "{at}");
        assert_eq!(fs::read(lab.path()).unwrap(), bytes[..ends[0]]);
    }
}

#[track_caller]
fn refused(lab: &Lab, opened: Result<JournalFile, Error>, kind: ErrorKind, words: &str) {
    let before = fs::read(lab.path()).unwrap();
    let error = opened.err().expect("it is opened");
    assert_eq!(error.kind(), kind);
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.to_string().contains(&lab.path().display().to_string()), "{error}");
    assert_eq!(fs::read(lab.path()).unwrap(), before);
}

#[test]
fn what_is_not_ours_is_left_as_it_is() {
    for text in ["x", "procession is no magic", "a longer text than any header of ours\n"] {
        let lab = Lab::with(text.as_bytes());
        refused(&lab, lab.resume(), ErrorKind::BadArgument, "another kind of file");
    }
    let (mut bytes, _) = journal(&PAYLOADS);
    bytes[8] = 2;
    let lab = Lab::with(&bytes);
    refused(&lab, lab.resume(), ErrorKind::BadArgument, "version 2");
    let lab = Lab::with(&journal(&PAYLOADS).0);
    let other = JournalFile::open(&lab.path(), "resize 800x600", Opening::Resume);
    refused(&lab, other, ErrorKind::OtherPurpose, "another purpose, `test`, not for `resize 800x600`");
    refused(&lab, JournalFile::open(&lab.path(), "test", Opening::Create), ErrorKind::Exists, "it exists");
    let first = lab.resume().unwrap();
    for opening in [Opening::Resume, Opening::Create, Opening::Replace] {
        refused(&lab, JournalFile::open(&lab.path(), "test", opening), ErrorKind::Busy, "another program uses it");
    }
    drop(first);
    for path in ["/", "/dev/null", "/no/such/folder/journal"] {
        assert!(Journal::resume(path, "test").is_err(), "{path}");
        assert!(Journal::replace(path, "test").is_err(), "{path}");
    }
    assert_eq!(Journal::create("/dev/null", "test").unwrap_err().kind(), ErrorKind::BadArgument);
}

#[test]
fn a_journal_is_begun_where_nothing_would_be_lost() {
    let lab = Lab::new();
    drop(Journal::create(lab.path(), "one").unwrap());
    drop(Journal::create(lab.path(), "two").unwrap());
    assert_eq!(Journal::resume(lab.path(), "one").unwrap_err().kind(), ErrorKind::OtherPurpose);
    fs::write(lab.path(), "some text").unwrap();
    assert_eq!(Journal::create(lab.path(), "one").unwrap_err().kind(), ErrorKind::Exists);
    let journal = Journal::replace(lab.path(), "one").unwrap();
    assert_eq!((journal.recovered(), journal.lost_bytes()), (0, 0));
    drop(journal);
    fs::write(lab.path(), "").unwrap();
    drop(Journal::create(lab.path(), "three").unwrap());
    assert_eq!(Journal::resume(lab.path(), "three").unwrap().recovered(), 0);
    let long = "x".repeat(17 << 20);
    assert_eq!(Journal::resume(lab.path(), &long).unwrap_err().kind(), ErrorKind::BadArgument);
}

#[test]
fn records_that_vanish_while_it_is_open_are_not_given() {
    let lab = Lab::with(&journal(&PAYLOADS).0);
    let file = lab.resume().unwrap();
    let mut bytes = fs::read(lab.path()).unwrap();
    let at = bytes.windows(5).position(|window| window == b"first").unwrap();
    bytes[at] = b'F';
    bytes.truncate(bytes.len() - 1);
    fs::write(lab.path(), bytes).unwrap();
    assert_eq!(
        (file.take(&key(0)), file.take(&key(2)), file.take(&key(3))),
        (None, Some(b"the third one".to_vec()), None)
    );
}

#[test]
fn lengths_beyond_the_file_ask_for_no_memory() {
    for len in [6, 1 << 30, u64::MAX - 31, u64::MAX] {
        let (mut bytes, ends) = journal(&PAYLOADS[..1]);
        bytes[ends[0] + 16..ends[0] + 24].copy_from_slice(&u64::to_le_bytes(len));
        check(&bytes, 0, ends[0]);
    }
    let mut bytes = format::MAGIC.to_vec();
    bytes.extend(format::VERSION.to_le_bytes());
    bytes.extend(u32::MAX.to_le_bytes());
    assert_eq!(Lab::with(&bytes).resume().unwrap().lost_bytes, 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_after_a_header_are_no_records(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let whole = [format::header("test"), bytes.clone()].concat();
        check(&whole, 0, whole.len() - bytes.len());
    }

    #[test]
    fn any_file_is_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), known in 0_usize..40) {
        let (ours, _) = journal(&PAYLOADS);
        let bytes = [&ours[..known], &bytes].concat();
        let lab = Lab::with(&bytes);
        match lab.resume() {
            Ok(file) => prop_assert_eq!(file.recovered, 0),
            Err(_) => prop_assert_eq!(fs::read(lab.path()).unwrap(), bytes),
        }
    }
}
