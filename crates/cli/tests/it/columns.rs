//! `procession transform` with Parquet and Arrow, as users call it.

use rustix::process::Signal;

use crate::common::{Lab, poll, send, wait};

/// Rows whose values are all written as columns give them back.
fn rows(count: usize) -> String {
    let row = |n: usize| {
        format!("{n},{}.5,{},0{n},{}.50,\"a,{}\"\n", n % 97, n.is_multiple_of(3), n % 10, "x".repeat(n % 90))
    };
    std::iter::once("n,f,b,zip,money,t\n".to_string()).chain((0..count).map(row)).collect()
}

#[test]
fn text_survives_columns() {
    let lab = Lab::new();
    lab.file("a.csv", rows(200_000));
    assert!(lab.read("a.csv").len() > 8 << 20);
    lab.run(["transform", "a.csv", "-o", "a.parquet"]).expect(0);
    lab.run(["transform", "a.parquet", "-o", "b.csv"]).expect(0);
    assert!(lab.read("b.csv") == lab.read("a.csv"));
    lab.run(["transform", "a.csv", "-o", "a.ndjson"]).expect(0);
    lab.run(["transform", "a.ndjson", "-o", "a.arrow"]).expect(0);
    lab.run(["transform", "a.arrow", "-o", "b.feather", "--where", "n is not null"]).expect(0);
    lab.run(["transform", "b.feather", "-o", "b.ndjson", "-j1"]).expect(0);
    // A column of numbers that floating point does not hold as they are written is text.
    let quoted = |line: &str| {
        let (before, behind) = line.split_once("\"money\":").unwrap();
        let (money, rest) = behind.split_once(',').unwrap();
        format!("{before}\"money\":\"{money}\",{rest}")
    };
    assert!(lab.read("b.ndjson").lines().map(String::from).eq(lab.read("a.ndjson").lines().map(quoted)));
    // The same bytes, however many workers there are.
    lab.run(["transform", "a.csv", "-o", "one.parquet", "-j1"]).expect(0);
    lab.run(["transform", "a.csv", "-o", "four.parquet", "-j4"]).expect(0);
    assert!(std::fs::read(lab.path("one.parquet")).unwrap() == std::fs::read(lab.path("four.parquet")).unwrap());
    assert!(std::fs::read(lab.path("one.parquet")).unwrap() == std::fs::read(lab.path("a.parquet")).unwrap());
}

#[test]
fn streams_of_columns_are_read_and_written() {
    let lab = Lab::new();
    lab.file("a.csv", rows(100));
    for line in [
        "$P transform a.csv --to parquet | $P transform --from parquet - --to csv",
        "cat a.csv | $P transform --from csv - --to arrow > x; $P transform --from arrow - --to csv < x",
        "$P transform a.csv -o a.parquet >&2; $P transform --from parquet - --to csv < a.parquet",
    ] {
        assert_eq!(lab.shell(line).expect(0).out(), lab.read("a.csv"), "{line}");
    }
    let run = lab.shell("$P transform a.csv --to parquet -o a.csv.parquet.gz").expect(2);
    assert!(run.err.contains("Parquet is not compressed as a whole"), "{}", run.err);
    let run = lab.shell("$P transform --from parquet a.csv --to csv").expect(2);
    assert!(run.err.contains("failed to read `a.csv`: it does not end as Parquet does"), "{}", run.err);
    let run = lab.shell("cat a.csv | $P transform --from arrow - --to csv").expect(2);
    assert!(run.err.contains("does not begin as a file of Arrow IPC does"), "{}", run.err);
}

#[test]
fn limits_are_kept_where_groups_are_cut() {
    let lab = Lab::new();
    let all = rows(150_000);
    lab.file("a.csv", &all);
    for (output, limit) in [("l.parquet", 1), ("l.arrow", 100_001), ("m.parquet", 200_000)] {
        let limit_text = limit.to_string();
        lab.run(["transform", "a.csv", "-o", output, "--limit", &limit_text]).expect(0);
        let run = lab.run(["transform", output, "--to", "csv"]).expect(0);
        let lines: Vec<&str> = all.lines().take(limit + 1).collect();
        assert!(run.out().lines().eq(lines), "{output}");
    }
}

#[test]
fn a_killed_run_leaves_no_file_of_columns() {
    let lab = Lab::new();
    lab.file("a.csv", rows(300_000));
    lab.run(["transform", "a.csv", "-o", "whole.parquet"]).expect(0);
    let args =
        ["transform", "a.csv", "-o", "b.parquet", "--journal", "j", "--joblog", "log", "--delay", "300ms", "-j1"];
    let mut child = lab.command(args).spawn().unwrap();
    // A task that is in the joblog is in the journal, all of it.
    assert!(poll(|| std::fs::read_to_string(lab.path("log")).is_ok_and(|log| log.lines().count() > 1)));
    send(child.id(), Signal::KILL);
    wait(&mut child);
    assert!(!lab.path("b.parquet").exists());
    let again = ["transform", "a.csv", "-o", "b.parquet", "--journal", "j", "--resume", "--format", "json"];
    let run = lab.run(again).expect(0);
    assert!(run.json()["resumed"].as_u64().unwrap() > 0);
    assert!(std::fs::read(lab.path("b.parquet")).unwrap() == std::fs::read(lab.path("whole.parquet")).unwrap());
    assert_eq!(lab.names("."), ["a.csv", "b.parquet", "j", "log", "whole.parquet"]);
}
