//! Where the report and the messages go.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::{Lab, wait};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.file("a", "a\n");
    lab.file("b", "b\n");
    lab
}

#[test]
fn the_json_report_has_every_key_in_order() {
    for job in ["logs", "hash"] {
        let run = lab().run([job, "--format", "json", "a", "gone", "b"]).expect(1);
        let report = run.json();
        let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "job",
                "tasks",
                "done",
                "failed",
                "timed_out",
                "crashed",
                "over_memory",
                "cancelled",
                "retried",
                "resumed",
                "cut_short",
                "elapsed_s",
                "cpu_s",
                "peak_rss_bytes",
                "bytes_in",
                "workers",
                "sandbox",
                "result",
                "failures"
            ]
        );
        let count = |key: &str| report[key].as_u64().unwrap();
        assert_eq!((&report["job"], count("tasks"), count("done"), count("failed")), (&json!(job), 3, 2, 1));
        assert_eq!(count("bytes_in"), 4);
        assert!(report["elapsed_s"].is_f64() && report["cpu_s"].is_f64() && report["peak_rss_bytes"].is_u64());
        let message = "failed to read `gone`: no such file or directory";
        assert_eq!(
            report["failures"],
            json!([{ "task": 1, "input": "gone", "kind": "failed", "message": message, "attempts": 0 }])
        );
    }
}

#[test]
fn failures_are_listed_in_the_order_of_the_inputs() {
    let lab = lab();
    let names: Vec<String> =
        (0..200).map(|number| if number % 3 == 0 { "a".into() } else { format!("gone{number}") }).collect();
    let args = ["hash", "--format", "json", "-j", "3"].into_iter().chain(names.iter().map(String::as_str));
    let report = lab.run(args).expect(1).json();
    let tasks: Vec<u64> = report["failures"].as_array().unwrap().iter().map(|f| f["task"].as_u64().unwrap()).collect();
    assert_eq!(tasks, (0..200).filter(|number| number % 3 != 0).collect::<Vec<u64>>());
}

#[test]
fn a_summary_ends_the_messages_unless_quiet() {
    let lab = lab();
    let run = lab.run(["logs", "-j", "1", "a", "b"]).expect(0);
    assert!(run.err.starts_with("procession logs: 2 of 2 tasks done, 4 B in "), "{}", run.err);
    assert!(run.err.ends_with(", 1 worker)\n") && run.err.lines().count() == 1, "{}", run.err);
    assert_eq!(lab.run(["logs", "-q", "a"]).expect(0).err, "");
    assert_eq!(
        lab.run(["logs", "-q", "a", "gone"]).expect(1).err,
        "procession logs: failed to read `gone`: no such file or directory\n"
    );
    let run = lab.run(["logs", "-v", "a", "b"]).expect(0);
    let mut messages = run.messages();
    messages.sort_unstable();
    assert_eq!(messages, ["procession logs: done `a`", "procession logs: done `b`"]);
}

#[test]
fn messages_in_json_are_an_object_a_line() {
    let run = lab().run(["hash", "--log-format", "json", "-v", "a", "gone\n"]).expect(1);
    let lines: Vec<Value> = run.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // What was done, what failed, the summary, and how to run what failed again.
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["job"] == "hash" && line["message"].is_string()));
    let error = lines.iter().find(|line| line["level"] == "error").unwrap();
    assert_eq!(error["message"], "failed to read `gone\n`: no such file or directory");
}

#[test]
fn a_report_file_appears_whole_and_replaces_only_by_force() {
    let lab = lab();
    lab.run(["hash", "-o", "sums", "a"]).expect(0);
    let first = lab.read("sums");
    assert!(first.ends_with("  a\n"));
    let run = lab.run(["hash", "-o", "sums", "b"]).expect(2);
    assert_eq!(run.err, "procession hash: failed to write `sums`: it exists (--force replaces it)\n");
    assert_eq!(lab.read("sums"), first);
    lab.run(["hash", "-o", "sums", "--force", "b"]).expect(0);
    assert!(lab.read("sums").ends_with("  b\n"));
    assert_eq!(lab.names("."), ["a", "b", "sums"]);
    assert_eq!(lab.run(["hash", "-q", "-o", "-", "a"]).expect(0).out(), first);
}

#[test]
fn a_report_without_a_place_ends_with_2_before_any_work() {
    let lab = lab();
    fs::create_dir(lab.path("folder")).unwrap();
    for (place, cause) in [
        ("none/x", "its folder does not exist"),
        ("folder", "it is a folder"),
        ("a/x", "its folder does not exist"),
        ("/proc/x", "no such file or directory"),
    ] {
        // Were it to work, it would say that `gone` is missing.
        let run = lab.run(["hash", "-o", place, "gone"]).expect(2);
        assert!(run.err.starts_with(&format!("procession hash: failed to write `{place}`: {cause}")), "{}", run.err);
        assert!(run.err.contains("-o/--output") && run.err.lines().count() == 1, "{}", run.err);
    }
    lab.run(["hash", "--force", "a"]).expect(2);
}

#[test]
fn devices_and_fifos_are_written_to_and_never_replaced() {
    let lab = lab();
    let run = lab.shell("mkfifo fifo && (cat fifo & $P hash -q -o fifo --force a; wait)").expect(0);
    assert!(run.out().ends_with("  a\n"));
    assert!(lab.shell("test -p fifo").code == 0);
    let run = lab.run(["hash", "-q", "-o", "/dev/stdout", "a"]).expect(0);
    assert!(run.out().ends_with("  a\n"));
    let run = lab.run(["hash", "-o", "/dev/full", "a"]).expect(1);
    assert!(run.err.contains("procession hash: failed to write `/dev/full`: no space left on device\n"), "{}", run.err);
}

#[test]
fn a_full_disk_is_told() {
    let lab = lab();
    for format in ["table", "json", "csv"] {
        let mut child = lab
            .command(["logs", "--format", format, "a"])
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(wait(&mut child).code(), Some(1));
        let mut err = String::new();
        child.stderr.unwrap().read_to_string(&mut err).unwrap();
        let message = "procession logs: failed to write the report to standard output: no space left on device\n";
        assert!(err.ends_with(message), "{err}");
    }
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let lab = Lab::new();
    for number in 0..3000 {
        lab.file(format!("d/{number}"), "x");
    }
    let run = lab.shell("set -o pipefail; $P hash d | head -1").expect(0);
    assert_eq!(run.out().lines().count(), 1);
    assert_eq!(run.messages(), [""; 0]);
    let run = lab.shell("set -o pipefail; $P hash --format json d | head -1").expect(0);
    assert_eq!(run.messages(), [""; 0]);
    lab.shell("$P hash -v d gone 2> >(head -1 >/dev/null)").expect(1);
}

#[test]
fn closed_descriptors_are_nothing_to_fall_over() {
    let lab = lab();
    for line in
        ["$P logs a >&-", "$P hash a 2>&-", "$P hash a <&-", "$P hash a <&- >&- 2>&-", "$P logs - a <&- >&- 2>&-"]
    {
        lab.shell(line).expect(0);
    }
    // The report must not go into a file that got a number which was free.
    assert_eq!((lab.read("a"), lab.read("b")), ("a\n".into(), "b\n".into()));
    lab.shell("$P hash gone >&- 2>&-").expect(1);
}

#[test]
fn progress_is_for_terminals() {
    let lab = lab();
    for args in [&["hash", "a"][..], &["hash", "--progress", "never", "a"]] {
        let run = lab.run(args).expect(0);
        assert!(!run.err.contains(['\r', '\u{1b}']), "{:?}", run.err);
    }
    let run = lab.shell("script -qec '$P hash -q gone a' /dev/null").expect(1);
    assert!(run.out().contains("\u{1b}[2K") && run.out().contains("  a\r\n"), "{:?}", run.out());
    let never = lab.shell("script -qec '$P hash -q --progress never a' /dev/null").expect(0);
    assert!(!never.out().contains('\u{1b}'), "{:?}", never.out());
}
