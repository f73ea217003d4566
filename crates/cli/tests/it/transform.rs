//! `procession transform`, as users call it: its files, its messages, and what is left of it.

use std::fs::File;
use std::io::Write;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Lab, poll, send, wait, workers};

fn ndjson(rows: usize) -> String {
    (0..rows).map(|n| format!("{{\"n\":{n},\"t\":\"{}\"}}\n", "x".repeat(n % 90))).collect()
}

#[test]
fn rows_go_to_the_output_and_the_report_beside_it() {
    let lab = Lab::new();
    lab.file("a.ndjson", "{\"n\":1,\"h\":{\"a\":\"x\"}}\n{\"n\":2}\n");
    let run = lab.run(["transform", "a.ndjson", "-o", "a.csv", "--select", "x=h.a,n"]).expect(0);
    assert_eq!(run.out(), "a.ndjson: 2 rows read, 2 written, 0 skipped\n");
    assert_eq!(lab.read("a.csv"), "x,n\nx,1\n,2\n");
    let again = lab.run(["transform", "a.ndjson", "-o", "a.csv"]).expect(2);
    assert!(again.err.contains("it exists (--force replaces it)"), "{}", again.err);
    lab.run(["transform", "a.ndjson", "-o", "a.csv", "--force", "--select", "n"]).expect(0);
    assert_eq!(lab.read("a.csv"), "n\n1\n2\n");
    let run = lab.run(["transform", "a.csv", "--to", "json", "--format", "json"]).expect(0);
    assert_eq!(run.json(), json!([{ "n": 1 }, { "n": 2 }]));
    let report: Value = serde_json::from_str(&run.err[..=run.err.rfind('}').unwrap()]).unwrap();
    assert_eq!((&report["result"]["rows_written"], &report["done"]), (&json!(2), &json!(1)));
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_written() {
    let lab = Lab::new();
    lab.file("a.csv", "a\n1\n");
    lab.file("a.txt", "a\n1\n");
    for (line, what) in [
        ("none.csv -o b.json", "failed to read `none.csv`: no such file or directory"),
        (". -o b.json", "is a directory"),
        ("a.txt -o b.json", "`a.txt` does not tell its format (--from"),
        ("a.csv -o b", "`b` does not tell its format (--to"),
        ("a.csv", "standard output has no name that tells its format (--to"),
        ("a.csv -o a.csv", "failed to write `a.csv`: it exists (--force replaces it)\n"),
        ("a.csv -o none/b.json", "its folder does not exist (-o/--output)\n"),
        (
            "- --from ndjson --to json --delimiter ,",
            "--delimiter is for CSV, and neither the inputs nor the output are CSV",
        ),
        ("- --from ndjson --to csv --no-header", "--no-header is for inputs of CSV, and there is none"),
        ("a.csv -o none/b.json", "its folder does not exist"),
        ("a.csv -o b.json --where 'a >'", "--where"),
        ("a.csv -o b.json --set b", "--set"),
        ("a.csv -o b.json --schema a:day", "--schema"),
        ("a.csv -o b.json --schema b:text", "--schema"),
    ] {
        let run = lab.shell(&format!("$P transform {line}")).expect(2);
        assert!(run.err.contains(what), "{line}: {}", run.err);
        assert_eq!(lab.names("."), ["a.csv", "a.txt"]);
    }
}

#[test]
fn likely_slips_are_told() {
    let lab = Lab::new();
    lab.file("a.csv", "a;b\n007;2\n");
    lab.file("a.ndjson", "{\"a\":1}\n");
    let run = lab.shell("$P transform a.csv --to ndjson").expect(0);
    assert!(
        run.err.contains("\n`a.csv` has one column, `a;b` (--delimiter ';' would make more of it)\n"),
        "{}",
        run.err
    );
    let run = lab.shell("$P transform a.csv --to ndjson --delimiter ';' --schema a:int").expect(1);
    let error = "line 2: `a` is not an integer of 64 bits without leading zeros, but `007` (--schema; --on-bad-row";
    assert!(run.err.contains(error) && !run.err.contains("one column"), "{}", run.err);
    let run = lab.shell("$P transform a.ndjson --to csv --where 'aa > 1 and a > 0'").expect(0);
    assert!(run.err.contains("\nthe first rows have no `aa` (--where, --set)\n"), "{}", run.err);
}

#[test]
fn the_place_in_an_expression_is_shown_in_lines_and_nothing_else_is() {
    let lab = Lab::new();
    lab.file("a.csv", "a\n1\n");
    let run = lab.run(["transform", "a.csv", "-o", "b.csv", "--where", "a > > 1"]).expect(2);
    let lines: Vec<&str> = run.err.lines().collect();
    assert!(lines[0].starts_with("procession transform: --where: ") && lines[0].ends_with(" at character 5"));
    assert_eq!(lines[1..], ["  a > > 1", "      ^"]);
    let json = lab.run(["transform", "a.csv", "-o", "b.csv", "--set", "b=1 +", "--log-format", "json"]).expect(2);
    let message: Value = serde_json::from_str(&json.err).unwrap();
    assert!(message["message"].as_str().unwrap().ends_with("\n  1 +\n     ^"), "{message}");
    // What is not ours may look like more messages, but stays in its line.
    for words in [["a\nb: fine\u{1b}[31m.csv", "1 = 1"], ["a.csv", "f\u{1b}g = '\nprocession: fine'\u{7}"]] {
        let run = lab.run(["transform", words[0], "-o", "b.csv", "--where", words[1]]).expect(2);
        let text = run.err.trim_end_matches('\n');
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("procession transform: ") && lines[1..].iter().all(|l| l.starts_with("  ")));
    }
}

#[test]
fn some_tasks_alone_make_no_output() {
    let lab = Lab::new();
    lab.file("a.ndjson", ndjson(10_000));
    let run = lab.run(["transform", "a.ndjson", "-o", "b.csv", "--only", "1"]).expect(2);
    assert!(run.err.contains("of all tasks, and not of some (--only"), "{}", run.err);
    assert_eq!(lab.names("."), ["a.ndjson"]);
    let run = lab.run(["transform", "a.ndjson", "-o", "b.csv", "--only", "1", "--dry-run"]).expect(0);
    assert!(run.out().starts_with("task 1: transform `a.ndjson`") && run.out().lines().count() == 1, "{}", run.out());
}

#[test]
fn a_bad_row_leaves_no_output() {
    let lab = Lab::new();
    let rows = ndjson(60_000);
    lab.file("a.ndjson", format!("{rows}{{\"n\":1]\n{rows}"));
    let run = lab.run(["transform", "a.ndjson", "-o", "b.csv"]).expect(1);
    assert!(run.err.contains("`a.ndjson`: line 60001: expected `,` or `}` (column 7)"), "{}", run.err);
    assert!(run.err.contains("--on-bad-row skip"), "{}", run.err);
    assert!(run.out().contains(", 0 written, "), "{}", run.out());
    assert_eq!(lab.names("."), ["a.ndjson"]);
    let skip = ["transform", "a.ndjson", "-o", "b.csv", "--on-bad-row", "quarantine=bad", "--format", "json"];
    let run = lab.run(skip).expect(0);
    let counts = |name: &str| run.json()["result"][name].as_u64().unwrap();
    assert_eq!((counts("rows_read"), counts("rows_written"), counts("rows_skipped")), (120_001, 120_000, 1));
    assert_eq!(lab.read("bad"), "{\"n\":1]\n");
    assert_eq!(lab.read("bad.reasons"), "`a.ndjson`: line 60001: expected `,` or `}` (column 7)\n");
    assert_eq!(lab.names("."), ["a.ndjson", "b.csv", "bad", "bad.reasons"]);
}

#[test]
fn a_run_that_failed_tells_what_was_read_and_that_nothing_was_written() {
    let lab = Lab::new();
    lab.file("a.ndjson", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":]\n{\"n\":5}\n");
    let run = lab.run(["transform", "a.ndjson", "-o", "b.csv"]).expect(1);
    let lines: Vec<&str> = run.out().lines().collect();
    assert_eq!(
        lines[..2],
        ["a.ndjson: 3 rows read, 0 written, 0 skipped", "`b.csv` was not written: the run ended behind these rows",]
    );
    let run = lab.run(["transform", "a.ndjson", "-o", "b.csv", "--format", "json"]).expect(1);
    let result = &run.json()["result"];
    assert_eq!(
        (&result["rows_read"], &result["rows_written"], &result["output"]),
        (&json!(3), &json!(0), &json!("not_written"))
    );
    // An array that stops being JSON behind a row that is skipped.
    lab.file("a.json", "[{\"n\":1},7,{\"n\":2},{\"n\":]");
    let args = ["transform", "a.json", "-o", "b.csv", "--on-bad-row", "quarantine=bad"];
    let run = lab.run(args).expect(1);
    assert!(
        run.out().starts_with(
            "a.json: 3 rows read, 0 written, 1 skipped\n`b.csv` and `bad` were not written: the run ended"
        ),
        "{}",
        run.out()
    );
    let run = lab.run(["transform", "a.json", "--to", "csv", "--on-bad-row", "quarantine=bad"]).expect(1);
    let said = "\nstandard output is not whole, `bad` was not written: the run ended behind these rows\n";
    assert!(run.err.contains(said), "{}", run.err);
    assert_eq!(lab.names("."), ["a.json", "a.ndjson"]);
}

#[test]
fn what_a_stream_has_of_a_run_that_failed_is_counted() {
    let lab = Lab::new();
    let rows = ndjson(60_000);
    lab.file("a.ndjson", format!("{rows}{{\"n\":1]\n{rows}"));
    let run = lab.run(["transform", "a.ndjson", "--to", "ndjson", "--format", "json"]).expect(1);
    let begin = run.err.find("\n{").unwrap() + 1;
    let end = begin + run.err[begin..].find("\n}").unwrap() + 2;
    let report: Value = serde_json::from_str(&run.err[begin..end]).unwrap();
    let result = &report["result"];
    assert_eq!((&result["rows_read"], &result["output"]), (&json!(60_000), &json!("cut_off")));
    assert_eq!(result["rows_written"], json!(run.out().lines().count()));
    assert!(rows.starts_with(run.out()) && !run.out().is_empty());
    let run = lab.run(["transform", "a.ndjson", "--to", "ndjson"]).expect(1);
    assert!(run.err.contains("\nstandard output is not whole: the run ended behind these rows\n"), "{}", run.err);
    // Of a task that is written in part nobody knows how many rows the reader has.
    let run = lab.shell("$P transform a.ndjson --to ndjson 2>report | head -n 1; cat report >&2").expect(0);
    assert!(run.err.contains("\nstandard output was closed by its reader, who may"), "{}", run.err);
    let run = lab.shell("$P transform a.ndjson --to ndjson > /dev/full").expect(1);
    assert!(run.err.contains(" rows read, 0 written, 0 skipped\nstandard output is not whole: "), "{}", run.err);
}

#[test]
fn an_interrupted_run_tells_how_far_it_came() {
    let lab = Lab::new();
    lab.file("a.ndjson", ndjson(100_000));
    let mut child = lab
        .command(["transform", "a.ndjson", "-o", "b.csv", "-v", "-j1", "--delay", "100ms", "--format", "json"])
        .stdout(File::create(lab.path("report")).unwrap())
        .stderr(File::create(lab.path("messages")).unwrap())
        .spawn()
        .unwrap();
    assert!(poll(|| lab.read("messages").contains("done `a.ndjson`")));
    send(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    let report: Value = serde_json::from_str(&lab.read("report")).unwrap();
    let result = &report["result"];
    let read = result["rows_read"].as_u64().unwrap();
    assert!(0 < read && read < 100_000, "{read}");
    assert_eq!((&result["rows_written"], &result["output"]), (&json!(0), &json!("not_written")));
    assert_eq!(lab.names("."), ["a.ndjson", "messages", "report"]);
}

#[test]
fn streams_and_compressed_files_are_read_and_written() {
    let lab = Lab::new();
    let rows = ndjson(50_000);
    lab.file("a.ndjson", &rows);
    lab.shell("gzip -k a.ndjson && zstd -q a.ndjson -o a.zst || cp a.ndjson.gz a.zst").expect(0);
    lab.run(["transform", "a.ndjson", "-o", "plain.csv"]).expect(0);
    let csv = lab.read("plain.csv");
    for line in [
        "$P transform a.ndjson.gz -o - --to csv",
        "$P transform --from ndjson a.zst --to csv",
        "$P transform --from ndjson - --to csv < a.ndjson.gz",
        "cat a.ndjson | $P transform --from ndjson - --to csv",
        "$P transform a.ndjson -o a.csv.gz && gzip -dc a.csv.gz",
        "$P transform a.ndjson -o a.csv.zst >&2 && $P transform a.csv.zst --to csv",
        "$P transform a.ndjson -o a.json.gz >&2 && $P transform a.json.gz --to csv",
        "$P transform plain.csv -o b.tsv >&2 && $P transform --from tsv - --to csv < b.tsv",
    ] {
        let run = lab.shell(line).expect(0);
        assert!(run.out().ends_with(&csv), "{line}: {} bytes", run.out.len());
    }
    // What is cut off is no whole file.
    lab.shell("head -c 100000 a.ndjson.gz > cut.ndjson.gz").expect(0);
    let run = lab.run(["transform", "cut.ndjson.gz", "-o", "cut.csv"]).expect(1);
    assert!(run.err.contains("failed to decompress `cut.ndjson.gz`"), "{}", run.err);
    assert!(!lab.path("cut.csv").exists());
    // A reader that has enough ends it.
    assert_eq!(lab.shell("$P transform a.ndjson --to csv -q 2>/dev/null | head -n 1").expect(0).out(), "n,t\n");
}

#[test]
fn rows_are_chosen_and_computed() {
    let lab = Lab::new();
    lab.file("a.csv", "n,h.n\n1,x\n2,y\n3,\n");
    let line = "$P transform a.csv --to ndjson -q --where 'n >= 2' --set 'm=n * 2' --limit 1 2>/dev/null";
    assert_eq!(lab.shell(line).expect(0).out(), "{\"n\":2,\"h.n\":\"y\",\"m\":4}\n");
}

#[test]
fn a_killed_run_leaves_nothing_and_is_resumed() {
    let lab = Lab::new();
    lab.file("a.ndjson", ndjson(100_000));
    lab.run(["transform", "a.ndjson", "-o", "whole.csv"]).expect(0);
    let args = ["transform", "a.ndjson", "-o", "b.csv", "--journal", "j", "--delay", "100ms", "-j1"];
    let mut child = lab.command(args).spawn().unwrap();
    // Something is in the journal, and not all.
    assert!(poll(|| lab.path("j").metadata().is_ok_and(|meta| meta.len() > 500_000)));
    send(child.id(), Signal::KILL);
    wait(&mut child);
    assert!(!lab.path("b.csv").exists());
    let again = ["transform", "a.ndjson", "-o", "b.csv", "--journal", "j", "--resume", "--format", "json"];
    let run = lab.run(again).expect(0);
    assert!(run.json()["resumed"].as_u64().unwrap() > 0);
    assert_eq!(lab.read("b.csv"), lab.read("whole.csv"));
    assert_eq!(lab.names("."), ["a.ndjson", "b.csv", "j", "whole.csv"]);
}

#[test]
fn a_dead_worker_costs_no_row() {
    let lab = Lab::new();
    let fifo = lab.path("fifo");
    lab.shell("mkfifo fifo").expect(0);
    let args = ["transform", "--from", "ndjson", "fifo", "-o", "b.csv", "--select", "n", "--retries", "3"];
    let mut child = lab.command(args).spawn().unwrap();
    let mut input = File::options().write(true).open(fifo).unwrap();
    let rows = ndjson(40_000);
    let (first, second) = rows.split_at(rows.len() / 2);
    input.write_all(first.as_bytes()).unwrap();
    assert!(poll(|| !workers(child.id()).is_empty()));
    workers(child.id()).into_iter().for_each(|pid| send(pid, Signal::KILL));
    input.write_all(second.as_bytes()).unwrap();
    drop(input);
    assert!(wait(&mut child).success());
    let expected: String = (0..40_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(lab.read("b.csv"), format!("n\n{expected}"));
}
