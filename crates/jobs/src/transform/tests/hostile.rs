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
    assert!(good > 0 && errors > 0 && panics == 0, "{good} good, {errors} errors, {panics} panics");
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

#[test]
fn places_of_arrow_buffers_are_checked() {
    let lab = Lab::new();
    let column = Arc::new(Int64Array::from_iter_values(0..200)) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    let file = writer.into_inner().unwrap();
    // The size of the column stands where its buffer is described, behind the place of that.
    let size = 1600_i64.to_le_bytes();
    let found: Vec<usize> = (0..file.len() - 8).filter(|at| file[*at..].starts_with(&size)).collect();
    let mut refused = 0;
    for at in found.iter().flat_map(|at| [*at, *at - 8]) {
        for wrong in [i64::MAX, i64::MIN, -1, 1 << 40, 1601] {
            let mut spoiled = file.clone();
            spoiled[at..at + 8].copy_from_slice(&wrong.to_le_bytes());
            lab.file("in.arrow", &spoiled);
            let error = lab.transform(&["in.arrow"], "out.ndjson", &[]).err();
            refused += usize::from(error.is_some_and(|error| error.contains("a buffer lies behind the end")));
        }
    }
    assert!(refused >= 10, "{refused} of {found:?}");
}

#[test]
fn places_of_parquet_columns_are_checked() {
    use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
    let lab = Lab::new();
    let file = files().remove(0).1;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(file.clone())).unwrap();
    for (offset, size) in [(-1, 10), (4, -1), (i64::MIN, 1 << 60), (i64::MAX, 1 << 60), (i64::MAX, 0)] {
        let group = metadata.row_group(0);
        let spoiled = group.columns().iter().map(|column| {
            let column = column.clone().into_builder().set_dictionary_page_offset(None).set_data_page_offset(offset);
            column.set_total_compressed_size(size).build().unwrap()
        });
        let group = group.clone().into_builder().set_column_metadata(spoiled.collect()).build().unwrap();
        let known: &FileMetaData = metadata.file_metadata();
        let mut spoiled = file.clone();
        let spoiled_metadata = ParquetMetaData::new(known.clone(), vec![group]);
        ParquetMetaDataWriter::new(&mut spoiled, &spoiled_metadata).finish().unwrap();
        lab.file("in.parquet", &spoiled);
        lab.transform(&["in.parquet"], "out.ndjson", &[]).unwrap_err();
    }
}

#[test]
fn a_limit_takes_no_memory_for_rows_behind_it() {
    let lab = Lab::new();
    // All rows have the one text: 32 GiB, if it was written for each.
    let text = StringArray::from(vec!["x".repeat(1 << 20)]);
    let keys = Int32Array::from(vec![0; 32 << 10]);
    let column = Arc::new(DictionaryArray::new(keys, Arc::new(text))) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("t", column)]).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    lab.file("in.arrow", writer.into_inner().unwrap());
    for output in ["out.ndjson", "out.arrow", "out.parquet"] {
        lab.transform(&["in.arrow"], output, &["--limit", "3"]).unwrap();
    }
}

/// A text of 256 KiB that a file has once, and 1024 rows refer to; and what the file says of the bytes in all of them.
fn shared_text(said: Option<i64>) -> Vec<u8> {
    use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
    let text = StringArray::from(vec!["x".repeat(256 << 10)]);
    let column = DictionaryArray::new(Int32Array::from(vec![0; 1024]), Arc::new(text));
    let numbers = Arc::new(Int64Array::from_iter_values(0..1024)) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("n", numbers), ("t", Arc::new(column) as ArrayRef)]).unwrap();
    // What others write need not tell that it was a dictionary.
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new_with_options(&mut file, rows.schema(), options).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(file.clone())).unwrap();
    let group = metadata.row_group(0);
    let columns = group.columns().iter().map(|column| {
        let said = said.filter(|_| column.column_type() == parquet::basic::Type::BYTE_ARRAY);
        column.clone().into_builder().set_unencoded_byte_array_data_bytes(said).build().unwrap()
    });
    let group = group.clone().into_builder().set_column_metadata(columns.collect()).build().unwrap();
    let metadata = ParquetMetaData::new(metadata.file_metadata().clone(), vec![group]);
    ParquetMetaDataWriter::new(&mut file, &metadata).finish().unwrap();
    file
}

#[test]
fn texts_that_rows_share_are_written_in_pieces() {
    use crate::data::columnar::{Columnar, look};
    let lab = Lab::new();
    for said in [Some(1024 * (256 << 10)), None] {
        lab.file("in.parquet", shared_text(said));
        let shape = look(&lab.path("in.parquet"), Columnar::Parquet).unwrap();
        let bytes = shape.groups[0].value_bytes >> 20;
        assert!((256..260).contains(&bytes) && shape.groups[0].memory_bytes < 1 << 20, "{said:?}: {shape:?}");
    }
    lab.transform(&["in.parquet"], "out.arrow", &["--limit", "300"]).unwrap();
    let file = std::fs::File::open(lab.path("out.arrow")).unwrap();
    let batches = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
    let rows: Vec<usize> = batches.map(|batch| batch.unwrap().num_rows()).collect();
    assert!(rows.iter().sum::<usize>() == 300 && rows.iter().all(|rows| *rows < 64), "{rows:?}");
    // The row groups of the output are those tasks.
    lab.transform(&["in.parquet"], "out.parquet", &[]).unwrap();
    let shape = look(&lab.path("out.parquet"), Columnar::Parquet).unwrap();
    assert!(shape.groups.len() >= 4 && shape.groups.iter().map(|group| group.rows).sum::<u64>() == 1024, "{shape:?}");
    for input in ["in.parquet", "out.parquet"] {
        lab.transform(&[input], "out.csv", &["--set", "t=length(t)", "--where", "n % 100 = 99"]).unwrap();
        let lines: String = (0..10).map(|n| format!("{},262144\n", n * 100 + 99)).collect();
        assert_eq!(lab.read("out.csv"), format!("n,t\n{lines}"));
    }
}

#[test]
fn a_file_that_hides_its_size_is_refused() {
    let lab = Lab::new();
    lab.file("in.parquet", shared_text(Some(0)));
    for output in ["out.csv", "out.json", "out.arrow"] {
        let error = lab.transform(&["in.parquet"], output, &[]).unwrap_err();
        assert!(
            error.contains("in.parquet") && error.contains("become more than") && error.contains("--select"),
            "{error}"
        );
        assert!(!lab.path(output).exists());
    }
    lab.transform(&["in.parquet"], "out.csv", &["--select", "n"]).unwrap();
    assert_eq!(lab.read("out.csv").lines().count(), 1025);
}

#[test]
fn bytes_that_the_arrow_schema_calls_a_text_are_bytes() {
    use arrow_schema::{DataType, Field, Schema};
    let bytes = || BinaryArray::from_vec(vec![b"ok", b"\xff\xfe", b"ok"]);
    let lists = ListArray::new(
        Arc::new(Field::new("item", DataType::Binary, false)),
        arrow_buffer::OffsetBuffer::from_lengths([1, 0, 2]),
        Arc::new(bytes()),
        None,
    );
    let rows = RecordBatch::try_from_iter([("b", Arc::new(bytes()) as ArrayRef), ("l", Arc::new(lists) as ArrayRef)]);
    let rows = rows.unwrap();
    let lab = Lab::new();
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for text in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, words] {
        let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, false)));
        for claimed in [[text.clone(), list(DataType::Binary)], [DataType::Binary, list(text)]] {
            let [b, l] = claimed;
            let schema = Schema::new(vec![Field::new("b", b, false), Field::new("l", l, false)]);
            let mut properties = parquet::file::properties::WriterProperties::default();
            parquet::arrow::add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
            let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new();
            let options = options.with_skip_arrow_metadata(true).with_properties(properties);
            let mut file = Vec::new();
            let mut writer =
                parquet::arrow::ArrowWriter::try_new_with_options(&mut file, rows.schema(), options).unwrap();
            writer.write(&rows).unwrap();
            writer.close().unwrap();
            lab.file("in.parquet", file);
            lab.transform(&["in.parquet"], "out.ndjson", &[]).unwrap();
            let expected = "{\"b\":\"b2s=\",\"l\":[\"b2s=\"]}\n{\"b\":\"//4=\",\"l\":[]}\n{\"b\":\"b2s=\",\"l\":[\"//4=\",\"b2s=\"]}\n";
            assert_eq!(lab.read("out.ndjson"), expected, "{schema}");
            std::fs::remove_file(lab.path("out.ndjson")).unwrap();
        }
    }
}
