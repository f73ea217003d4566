//! The programs of `examples/` print what they promise.

use std::process::Command;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Built as this test was, and into the same folder.
fn run(name: &str) -> String {
    let test = std::env::current_exe().expect("this test has a path");
    // target/PROFILE/deps/TEST
    let profile_folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let target = profile_folder.parent().expect("a profile lies in the target folder");
    let profile = if profile_folder.ends_with("release") { "release" } else { "dev" };
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--profile", profile, "--example", name, "--manifest-path", MANIFEST, "--target-dir"])
        .arg(target)
        // Resolving a stack takes long in a debug build, and the examples print none.
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap_or_else(|e| panic!("failed to run {name}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ended with {}: {errors}", output.status);
    assert_eq!(errors, "", "{name} wrote to standard error");
    String::from_utf8(output.stdout).expect("the examples print text")
}

#[test]
fn first_process() {
    let lines = run("first_process");
    assert_eq!(lines, "hello, ops\ngreeter ended: exit status: 0\nquitter ended: exit status: 3\n");
}

#[test]
fn pool_map() {
    assert_eq!(run("pool_map"), "[1, 4, 9, 16, 25]\n[1024, 81]\n[3, 1]\n");
}

#[test]
fn safe_worker() {
    let lines = run("safe_worker");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..3], ["task 0: 0", "task 1: 10", "task 2: panicked: I do not like 2"]);
    assert!(lines[3].starts_with("task 3: the worker was killed by signal 6 (SIGABRT)"), "{}", lines[3]);
    assert_eq!(lines[4..], ["task 4: longer than 2s", "task 5: 50"]);
}

#[test]
fn callbacks() {
    let lines = run("callbacks");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1 / 0.5 = 2", "1 / 4 = 0.25"));
    assert!(
        lines[1].starts_with("1 / 0: panicked at") && lines[1].ends_with("nothing divides by zero"),
        "{}",
        lines[1]
    );
}

#[test]
fn initializer() {
    assert_eq!(run("initializer"), "[Some(2), None, Some(0)]\n");
}
