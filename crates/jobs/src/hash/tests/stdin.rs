//! Standard input, in a process of its own: that of the tests is shared.

use std::fs::{self, File};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const WORDS: &str = "HASH_TEST_WORDS";
const RESULT: &str = "HASH_TEST_RESULT";

#[test]
#[ignore = "is the process that the other tests here start"]
fn child() {
    let (Ok(words), Ok(result)) = (std::env::var(WORDS), std::env::var(RESULT)) else { return };
    let words: Vec<&str> = words.split('\n').collect();
    let ended = run(&words);
    let told = json!({ "text": ended.text, "warnings": ended.report.warnings(), "exit": ended.exit_code() });
    fs::write(result, told.to_string()).unwrap();
}

/// What a run with this standard input tells.
fn run_with_stdin(words: &[&str], input: &str) -> Value {
    let folder = TempDir::new().unwrap();
    let (stdin, result) = (folder.path().join("stdin"), folder.path().join("result"));
    fs::write(&stdin, input).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "hash::tests::stdin::child"])
        .env(WORDS, words.join("\n"))
        .env(RESULT, &result)
        .stdin(File::open(&stdin).unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    serde_json::from_slice(&fs::read(result).unwrap()).unwrap()
}

const ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

#[test]
fn standard_input_is_hashed() {
    for name in ["-", "/dev/stdin"] {
        let told = run_with_stdin(&["-a", "md5", name], "abc");
        assert_eq!(told, json!({ "text": format!("{ABC}  {name}\n"), "warnings": [], "exit": 0 }));
    }
}

#[test]
fn a_list_names_standard_input() {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list");
    fs::write(&list, format!("{ABC}  -\n")).unwrap();
    assert_eq!(run_with_stdin(&["-c", str(&list)], "abc")["text"], "-: OK\n");
    assert_eq!(run_with_stdin(&["-c", str(&list)], "abcd")["text"], "-: FAILED\n");
}

#[test]
fn a_list_comes_from_standard_input() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a");
    fs::write(&file, "abc").unwrap();
    let told = run_with_stdin(&["-c", "-w", "-"], &format!("{ABC}  {}\n{ABC}  -\n", file.display()));
    let warnings = ["standard input: 2: improperly formatted checksum line", "WARNING: 1 line is improperly formatted"];
    assert_eq!(told, json!({ "text": format!("{}: OK\n", file.display()), "warnings": warnings, "exit": 0 }));
}
