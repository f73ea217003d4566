//! Workers that are killed or run too long.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Lab, is_alive, reader_of, send, until, wait, workers};

#[test]
fn a_task_that_runs_too_long_is_killed_and_the_others_are_done() {
    let lab = Lab::new();
    lab.endless("endless");
    lab.file("a", "a\n");
    let run = lab.run(["hash", "--timeout", "200ms", "--format", "json", "endless", "a"]).expect(1);
    let report = run.json();
    assert_eq!((&report["timed_out"], &report["done"], &report["retried"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(run.messages(), ["procession hash: failed to process `endless`: ran longer than 200ms and was killed"]);
    let failure = &report["failures"][0];
    assert_eq!(
        (&failure["input"], &failure["kind"], &failure["attempts"]),
        (&json!("endless"), &json!("timed_out"), &json!(1))
    );
    let report =
        lab.run(["hash", "--timeout", "50ms", "--retries", "2", "--format", "json", "endless"]).expect(1).json();
    assert_eq!((&report["timed_out"], &report["retried"]), (&json!(1), &json!(2)));
    assert_eq!(report["failures"][0]["attempts"], 3);
}

#[test]
fn a_task_that_takes_too_much_memory_is_ended_and_the_others_are_done() {
    let lab = Lab::new();
    // One line, which has to be held as a whole.
    lab.file("long", vec![b'x'; 96 << 20]);
    lab.file("a", "a\nb\n");
    let run = lab.run(["logs", "-e", "b$", "--memory-limit", "32M", "--format", "json", "long", "a"]).expect(1);
    let report = run.json();
    let counts = (&report["over_memory"], &report["crashed"], &report["failed"]);
    assert!(report["over_memory"].as_u64() > Some(0) && counts.1 == 0 && counts.2 == 0, "{counts:?}");
    assert_eq!(report["result"]["lines"], 2);
    assert_eq!(report["failures"][0]["kind"], "over_memory");
    assert!(run.messages()[0].contains("failed to process `long`: used more memory than 32.0 MiB"), "{}", run.err);
}

#[test]
fn a_task_that_takes_too_much_cpu_time_is_ended() {
    let lab = Lab::new();
    lab.endless("endless");
    let run = lab.run(["hash", "--cpu-limit", "200ms", "--format", "json", "endless"]).expect(1);
    assert_eq!(run.json()["timed_out"], 1);
    assert!(run.messages()[0].ends_with("used more than 200ms of CPU time and was killed"), "{}", run.err);
}

#[test]
fn tasks_are_held_back() {
    let lab = Lab::new();
    for number in 0..4 {
        lab.file(format!("d/{number}"), "x");
    }
    let report = lab.run(["hash", "--delay", "100ms", "--format", "json", "d"]).expect(0).json();
    assert!(report["elapsed_s"].as_f64() >= Some(0.3), "{report}");
    let mut child = lab.command(["hash", "--memfree", "1000000T", "d"]).stdout(Stdio::null()).spawn().unwrap();
    until(|| (!workers(child.id()).is_empty()).then_some(()));
    send(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn parts_of_one_input_fail_with_one_message() {
    let lab = Lab::new();
    lab.endless("endless");
    let run = lab.run(["hash", "-a", "blake3", "-j", "2", "--timeout", "1ms", "--fail-fast", "endless"]).expect(1);
    assert_eq!(run.messages(), ["procession hash: failed to process `endless`: ran longer than 1ms and was killed"]);
}

#[test]
fn a_killed_worker_costs_its_task_only() {
    let lab = Lab::new();
    let endless = lab.endless("endless");
    for number in 0..50 {
        lab.file(format!("d/{number}"), "x");
    }
    let mut child = lab
        .command(["hash", "-j", "2", "--format", "json", "-o", "report", "d", "endless", "d"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    send(until(|| reader_of(child.id(), &endless)), Signal::KILL);
    assert_eq!(wait(&mut child).code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&lab.read("report")).unwrap();
    assert_eq!((&report["done"], &report["crashed"], &report["tasks"]), (&json!(100), &json!(1), &json!(101)));
    let failure = &report["failures"][0];
    assert_eq!(
        (&failure["input"], &failure["kind"], &failure["task"]),
        (&json!("endless"), &json!("crashed"), &json!(50))
    );
    let message = "failed to process `endless`: the worker was killed by signal 9 (SIGKILL)";
    assert_eq!(failure["message"], message);
}

#[test]
fn with_retries_killed_workers_change_nothing() {
    let lab = Lab::new();
    // Long enough for workers to be met in the middle of a file.
    let length = if cfg!(debug_assertions) { 3 << 20 } else { 100 << 20 };
    for number in 0..12 {
        let path = lab.file(format!("d/{number}"), "x");
        std::fs::File::options().write(true).open(path).unwrap().set_len(length + number).unwrap();
    }
    let undisturbed = lab.run(["hash", "d"]).expect(0);
    let mut child =
        lab.command(["hash", "-j", "2", "--retries", "5", "-o", "sums", "d"]).stderr(Stdio::null()).spawn().unwrap();
    let mut last = 0;
    for _ in 0..5 {
        // A worker that has not been there before, or the end of all.
        let next = until(|| match child.try_wait().unwrap() {
            Some(_) => Some(None),
            None => workers(child.id()).into_iter().find(|pid| *pid > last).map(Some),
        });
        let Some(pid) = next else { break };
        last = pid;
        send(pid, Signal::KILL);
        until(|| (!is_alive(pid)).then_some(()));
    }
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(last > 0, "no worker was killed");
    assert_eq!(lab.read("sums"), undisturbed.out());
}
