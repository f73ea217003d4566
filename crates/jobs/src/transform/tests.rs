//! The whole job without worker processes: plan, run, fold, finish; files of every format into every other.

mod columns;
mod hostile;

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::*;
use crate::{FailedKind, Planned};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    own: TransformArgs,
}

/// A folder to transform files in.
struct Lab(TempDir);

impl Lab {
    fn new() -> Lab {
        Lab(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Transforms files of this folder: the report, or the first failure.
    fn transform(&self, inputs: &[&str], output: &str, flags: &[&str]) -> Result<Value, String> {
        let inputs = inputs.iter().map(|name| self.path(name).into_os_string());
        let words = std::iter::once("transform".into()).chain(inputs).chain(flags.iter().map(Into::into));
        let args = Cli::try_parse_from(words).unwrap().own;
        let mut job = Transform::new(args, Some(&self.path(output)), Replace::Allowed);
        let plan = job.plan(&FilesAhead::default()).map_err(|error| error.to_string())?;
        // What is sent to workers survives the way there, and what comes back the way back.
        let layout: Layout = postcard::from_bytes(&postcard::to_stdvec(job.context()).unwrap()).unwrap();
        let mut failure = None;
        for planned in plan.tasks {
            let (item, done) = match planned {
                Planned::Failed(item, error) => (item, Err(error)),
                Planned::Task(item, task) => {
                    let task = postcard::from_bytes(&postcard::to_stdvec(&task).unwrap()).unwrap();
                    (item, Transform::run(&layout, task))
                }
            };
            let folded = done.and_then(|done| {
                let done = postcard::from_bytes(&postcard::to_stdvec(&done).unwrap()).unwrap();
                job.fold(&item, done)
            });
            if let Err(error) = folded {
                job.fold_failure(&item, FailedKind::Failed);
                failure = Some(error.to_string());
            }
            if job.is_over() {
                break;
            }
        }
        job.finish(failure.is_none()).map_err(|error| error.to_string())?;
        failure.map_or_else(|| Ok(Box::new(job).report().json()), Err)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The text of a file in another format.
    fn turned(&self, from: &str, text: &str, to: &str, flags: &[&str]) -> Result<String, String> {
        let (input, output) = (format!("in.{from}"), format!("out.{to}"));
        self.file(&input, text);
        self.transform(&[&input], &output, flags)?;
        Ok(self.read(&output))
    }
}

#[test]
fn values_are_exact() {
    let lab = Lab::new();
    let rows = r#"{"id":"007","n":1.50,"big":18446744073709551617,"t":"a,b\n\"c\"","o":{"x": [1, 2]},"e":"","z":null}"#;
    let csv = "id,n,big,t,o,e,z\n007,1.50,18446744073709551617,\"a,b\n\"\"c\"\"\",\"{\"\"x\"\":[1,2]}\",\"\",\n";
    for (from, text) in [("ndjson", rows.to_string()), ("json", format!("[{rows}]"))] {
        assert_eq!(lab.turned(from, &text, "csv", &[]).unwrap(), csv);
    }
    let back = lab.turned("csv", csv, "ndjson", &["--schema", "id:text,o:json"]).unwrap();
    let small = rows.replace(": [1, 2]", ":[1,2]");
    assert_eq!(back, format!("{small}\n"));
    assert_eq!(lab.turned("ndjson", rows, "json", &[]).unwrap(), format!("[\n{small}\n]\n"));
    assert_eq!(lab.turned("csv", csv, "tsv", &[]).unwrap().lines().next().unwrap(), "id\tn\tbig\tt\to\te\tz");
}

#[test]
fn types_are_those_of_all_values() {
    let lab = Lab::new();
    let csv = "a,b,c,d,e\n1,true,x,007,\n-2.5e3,false,1,8,\n,,,,\n";
    let expected = "{\"a\":1,\"b\":true,\"c\":\"x\",\"d\":\"007\",\"e\":null}\n\
        {\"a\":-2.5e3,\"b\":false,\"c\":\"1\",\"d\":\"8\",\"e\":null}\n\
        {\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null}\n";
    assert_eq!(lab.turned("csv", csv, "ndjson", &[]).unwrap(), expected);
    // Behind the sample nothing is lost.
    let late = format!("a\n{}x\n007\n", "1\n".repeat(10_001));
    let json = lab.turned("csv", &late, "ndjson", &[]).unwrap();
    assert!(json.ends_with("{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":\"007\"}\n"));
    let error = lab.turned("csv", &late, "ndjson", &["--schema", "a:number"]).unwrap_err();
    assert!(error.contains("line 10003: `a` is not a number, but `x` (--schema; --on-bad-row"), "{error}");
}

#[test]
fn columns_are_chosen_and_renamed() {
    let lab = Lab::new();
    let json = r#"[{"a":1,"h":{"n":"x","m":2}},{"h":{"n":"y"},"b":3},{"h":7}]"#;
    let select = ["--select", "host=h.n, b,`a`,h.m"];
    assert_eq!(lab.turned("json", json, "csv", &select).unwrap(), "host,b,a,h.m\nx,,1,2\ny,3,,\n,,,\n");
    let rows = "{\"host\":\"x\",\"b\":null,\"a\":1,\"h.m\":2}\n";
    assert!(lab.turned("json", json, "ndjson", &select).unwrap().starts_with(rows));
    assert_eq!(lab.turned("csv", "a,h.n\n1,2\n", "csv", &["--select", "x=h.n"]).unwrap(), "x\n2\n");
    let error = lab.turned("csv", "a\n1\n", "csv", &["--select", "b"]).unwrap_err();
    assert!(error.contains("no column `b`") && error.contains("--select"), "{error}");
    for bad in ["", "a,", "a b", "a=", "a,a", "a-b"] {
        assert!(lab.turned("csv", "a\n1\n", "csv", &["--select", bad]).unwrap_err().contains("--select"), "{bad}");
    }
}

#[test]
fn unknown_names_are_no_silent_loss() {
    let lab = Lab::new();
    let mut rows = "{\"a\":1}\n".repeat(10_000);
    rows.push_str("{\"a\":2,\"b\":3}\n");
    let error = lab.turned("ndjson", &rows, "csv", &[]).unwrap_err();
    assert!(error.contains("line 10001: there is no column for `b`") && error.contains("--select"), "{error}");
    assert!(!lab.path("out.csv").exists());
    assert_eq!(lab.turned("ndjson", &rows, "csv", &["--select", "b"]).unwrap().lines().last(), Some("3"));
    assert_eq!(lab.turned("ndjson", &rows, "csv", &["--where", "b = 3"]).unwrap(), "a,b\n2,3\n");
}

#[test]
fn bad_rows_stop_or_are_kept() {
    let lab = Lab::new();
    let bad_json = "{\"a\":1}\n{\"a\":01}\n\n[1]\n{\"a\":\"\u{20ac}\"}\n";
    for (from, text, place) in [
        ("ndjson", bad_json, "in.ndjson`: line 2: a number has no leading zeros (column 7)"),
        ("json", "[{\"a\":1},\n 7,{\"a\":2}]", "in.json`: byte 12: expected an object"),
        ("json", "[{\"a\":1},\n {\"a\":2,}]", "in.json`: byte 19: expected a name in quotes"),
        ("csv", "a,b\n\"x\ny\",1\n1\n", "in.csv`: line 4: the row has 1 fields, the header 2"),
        ("csv", "a\nx\"y\n", "in.csv`: line 2: a quote stands in a field without quotes"),
    ] {
        let error = lab.turned(from, text, "csv", &["--select", "a"]).unwrap_err();
        assert!(error.contains(place), "{error}");
        assert!(!lab.path("out.csv").exists());
    }
    let kept = format!("quarantine={}", lab.path("bad").display());
    for (from, text, out, bad) in [
        ("ndjson", bad_json, "a\n1\n\u{20ac}\n", "{\"a\":01}\n[1]\n"),
        ("json", "[{\"a\":1},\n [7,\n 8],{\"a\":2}]", "a\n1\n2\n", "[7,8]\n"),
        ("csv", "a\n1\nx\"y\n2,3\n\"4\n\"\n", "a\n1\n\"4\n\"\n", "a\nx\"y\n2,3\n"),
    ] {
        assert_eq!(lab.turned(from, text, "csv", &["--select", "a", "--on-bad-row", "skip"]).unwrap(), out);
        assert_eq!(lab.turned(from, text, "csv", &["--select", "a", "--on-bad-row", &kept]).unwrap(), out);
        assert_eq!(lab.read("bad"), bad);
    }
    // An array that stops being one cannot be gone on with.
    let error = lab.turned("json", "[{\"a\":1},{]", "csv", &["--select", "a", "--on-bad-row", "skip"]).unwrap_err();
    assert!(error.contains("byte 11") && !error.contains("--on-bad-row"), "{error}");
}

#[test]
fn quarantined_rows_are_mended_and_read_again() {
    let lab = Lab::new();
    lab.file("a.csv", "n;\"x;y\"\r\n1;a\r\n2\r\n3;c\r\n");
    lab.file("b.csv", "n;\"x;y\"\n4;d;e\n5;f\n");
    lab.file("c.csv", "n;z\n6;g\n");
    let kept = format!("quarantine={}", lab.path("bad.csv").display());
    let flags = ["--delimiter", ";", "--on-bad-row", &kept];
    lab.transform(&["a.csv", "b.csv"], "out.ndjson", &flags).unwrap();
    assert_eq!(lab.read("bad.csv"), "n;\"x;y\"\n2\r\n4;d;e\n");
    let (a, b) = (lab.path("a.csv"), lab.path("b.csv"));
    let reasons = [
        format!("`{}`: line 3: the row has 1 fields, the header 2\n", a.display()),
        format!("`{}`: line 2: the row has 3 fields, the header 2\n", b.display()),
    ];
    assert_eq!(lab.read("bad.csv.reasons"), reasons.concat());
    // Mended, it is an input like the others.
    lab.file("mended.csv", lab.read("bad.csv").replace("2\r\n", "2;b\n").replace(";e", ""));
    lab.transform(&["mended.csv"], "more.ndjson", &flags).unwrap();
    assert_eq!(lab.read("more.ndjson"), "{\"n\":2,\"x;y\":\"b\"}\n{\"n\":4,\"x;y\":\"d\"}\n");
    assert_eq!(lab.read("bad.csv") + &lab.read("bad.csv.reasons"), "", "nothing was bad");
    // The header is the file's own, since the same command is to read it; without one there is none.
    let named = [&flags[..], &["--header-names", "a,b"]].concat();
    lab.transform(&["a.csv"], "out.ndjson", &named).unwrap();
    assert_eq!(lab.read("bad.csv"), "n;\"x;y\"\n2\r\n");
    lab.transform(&["a.csv"], "out.ndjson", &[&flags[..], &["--no-header"]].concat()).unwrap();
    assert_eq!(lab.read("bad.csv"), "2\r\n");
    lab.file("d.ndjson", "{\"n\":1}\n");
    for inputs in [["a.csv", "c.csv"], ["a.csv", "d.ndjson"]] {
        let error = lab.transform(&inputs, "out.ndjson", &flags).unwrap_err();
        assert!(error.contains("different formats or headers"), "{error}");
    }
}

#[test]
fn of_very_many_bad_rows_some_are_described() {
    let lab = Lab::new();
    let kept = format!("quarantine={}", lab.path("bad").display());
    // Less than two chunks.
    let text = format!("{{\"n\":0}}\n{}", "x\n".repeat(100_000));
    lab.turned("ndjson", &text, "csv", &["--on-bad-row", &kept]).unwrap();
    assert_eq!(lab.read("bad"), "x\n".repeat(100_000));
    let reasons = lab.read("bad.reasons");
    let described = reasons.lines().filter(|line| line.contains(": line ")).count();
    let more = |line: &str| line.strip_suffix(" more bad rows").and_then(|count| count.parse::<usize>().ok());
    let undescribed: usize = reasons.lines().filter_map(more).sum();
    assert!(described >= 1000 && described + undescribed == 100_000, "{described}, {undescribed}");
    assert!(reasons.starts_with("`") && reasons.contains(": line 2: ") && reasons.contains(": line 1001: "));
}

#[test]
fn bytes_that_are_no_text_are_bad_rows() {
    let lab = Lab::new();
    for (from, text) in [
        ("ndjson", &b"{\"a\":1}\n{\"a\":\"\xff\"}\n{\"a\":3}\n"[..]),
        ("json", b"[{\"a\":1},{\"a\":\"\xff\"},{\"a\":3}]"),
        ("csv", b"a\n1\n\xff\n3\n"),
    ] {
        let input = format!("in.{from}");
        lab.file(&input, text);
        let error = lab.transform(&[&input], "out.ndjson", &[]).unwrap_err();
        assert!(error.contains("invalid UTF-8"), "{error}");
        let report = lab.transform(&[&input], "out.ndjson", &["--on-bad-row", "skip"]).unwrap();
        assert_eq!(lab.read("out.ndjson"), "{\"a\":1}\n{\"a\":3}\n");
        assert_eq!((&report["rows_read"], &report["rows_skipped"]), (&3.into(), &1.into()));
    }
}

#[test]
fn what_is_no_array_is_told() {
    let lab = Lab::new();
    for (text, what) in [
        ("", "the text ends too early"),
        ("{}", "--from ndjson"),
        ("[", "the text ends too early"),
        ("[{}", "the text ends too early"),
        ("[{},]", "byte 5"),
        ("[{}] []", "behind the array"),
        ("[{}]]", "behind the array"),
    ] {
        let error = lab.turned("json", text, "ndjson", &[]).unwrap_err();
        let what = if text.is_empty() { "expected an array" } else { what };
        assert!(error.contains(what), "{text}: {error}");
    }
    assert_eq!(lab.turned("json", " [ ] ", "json", &[]).unwrap(), "[]\n");
    assert_eq!(lab.turned("json", "\u{feff}[{}]", "ndjson", &[]).unwrap(), "{}\n");
    assert_eq!(lab.turned("csv", "\u{feff}a\n1\n", "ndjson", &[]).unwrap(), "{\"a\":1}\n");
}

#[test]
fn csv_without_a_header_and_in_other_dialects() {
    let lab = Lab::new();
    assert_eq!(lab.turned("csv", "1,x\n", "ndjson", &["--no-header"]).unwrap(), "{\"c1\":1,\"c2\":\"x\"}\n");
    let named = ["--no-header", "--header-names", "a,b"];
    assert_eq!(lab.turned("csv", "1,x\n", "ndjson", &named).unwrap(), "{\"a\":1,\"b\":\"x\"}\n");
    let odd = ["--delimiter", ";", "--quote", "'"];
    assert_eq!(lab.turned("csv", "a;b\n'x;''y';1,5\n", "csv", &odd).unwrap(), "a,b\nx;'y,\"1,5\"\n");
    assert_eq!(lab.turned("ndjson", "{\"a\":\"x;'\",\"b\":1}", "csv", &odd).unwrap(), "a;b\n'x;''';1\n");
    for (text, flags, what) in [
        ("a,a\n", &[][..], "two columns"),
        ("", &[], "no header"),
        ("a\n", &["--header-names", "a,b"], "--header-names"),
        ("a\n", &["--delimiter", "\""], "--delimiter"),
        ("a\n", &["--delimiter", "1"], "--delimiter"),
    ] {
        let error = lab.turned("csv", text, "ndjson", flags).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn inputs_follow_one_another_up_to_the_limit() {
    let lab = Lab::new();
    lab.file("1.csv", "a,b\n1,2\n3,4\n");
    lab.file("2.ndjson", "{\"a\":5,\"c\":6}\n");
    lab.file("3.json", "[{\"b\":7}]");
    lab.transform(&["1.csv", "2.ndjson", "3.json"], "all.csv", &[]).unwrap();
    let error = lab.transform(&["1.csv", "2.ndjson"], "all.csv", &["--select", "c"]).unwrap_err();
    assert!(error.contains("no column `c` in"), "{error}");
    for (limit, rows) in [("0", ""), ("1", "1,2\n"), ("3", "1,2\n3,4\n5,\n"), ("99", "1,2\n3,4\n5,\n,7\n")] {
        lab.transform(&["1.csv", "2.ndjson", "3.json"], "all.csv", &["--select", "a,b", "--limit", limit]).unwrap();
        assert_eq!(lab.read("all.csv"), format!("a,b\n{rows}"));
    }
}

/// Tables as all formats can hold them: text that is no number and no truth, so that CSV need not guess.
fn tables() -> impl Strategy<Value = Vec<Value>> {
    let cell = prop_oneof![
        Just(Value::Null),
        "[a-z,;\"'\n\r\t \\\\\u{e4}\u{1f600}]{0,12}"
            .prop_filter("no other type", |text| text != "true" && text != "false")
            .prop_map(Value::from),
    ];
    (1_usize..5).prop_flat_map(move |columns| {
        let row = prop::collection::vec(cell.clone(), columns).prop_map(|cells| {
            let named = cells.into_iter().enumerate().map(|(n, cell)| (format!("c,{n}"), cell));
            Value::Object(named.collect::<Map<_, _>>())
        });
        prop::collection::vec(row, 1..30)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_table_survives_every_pair_of_formats(table in tables()) {
        let lab = Lab::new();
        lab.file("0.json", serde_json::to_vec_pretty(&table).unwrap());
        let all = ["json", "ndjson", "csv", "tsv", "parquet", "arrow"];
        for first in all {
            for second in all {
                let (one, two) = (format!("1.{first}"), format!("2.{second}"));
                lab.transform(&["0.json"], &one, &[]).unwrap();
                lab.transform(&[&one], &two, &[]).unwrap();
                lab.transform(&[&two], "3.json", &[]).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Vec<Value>>(&lab.read("3.json")).unwrap(), &table);
            }
        }
    }
}

#[test]
fn large_files_are_cut_and_come_out_in_order() {
    let lab = Lab::new();
    let text = |n: usize| format!("{n},\n\"{}", "x".repeat(n % 50));
    let rows: Vec<Value> =
        (0..30_000).map(|n| serde_json::json!({ "n": n, "t": text(n), "o": [[n], {"a,": "]"}] })).collect();
    lab.file("0.json", serde_json::to_vec_pretty(&rows).unwrap());
    assert!(fs::metadata(lab.path("0.json")).unwrap().len() > 2 << 20);
    lab.transform(&["0.json"], "1.csv", &[]).unwrap();
    lab.transform(&["1.csv"], "2.ndjson", &["--schema", "o:json"]).unwrap();
    let report = lab.transform(&["2.ndjson"], "3.json", &[]).unwrap();
    assert_eq!(report["rows_written"], 30_000);
    assert!(serde_json::from_str::<Vec<Value>>(&lab.read("3.json")).unwrap() == rows);
    // Lines are counted over all chunks.
    let bad = format!("{}\"", lab.read("1.csv"));
    lab.file("bad.csv", &bad);
    let error = lab.transform(&["bad.csv"], "4.csv", &[]).unwrap_err();
    let line = 1 + bad.matches('\n').count();
    assert!(error.contains(&format!("line {line}: a quoted field has no end")), "{error}");
}
