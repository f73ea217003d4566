//! Files of columns that are damaged or lie: an error or rows, and never more than that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::*;

use super::Lab;

/// A step of a generator of numbers that is the same everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Changes some bytes: flips bits, writes what lengths are made of, cuts, repeats.
fn spoil(file: &mut Vec<u8>, state: &mut u64) {
    for _ in 0..=next(state) % 3 {
        if file.is_empty() {
            return;
        }
        // Most of what decides stands near the end.
        let at = match next(state) % 2 {
            0 => next(state) as usize % file.len(),
            _ => file.len() - 1 - next(state) as usize % file.len().min(400),
        };
        match next(state) % 6 {
            0 => file.truncate(at),
            1 => file[at] = 0xff,
            2 => file[at] = 0x7f,
            3 => file[at] = next(state) as u8,
            4 => {
                let end = (at + 8).min(file.len());
                file[at..end].fill([0, 0xff, 0x80][next(state) as usize % 3]);
            }
            _ => file[at] ^= 1 << (next(state) % 8),
        }
    }
}

fn table() -> RecordBatch {
    let texts: Vec<Option<String>> = (0..200).map(|n| (n % 7 != 0).then(|| "x".repeat(n % 23))).collect();
    let lists = (0..200).map(|n| (n % 5 != 0).then(|| vec![Some(n), None]));
    let words: DictionaryArray<types::Int8Type> = (0..200).map(|n| Some(["a", "bc", "def"][n % 3])).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int64Array::from_iter_values(0..200)) as ArrayRef, true),
        ("t", Arc::new(StringArray::from(texts)) as ArrayRef, true),
        ("l", Arc::new(ListArray::from_iter_primitive::<types::Int32Type, _, _>(lists)) as ArrayRef, true),
        ("w", Arc::new(words) as ArrayRef, true),
        ("d", Arc::new(Decimal128Array::from_iter_values(0..200)) as ArrayRef, true),
    ])
    .unwrap()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
    use parquet::basic::Compression;
    let mut files = Vec::new();
    for packed in [Compression::SNAPPY, Compression::ZSTD(Default::default()), Compression::UNCOMPRESSED] {
        let properties = parquet::file::properties::WriterProperties::builder().set_compression(packed).build();
        let mut out = Vec::new();
        let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, table().schema(), Some(properties)).unwrap();
        writer.write(&table()).unwrap();
        writer.close().unwrap();
        files.push(("in.parquet", out));
    }
    for packed in [None, Some(arrow_ipc::CompressionType::LZ4_FRAME), Some(arrow_ipc::CompressionType::ZSTD)] {
        let options = IpcWriteOptions::default().try_with_compression(packed).unwrap();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &table().schema(), options).unwrap();
        writer.write(&table()).unwrap();
        files.push(("in.arrow", writer.into_inner().unwrap()));
    }
    files
}

#[test]
fn damaged_files_are_an_error_or_rows() {
    let lab = Lab::new();
    let (mut good, mut errors, mut panics) = (0, 0, 0);
    let files = files();
    for seed in 0..100 {
        let mut state = seed;
        for (name, file) in &files {
            let mut file = file.clone();
            spoil(&mut file, &mut state);
            lab.file(name, &file);
            let output = ["out.ndjson", "out.parquet", "out.arrow"][seed as usize % 3];
            // Workers catch panics, and so does this test.
            match catch_unwind(AssertUnwindSafe(|| lab.transform(&[name], output, &["--limit", "1000"]))) {
                Ok(Ok(_)) => good += 1,
                Ok(Err(_)) => errors += 1,
                Err(_) => panics += 1,
            }
        }
    }
    println!("{good} good, {errors} errors, {panics} panics");
    assert!(good > 0 && errors > 0, "{good} good, {errors} errors, {panics} panics");
}

#[test]
fn what_is_no_such_file_is_told() {
    let lab = Lab::new();
    for (name, bytes, what) in [
        ("a.parquet", &b""[..], "does not end as Parquet does"),
        ("a.parquet", b"PAR1", "does not end as Parquet does"),
        ("a.parquet", b"PAR1\xff\xff\xff\x7fPAR1", "longer than"),
        ("a.parquet", b"PAR1\x10\x00\x00\x00PAR1", "a.parquet"),
        ("a.parquet", b"PAR1\x00\x00\x00\x00PARE", "encrypted"),
        ("a.parquet", b"\x1f\x8b\x08\x00", "compressed as a whole"),
        ("a.arrow", b"", "does not begin as"),
        ("a.arrow", b"ARROW1", "does not end as"),
        ("a.arrow", b"ARROW1\0\0\xff\xff\xff\x7fARROW1", "does not end as"),
        ("a.arrow", b"ARROW1\0\0\0\0\0\0\0\0\0\0ARROW1", "damaged"),
        ("a.feather", b"FEA1......", "first version of Feather"),
        ("a.arrow", b"\xff\xff\xff\xff\0\0\0\0", "stream"),
    ] {
        lab.file(name, bytes);
        let error = lab.transform(&[name], "out.csv", &[]).unwrap_err();
        assert!(error.contains(what) && error.contains(name), "{bytes:?}: {error}");
    }
}
