//! What concerns a program as a whole: its descriptors, its standard streams, its supervisor, and its end. Each test has a
//! program of its own, which is this test binary once more.

#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod end;
mod signals;
mod streams;
mod supervisor;

use std::process::{Command, Output, Stdio};

use support::watched;

/// Tells a program of this binary which part it has.
const PART: &str = "PROCESSION_TEST_PART";

/// This binary, to run the test `name` alone, in the part `part`.
fn program(name: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part).env_remove("RUST_BACKTRACE");
    command
}

/// As [`program`], started by a shell which first does `script` (that cannot contain a single quote).
fn program_after(script: &str, name: &str, part: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{script}; exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part).env_remove("RUST_BACKTRACE");
    command
}

/// Which part this program has, if it was started for one.
fn part() -> Option<String> {
    std::env::var(PART).ok()
}

fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{}\n{errors}", output.status, String::from_utf8_lossy(&output.stdout));
    output
}

/// Runs the test in a program of its own.
fn alone(name: &str, test: impl FnOnce()) {
    watched(name, || if part().is_some() { test() } else { drop(run(program(name, "alone"))) });
}
