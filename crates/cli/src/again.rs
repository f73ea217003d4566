//! The command that runs the failed tasks again, and no others.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use procession_jobs::{FailedKind, Summary, printable};

use crate::flags::CommonArgs;

/// More numbers are not shown.
const MAX_SHOWN: usize = 20;
/// Flags with a value that are not said again without a journal: the tasks are others, and neither the report nor the
/// joblog of all tasks is to be replaced by one of the few.
const DROPPED: [&str; 4] = ["--only", "--output", "-o", "--joblog"];

/// How to run just the failed tasks again; none if there are none but those that were given up.
pub fn hint(summary: &Summary, common: &CommonArgs) -> Option<String> {
    let mut failed: Vec<usize> =
        summary.failures.iter().filter(|f| f.kind != FailedKind::Cancelled).map(|f| f.task).collect();
    failed.sort_unstable();
    if failed.is_empty() {
        return None;
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let (count, command) = (failed.len(), command(&words, &failed, common));
    let which = match common.record.journal {
        None if count > MAX_SHOWN => format!("first {MAX_SHOWN} of {count}"),
        _ => count.to_string(),
    };
    Some(format!("to run the {which} failed again: {command}"))
}

fn command(words: &[OsString], failed: &[usize], common: &CommonArgs) -> String {
    let has_journal = common.record.journal.is_some();
    let mut kept = Vec::new();
    let mut is_value = false;
    let mut is_over = false;
    for word in words {
        let has_flag = !is_over && !is_value && !has_journal;
        let is_flag = has_flag && DROPPED.iter().any(|flag| word == flag);
        if !(is_value || has_flag && (is_flag || is_dropped(word))) {
            kept.push(quote(word));
        }
        is_value = is_flag;
        is_over |= word == "--";
    }
    // Behind the program and the job: at the end there may be names after `--`.
    let added = if has_journal {
        let is_written = common.output.as_deref().is_some_and(|path| path != Path::new("-"));
        let resume = (!common.record.resume).then_some("--resume");
        // Beside `--resume` it replaces the report alone.
        let force = (is_written && !common.force).then_some("--force");
        resume.into_iter().chain(force).map(str::to_string).collect()
    } else {
        let numbers: Vec<String> = failed.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
        vec![format!("--only {}", numbers.join(","))]
    };
    let at = kept.len().min(2);
    kept.splice(at..at, added);
    kept.join(" ")
}

/// Whether a word is one of [`DROPPED`] together with its value, or `--force`, which has no meaning without them.
fn is_dropped(word: &OsStr) -> bool {
    let word = word.as_bytes();
    let has_value = |flag: &str| match word.strip_prefix(flag.as_bytes()) {
        Some(rest) if flag.starts_with("--") => rest.starts_with(b"="),
        Some(_) => true,
        None => false,
    };
    word == b"--force" || DROPPED.into_iter().any(has_value)
}

/// The word as a shell takes it for itself.
fn quote(word: &OsStr) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(b);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.as_bytes().iter().all(is_plain) => text.to_string(),
        Some(text) if printable(text) == text => format!("'{}'", text.replace('\'', r"'\''")),
        // Bytes that a terminal should not see, or that are no text: `$'...'` has numbers for them (bash, zsh, POSIX 2024).
        _ => {
            let mut quoted = "$'".to_string();
            for &byte in word.as_bytes() {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', byte as char]),
                    b' '..=b'~' => quoted.push(byte as char),
                    // Writing to a string does not fail.
                    _ => drop(write!(quoted, "\\{byte:03o}")),
                }
            }
            quoted + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::{Command, JobCommand};

    fn again(words: &[&str], failed: &[usize]) -> String {
        let JobCommand::Hash(args) = Command::try_parse_from(words).unwrap().job else { panic!("another job") };
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        command(&words, failed, &args.common)
    }

    #[test]
    fn the_command_says_what_to_do() {
        assert_eq!(
            again(&["procession", "hash", "a b", "it's"], &[3, 17]),
            r"procession hash --only 3,17 'a b' 'it'\''s'"
        );
        let old = ["procession", "hash", "--only", "1,3", "-j2", "--only=5", "--", "--only", "x"];
        assert_eq!(again(&old, &[3]), "procession hash --only 3 -j2 -- --only x");
        let journal = ["procession", "hash", "--journal", "j", "--only", "1,3", "a"];
        assert_eq!(again(&journal, &[3]), "procession hash --resume --journal j --only 1,3 a");
        assert_eq!(
            again(&["procession", "hash", "--journal=j", "--resume", "a"], &[3]),
            "procession hash --journal=j --resume a"
        );
        let many: Vec<usize> = (0..21).collect();
        assert!(again(&["procession", "hash", "a"], &many).ends_with(",18,19 a"));
    }

    #[test]
    fn the_command_runs_beside_what_was_written() {
        let old = ["procession", "hash", "-o", "out", "--force", "--joblog=log", "-oout", "--output=out", "-", "a"];
        let words: Vec<OsString> = old.iter().map(OsString::from).collect();
        let plain = Command::try_parse_from(["procession", "hash", "a"]).unwrap().job;
        let JobCommand::Hash(plain) = plain else { panic!("another job") };
        assert_eq!(command(&words, &[3], &plain.common), "procession hash --only 3 - a");
        let journal = ["procession", "hash", "--journal", "j", "-o", "out", "--joblog", "log", "a"];
        assert_eq!(again(&journal, &[3]), "procession hash --resume --force --journal j -o out --joblog log a");
        let both = ["procession", "hash", "--journal", "j", "-o", "out", "--force", "--resume", "a"];
        assert_eq!(again(&both, &[3]), both.join(" "));
        let none = ["procession", "hash", "--journal", "j", "-o", "-", "a"];
        assert_eq!(again(&none, &[3]), "procession hash --resume --journal j -o - a");
    }

    #[test]
    fn names_are_what_a_shell_makes_of_them() {
        for name in [&b"plain"[..], b"", b"a b", b"it's", b"new\nline'\\", b"caf\xe9\x01 7", "\u{9b}\u{e4}".as_bytes()]
        {
            let line = format!("printf %s {}", quote(OsStr::from_bytes(name)));
            assert_eq!(printable(&line), line);
            let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
            assert_eq!(output.stdout, name, "{line}");
        }
    }
}
