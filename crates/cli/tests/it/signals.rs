//! Ctrl-C, SIGTERM and kill -9.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Lab, descendants, is_alive, poll, reader_of, send, until, wait};

/// A run that hashes a small file, and then one without end; it is at the second one now.
fn busy(lab: &Lab) -> (Child, Vec<u32>) {
    busy_with(lab, &["--format", "json"])
}

/// The same with other flags.
fn busy_with(lab: &Lab, flags: &[&str]) -> (Child, Vec<u32>) {
    let endless = lab.endless("endless");
    lab.file("a", "a\n");
    let mut child = lab
        .command([&["hash", "-v", "-j", "1"], flags, &["a", "endless"]].concat())
        .stdout(File::create(lab.path("report")).unwrap())
        .stderr(File::create(lab.path("messages")).unwrap())
        .spawn()
        .unwrap();
    until(|| {
        assert_eq!(child.try_wait().unwrap(), None);
        (lab.read("messages").contains("done `a`") && reader_of(child.id(), &endless).is_some()).then_some(())
    });
    let below = descendants(child.id());
    assert!(below.len() >= 2, "{below:?}");
    (child, below)
}

#[track_caller]
fn assert_gone(processes: &[u32]) {
    assert!(poll(|| processes.iter().all(|pid| !is_alive(*pid))), "some of {processes:?} are left");
}

#[test]
fn an_interrupted_run_reports_what_is_done() {
    for signal in [Signal::INT, Signal::TERM] {
        let lab = Lab::new();
        let (mut child, below) = busy(&lab);
        send(child.id(), signal);
        assert_eq!(wait(&mut child).code(), Some(130));
        assert_gone(&below);
        let report: Value = serde_json::from_str(&lab.read("report")).unwrap();
        assert_eq!((&report["done"], &report["cancelled"], &report["tasks"]), (&json!(1), &json!(1), &json!(2)));
        assert_eq!(report["cut_short"], true);
        assert_eq!(report["result"]["files"][0]["path"], "a");
        let failure = &report["failures"][0];
        assert_eq!(
            (&failure["kind"], &failure["message"]),
            (&json!("cancelled"), &json!("cancelled `endless`: interrupted"))
        );
        let messages = lab.read("messages");
        assert!(messages.lines().count() == 2 && messages.ends_with("1 cancelled, interrupted\n"), "{messages}");
    }
}

/// Interrupts a run that has hashed `a`.
fn interrupted(lab: &Lab, flags: &[&str]) {
    let (mut child, below) = busy_with(lab, flags);
    send(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_gone(&below);
}

#[test]
fn lines_of_an_interrupted_run_end_in_a_comment() {
    for flags in [&[][..], &["--tag"], &["-o", "sums"]] {
        let lab = Lab::new();
        interrupted(&lab, flags);
        let report = lab.read(if flags.contains(&"-o") { "sums" } else { "report" });
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("# not complete: interrupted with 1 of 2 tasks done"));
        assert_eq!(lab.read("messages").lines().count(), 2, "{}", lab.read("messages"));
        // Nobody stumbles over it.
        lab.file("sums", &report);
        assert_eq!(lab.shell("sha256sum --strict -c sums").expect(0).err, "");
        assert_eq!(lab.run(["hash", "--strict", "--check", "sums"]).expect(0).out(), "a: OK\n");
    }
}

#[test]
fn what_has_no_place_to_say_that_it_is_a_part_is_no_file() {
    for flags in [&["--format", "csv"][..], &["--zero"]] {
        let lab = Lab::new();
        interrupted(&lab, flags);
        let said = "procession hash: the report is not complete: interrupted with 1 of 2 tasks done";
        assert!(lab.read("messages").contains(said), "{}", lab.read("messages"));
        assert!(!lab.read("report").contains("not complete") && lab.read("report").contains('a'));
        // What a whole run has left stays.
        lab.file("sums", "of another run\n");
        interrupted(&lab, &[flags, &["-o", "sums", "--force"]].concat());
        let said = "procession hash: failed to write `sums`: its form cannot say that it is not complete: interrupted";
        assert!(lab.read("messages").contains(said), "{}", lab.read("messages"));
        assert_eq!(lab.read("sums"), "of another run\n");
        assert_eq!(lab.names("."), ["a", "endless", "messages", "report", "sums"]);
    }
}

#[test]
fn an_interrupted_file_is_no_partial_file() {
    let lab = Lab::new();
    lab.endless("endless");
    let mut child = lab
        .command(["hash", "-a", "blake3", "-j", "2", "--format", "json", "-v", "endless"])
        .stdout(File::create(lab.path("report")).unwrap())
        .stderr(File::create(lab.path("messages")).unwrap())
        .spawn()
        .unwrap();
    until(|| lab.read("messages").contains("done `endless`").then_some(()));
    send(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    let report: Value = serde_json::from_str(&lab.read("report")).unwrap();
    assert_eq!(report["result"]["files"], json!([]));
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(count("done") + count("cancelled"), count("tasks"));
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let lab = Lab::new();
    lab.file("a", "a\n");
    lab.shell("mkfifo fifo").expect(0);
    let mut child = lab
        .shell_command("trap '' HUP INT; exec $P hash a fifo")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // It waits for the fifo's writer, and its handlers are set.
    until(|| (descendants(child.id()).len() >= 2).then_some(()));
    send(child.id(), Signal::HUP);
    send(child.id(), Signal::INT);
    std::fs::write(lab.path("fifo"), "b\n").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_program_that_waits_for_input_ends_at_the_first_signal() {
    for job in ["hash", "logs"] {
        let lab = Lab::new();
        lab.shell("mkfifo fifo").expect(0);
        for input in ["-", "fifo"] {
            // The writer of standard input is this test, and it writes nothing.
            let temporary = lab.path(format!("temporary{input}"));
            std::fs::create_dir(&temporary).unwrap();
            let mut child = lab
                .command([job, "-v", "/dev/null", input])
                .env("TMPDIR", &temporary)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(File::create(lab.path("messages")).unwrap())
                .spawn()
                .unwrap();
            let stdin = child.stdin.take();
            until(|| (descendants(child.id()).len() >= 2).then_some(()));
            send(child.id(), Signal::INT);
            assert_eq!(wait(&mut child).code(), Some(130), "{job} {input}");
            assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
            drop(stdin);
        }
    }
}

#[test]
fn nothing_outlives_a_killed_program() {
    let lab = Lab::new();
    let (mut child, below) = busy(&lab);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_gone(&below);
}

#[test]
fn nothing_is_left_of_a_report_file_after_an_interruption() {
    let lab = Lab::new();
    let endless = lab.endless("endless");
    let mut child = lab.command(["hash", "-o", "sums", "endless"]).stderr(Stdio::piped()).spawn().unwrap();
    until(|| reader_of(child.id(), &endless));
    send(child.id(), Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(130));
    let mut messages = String::new();
    child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
    assert!(messages.contains("0 of 1 tasks done"), "{messages}");
    assert_eq!(lab.names("."), ["endless", "sums"]);
}

#[test]
fn what_a_killed_program_has_left_goes_with_the_next_run() {
    let lab = Lab::new();
    lab.shell("mkdir temporary").expect(0);
    let logs = |input: Stdio| {
        let mut command = lab.command(["logs", "-q", "-"]);
        command.env("TMPDIR", lab.path("temporary")).stdin(input).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut child = logs(Stdio::piped());
    until(|| (descendants(child.id()).len() >= 2).then_some(()));
    // Another run leaves alone what is in use.
    assert_eq!(wait(&mut logs(Stdio::null())).code(), Some(0));
    assert_eq!(lab.names("temporary").len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lab.names("temporary").len(), 1);
    assert_eq!(wait(&mut logs(Stdio::null())).code(), Some(0));
    assert_eq!(lab.names("temporary").len(), 0);
    // The same beside a report.
    lab.file("reports/.procession-a1B2c3.tmp", "half a report");
    lab.file("a", "a\n");
    lab.run(["hash", "-o", "reports/sums", "a"]).expect(0);
    assert_eq!(lab.names("reports"), ["sums"]);
}
