//! The command that runs the failed tasks again, and no others.

use std::borrow::Cow;

use procession_jobs::{FailedKind, Summary, printable};

use crate::flags::CommonArgs;

/// More numbers are not shown.
const MAX_SHOWN: usize = 20;

/// How to run just the failed tasks again; none if there are none but those that were given up.
pub fn hint(summary: &Summary, common: &CommonArgs) -> Option<String> {
    let mut failed: Vec<usize> =
        summary.failures.iter().filter(|f| f.kind != FailedKind::Cancelled).map(|f| f.task).collect();
    failed.sort_unstable();
    if failed.is_empty() {
        return None;
    }
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let command = command(&words, &failed, common);
    Some(format!("to run the {} failed again: {}", failed.len(), printable(&command)))
}

fn command(words: &[String], failed: &[usize], common: &CommonArgs) -> String {
    let has_journal = common.record.journal.is_some();
    let mut kept = Vec::new();
    let mut is_value = false;
    let mut is_over = false;
    for word in words {
        let is_dropped = !has_journal && !is_over && (is_value || word == "--only" || word.starts_with("--only="));
        is_value = word == "--only" && !is_value;
        is_over |= word == "--";
        if !is_dropped {
            kept.push(quote(word));
        }
    }
    let added = match (has_journal, common.record.resume) {
        (true, true) => None,
        (true, false) => Some("--resume".to_string()),
        (false, _) => {
            let mut numbers: Vec<String> = failed.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
            numbers.extend((failed.len() > MAX_SHOWN).then(|| "...".to_string()));
            Some(format!("--only {}", numbers.join(",")))
        }
    };
    // Behind the program and the job: at the end there may be names after `--`.
    if let Some(added) = added {
        kept.insert(kept.len().min(2), Cow::Owned(added));
    }
    kept.join(" ")
}

/// The word as a shell takes it for itself.
fn quote(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::{Command, JobCommand};

    fn again(words: &[&str], failed: &[usize]) -> String {
        let JobCommand::Hash(args) = Command::try_parse_from(words).unwrap().job else { panic!("another job") };
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
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
        assert!(again(&["procession", "hash", "a"], &many).ends_with(",18,19,... a"));
        assert!(again(&["procession", "hash", "a"], &many[..20]).ends_with(",18,19 a"));
    }
}
