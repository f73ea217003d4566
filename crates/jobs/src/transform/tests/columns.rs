//! Formats of columns: types, what survives, and what is refused.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Lab;
use crate::data::columnar::Columnar;

/// A file of these batches, each in a group of its own, as others write it.
fn file(format: Columnar, batches: &[RecordBatch]) -> Vec<u8> {
    let schema = batches[0].schema();
    match format {
        Columnar::Parquet => {
            let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
            for batch in batches {
                writer.write(batch).unwrap();
                writer.flush().unwrap();
            }
            writer.into_inner().unwrap()
        }
        Columnar::Arrow => {
            let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &schema).unwrap();
            batches.iter().for_each(|batch| writer.write(batch).unwrap());
            writer.into_inner().unwrap()
        }
    }
}

const FORMATS: [(&str, Columnar); 2] = [("parquet", Columnar::Parquet), ("arrow", Columnar::Arrow)];

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// One row of every type, and one of nulls.
fn all_types() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let host = StructArray::try_new(
        vec![Field::new("name", DataType::Utf8, true), Field::new("up", DataType::Boolean, false)].into(),
        vec![Arc::new(StringArray::from(vec!["a\"b", "hidden"])), Arc::new(BooleanArray::from(vec![true, true]))],
        Some(NullBuffer::from(vec![true, false])),
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    map.keys().append_value("k\n");
    map.values().append_value(0.5);
    map.append(true).unwrap();
    map.append(false).unwrap();
    let micros = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
    let words: DictionaryArray<Int32Type> = [Some("word"), None].into_iter().collect();
    columns(vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(-128), None]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), None]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(1e300), None]))),
        ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), None]))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("dec", Arc::new(Decimal128Array::from(vec![Some(-150), None]).with_precision_and_scale(38, 2).unwrap())),
        (
            "big",
            Arc::new(
                Decimal256Array::from(vec![Some(arrow_buffer::i256::from_i128(i128::MAX)), None])
                    .with_precision_and_scale(76, 38)
                    .unwrap(),
            ),
        ),
        ("utc", Arc::new(micros.clone().with_timezone("UTC"))),
        ("fixed", Arc::new(micros.clone().with_timezone("+05:30"))),
        ("place", Arc::new(micros.clone().with_timezone("Europe/Berlin"))),
        ("naive", Arc::new(micros)),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(86_399_000_001), None]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), None]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("a text that is longer than twelve"), None]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff\x10A"[..]), None]))),
        ("list", Arc::new(list)),
        ("host", Arc::new(host.unwrap())),
        ("map", Arc::new(map.finish())),
        ("word", Arc::new(words)),
        ("null", Arc::new(NullArray::new(2))),
    ])
}

#[test]
fn every_type_has_an_exact_text() {
    let lab = Lab::new();
    let expected = concat!(
        r#"{"i8":-128,"u64":18446744073709551615,"f32":0.1,"f64":1e300,"nan":"NaN","bool":true,"dec":-1.50,"#,
        r#""big":1.70141183460469231731687303715884105727,"utc":"1970-01-01T00:00:01.500Z","#,
        r#""fixed":"1970-01-01T05:30:01.500+05:30","place":"1970-01-01T00:00:01.500Z","naive":"1970-01-01T00:00:01.500","#,
        r#""nanos":"1969-12-31T23:59:59.999999999","date":"1969-12-31","time":"23:59:59.000001","text":"","#,
        r#""view":"a text that is longer than twelve","bytes":"AP8QQQ==","list":[1,null],"host":{"name":"a\"b","up":true},"#,
        r#""map":{"k\n":0.5},"word":"word","null":null}"#,
    );
    for (name, format) in FORMATS {
        let input = format!("in.{name}");
        lab.file(&input, file(format, &[all_types()]));
        lab.transform(&[&input], "out.ndjson", &[]).unwrap();
        let text = lab.read("out.ndjson");
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, expected);
        let nulls: Map<String, Value> = serde_json::from_str(second).unwrap();
        assert!(nulls.len() == 23 && nulls.values().all(Value::is_null), "{second}");
        // Through the other format, and with a row taken out, it is the same.
        for (other, _) in FORMATS {
            let (middle, again) = (format!("middle.{other}"), format!("again.{name}"));
            lab.transform(&[&input, &input], &middle, &["--where", "i8 < 0"]).unwrap();
            lab.transform(&[&middle], &again, &[]).unwrap();
            let report = lab.transform(&[&again], "out.ndjson", &[]).unwrap();
            assert_eq!(report["rows_written"], 2);
            assert_eq!(lab.read("out.ndjson"), format!("{expected}\n{expected}\n"));
        }
        let flags = ["--select", "x=host.name,list,host", "--where", "host.name is null or i8 < 0"];
        lab.transform(&[&input], "out.csv", &flags).unwrap();
        let csv = "x,list,host\n\"a\"\"b\",\"[1,null]\",\"{\"\"name\"\":\"\"a\\\"\"b\"\",\"\"up\"\":true}\"\n,,\n";
        assert_eq!(lab.read("out.csv"), csv);
        lab.transform(&[&input], "out.parquet", &flags).unwrap();
        lab.transform(&["out.parquet"], "out.csv", &[]).unwrap();
        assert_eq!(lab.read("out.csv"), csv);
    }
}

#[test]
fn types_are_the_narrowest_that_lose_nothing() {
    let lab = Lab::new();
    let csv = "int,float,point,bool,zip,money,big,mixed,late,empty\n1,1.5,1.0,true,01234,1.50,9223372036854775808,1,2026-01-31T10:00:00+02:00,\n\
        -5,2,0.25,false,99999,2.00,1,x,2026-02-01T00:00:00Z,\n";
    for (to, _) in FORMATS {
        lab.file("in.csv", csv);
        let output = format!("out.{to}");
        lab.transform(&["in.csv"], &output, &[]).unwrap();
        lab.transform(&[&output], "back.csv", &[]).unwrap();
        assert_eq!(lab.read("back.csv"), csv);
        lab.transform(&[&output], "back.ndjson", &[]).unwrap();
        let first = r#"{"int":1,"float":1.5,"point":1.0,"bool":true,"zip":"01234","money":"1.50","big":"9223372036854775808","mixed":"1","#;
        assert!(lab.read("back.ndjson").starts_with(first));
        let schema = ["--schema", "money:decimal(18,2),late:timestamp,big:decimal(20,0)", "--schema", "zip:text"];
        lab.transform(&["in.csv"], &output, &schema).unwrap();
        lab.transform(&[&output], "back.csv", &["--select", "money,late,big"]).unwrap();
        let rows = "1.50,2026-01-31T08:00:00Z,9223372036854775808\n2.00,2026-02-01T00:00:00Z,1\n";
        assert_eq!(lab.read("back.csv"), format!("money,late,big\n{rows}"));
    }
}

#[test]
fn what_does_not_fit_is_a_bad_row_and_never_changed() {
    let lab = Lab::new();
    let early = "1\n".repeat(10_000);
    for (late, schema, what) in [
        ("x", "", "--schema n:text takes any"),
        ("1.5", "", "decimal(18,2)"),
        ("01", "", "line 10002: `n` is not an integer"),
        ("9223372036854775808", "", "not an integer of 64 bits"),
        ("1.005", "n:decimal(18,2)", "`n` is not a decimal number"),
        ("12345", "n:decimal(5,2)", "`n` is not a decimal number"),
        ("0.1234567890123456789", "n:float", "`n` is not a number that floating point holds"),
        ("1.5", "n:int", "`n` is not an integer"),
    ] {
        lab.file("in.csv", format!("n\n{early}{late}\n"));
        let schema = if schema.is_empty() { vec![] } else { vec!["--schema", schema] };
        let error = lab.transform(&["in.csv"], "out.parquet", &schema).unwrap_err();
        assert!(error.contains(what) && !lab.path("out.parquet").exists(), "{error}");
        let skip = [&schema[..], &["--on-bad-row", "skip"]].concat();
        let report = lab.transform(&["in.csv"], "skip.parquet", &skip).unwrap();
        assert_eq!((&report["rows_written"], &report["rows_skipped"]), (&10_000.into(), &1.into()));
    }
    lab.file("in.csv", "t,d\n2026-01-31T00:00:00.1234567Z,2026-01-31\n");
    for (schema, what) in
        [("t:timestamp", "`t` is not an instant"), ("d:timestamp", "`d` is not"), ("t:date", "`t` is not a day")]
    {
        let error = lab.transform(&["in.csv"], "out.arrow", &["--schema", schema]).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    // Strings of JSON are no numbers, whatever they look like.
    lab.file("in.ndjson", format!("{}{{\"n\":\"2\"}}\n", "{\"n\":1}\n".repeat(10_000)));
    let error = lab.transform(&["in.ndjson"], "out.arrow", &[]).unwrap_err();
    assert!(error.contains("line 10001: `n` is not an integer"), "{error}");
}

#[test]
fn bad_rows_of_columns_have_a_place_and_are_kept_as_json() {
    let lab = Lab::new();
    let batch = columns(vec![
        ("n", Arc::new(Int32Array::from(vec![1, 0, 2]))),
        ("t", Arc::new(StringArray::from(vec!["a", "b\"", "c"]))),
    ]);
    for (name, format) in FORMATS {
        let input = format!("in.{name}");
        lab.file(&input, file(format, &[batch.clone(), batch.clone()]));
        let error = lab.transform(&[&input], "out.csv", &["--set", "x=1 / n", "--where", "n < 1"]).unwrap_err();
        assert!(error.contains("row 2: --set"), "{error}");
        let kept = format!("quarantine={}", lab.path("bad").display());
        let report = lab.transform(&[&input], "out.parquet", &["--set", "x=8 / n", "--on-bad-row", &kept]).unwrap();
        assert_eq!((&report["rows_read"], &report["rows_written"]), (&6.into(), &4.into()));
        assert_eq!(lab.read("bad"), "{\"n\":0,\"t\":\"b\\\"\"}\n".repeat(2));
        lab.transform(&["out.parquet"], "out.csv", &[]).unwrap();
        assert_eq!(lab.read("out.csv"), "n,t,x\n1,a,8\n2,c,4\n1,a,8\n2,c,4\n");
    }
}

#[test]
fn limits_cut_groups_and_no_rows_are_a_file_too() {
    let lab = Lab::new();
    let batch = columns(vec![("n", Arc::new(Int64Array::from_iter_values(0..1000)))]);
    for (name, format) in FORMATS {
        let input = format!("in.{name}");
        lab.file(&input, file(format, &[batch.slice(0, 10), batch.slice(0, 0), batch.slice(10, 990)]));
        lab.file("in.csv", format!("n\n{}", (0..1000).map(|n| format!("{n}\n")).collect::<String>()));
        for (limit, flags) in [(0, &[][..]), (1, &[]), (10, &[]), (11, &[]), (333, &["--where", "n >= 0"]), (2000, &[])]
        {
            for input in [&input[..], "in.csv"] {
                let limit_text = limit.to_string();
                let flags = [flags, &["--limit", &limit_text]].concat();
                for output in ["out.parquet", "out.arrow", "out.csv"] {
                    let report = lab.transform(&[input], output, &flags).unwrap();
                    assert_eq!(report["rows_written"], limit.min(1000), "{input} {output}");
                    lab.transform(&[output], "back.csv", &[]).unwrap();
                    let rows: String = (0..limit.min(1000)).map(|n| format!("{n}\n")).collect();
                    assert_eq!(lab.read("back.csv"), format!("n\n{rows}"));
                }
            }
        }
        lab.transform(&[&input], "none.parquet", &["--where", "n < 0"]).unwrap();
        lab.transform(&["none.parquet"], "none.arrow", &[]).unwrap();
        lab.transform(&["none.arrow"], "none.json", &[]).unwrap();
        assert_eq!(lab.read("none.json"), "[]\n");
        lab.transform(&["none.arrow"], "none.csv", &[]).unwrap();
        assert_eq!(lab.read("none.csv"), "n\n");
    }
}

#[test]
fn names_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let lab = Lab(tempfile::Builder::new().prefix(folder).tempdir().unwrap());
    lab.file("in.csv", "n\n7\n");
    for (input, output) in
        [("in.csv", "a.csv.gz"), ("a.csv.gz", "b.parquet"), ("b.parquet", "c.arrow"), ("c.arrow", "out.csv")]
    {
        lab.transform(&[input], output, &[]).unwrap();
    }
    assert_eq!(lab.read("out.csv"), "n\n7\n");
}

#[test]
fn inputs_of_different_types_need_a_schema() {
    let lab = Lab::new();
    let small = columns(vec![("n", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]);
    let large = columns(vec![
        ("n", Arc::new(Int64Array::from(vec![1_i64 << 40])) as ArrayRef),
        ("t", Arc::new(StringArray::from(vec!["x"]))),
    ]);
    lab.file("a.parquet", file(Columnar::Parquet, &[small]));
    lab.file("b.arrow", file(Columnar::Arrow, &[large]));
    lab.file("c.csv", "n\n7\n");
    let error = lab.transform(&["a.parquet", "b.arrow"], "out.parquet", &[]).unwrap_err();
    assert!(error.contains("Int32 in") && error.contains("--schema n:TYPE"), "{error}");
    let error = lab.transform(&["c.csv", "b.arrow"], "out.parquet", &["--select", "n"]).unwrap_err();
    assert!(error.contains("none in") && error.contains("--schema n:TYPE"), "{error}");
    lab.transform(&["a.parquet", "b.arrow"], "out.parquet", &["--schema", "n:int"]).unwrap();
    lab.transform(&["out.parquet"], "out.csv", &[]).unwrap();
    assert_eq!(lab.read("out.csv"), "n,t\n1,\n1099511627776,x\n");
    lab.transform(&["a.parquet", "c.csv", "b.arrow"], "out.arrow", &["--schema", "n:int", "--select", "n"]).unwrap();
    lab.transform(&["out.arrow"], "out.csv", &[]).unwrap();
    assert_eq!(lab.read("out.csv"), "n\n1\n7\n1099511627776\n");
}

#[test]
fn what_columns_cannot_hold_is_told() {
    let lab = Lab::new();
    lab.file("in.csv", "n\n1\n");
    lab.file("none.ndjson", "");
    lab.file("none.json", "[]");
    for (input, output, flags, what) in [
        ("in.csv", "out.parquet.gz", &[][..], "not compressed as a whole"),
        ("none.ndjson", "out.parquet", &[], "no columns"),
        ("none.json", "out.arrow", &[], "no columns"),
        ("in.csv", "out.parquet", &["--schema", "n:decimal(39,1)"], "is no COL:TYPE"),
    ] {
        let error = lab.transform(&[input], output, flags).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let intervals = columns(vec![("i", Arc::new(IntervalYearMonthArray::from(vec![1])) as ArrayRef)]);
    lab.file("i.arrow", file(Columnar::Arrow, &[intervals]));
    let error = lab.transform(&["i.arrow"], "out.csv", &[]).unwrap_err();
    assert!(error.contains("column `i`") && error.contains("--select"), "{error}");
    lab.transform(&["i.arrow"], "out.arrow", &[]).unwrap();
    let inner: DictionaryArray<Int32Type> = ["a", "a"].into_iter().collect();
    let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
    let lists = ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(inner), None);
    let schema = Schema::new(vec![Field::new("l", lists.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(lists)]).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    lab.file("l.arrow", writer.into_inner().unwrap());
    let error = lab.transform(&["l.arrow"], "out.arrow", &[]).unwrap_err();
    assert!(error.contains("column `l`") && error.contains("--schema l:json"), "{error}");
    lab.transform(&["l.arrow"], "out.arrow", &["--schema", "l:json"]).unwrap();
    lab.transform(&["out.arrow"], "out.ndjson", &["--schema", "l:json"]).unwrap();
    assert_eq!(lab.read("out.ndjson"), "{\"l\":[\"a\",\"a\"]}\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Numbers, truths and nested values come back from columns as they were, if all of a column are of one kind.
    #[test]
    fn values_of_json_survive_columns(ints: Vec<i64>, floats in prop::collection::vec(any::<f64>(), 1..20), truths: Vec<bool>) {
        let lab = Lab::new();
        let mut text = String::new();
        for (n, float) in floats.iter().enumerate() {
            let int = ints.get(n).map_or("null".to_string(), i64::to_string);
            let truth = truths.get(n).map_or("null".to_string(), bool::to_string);
            let float = if float.is_finite() { crate::data::digits::shortest(*float) } else { "null".to_string() };
            text.push_str(&format!("{{\"i\":{int},\"f\":{float},\"b\":{truth},\"o\":[{int},{{\"f\":{float}}}]}}\n"));
        }
        lab.file("in.ndjson", &text);
        for (name, _) in FORMATS {
            let output = format!("out.{name}");
            lab.transform(&["in.ndjson"], &output, &[]).unwrap();
            lab.transform(&[&output], "back.ndjson", &["--schema", "o:json"]).unwrap();
            prop_assert_eq!(&lab.read("back.ndjson"), &text);
        }
    }
}
