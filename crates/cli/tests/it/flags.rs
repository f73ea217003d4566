//! The command line: help, mistakes, and the flags of every job.

use crate::common::Lab;

#[test]
fn help_is_for_every_width_and_has_examples() {
    let lab = Lab::new();
    let run = lab.run(["--help"]).expect(0);
    assert!(run.out().contains("logs") && run.out().contains("Exit codes: 0 "), "{}", run.out());
    for job in ["logs", "hash", "transform", "doctor", "completions", "man"] {
        for flag in ["-h", "--help"] {
            let run = lab.run([job, flag]).expect(0);
            assert!(run.out().contains(&format!("Examples:\n  procession {job}")), "{}", run.out());
            assert!(run.out().lines().all(|line| line.chars().count() <= 100), "{}", run.out());
        }
        let narrow = lab.shell(&format!("COLUMNS=60 $P {job} -h"));
        let flags = narrow.out().split("Examples:").next().unwrap();
        assert!(flags.lines().all(|line| line.chars().count() <= 60), "{}", narrow.out());
    }
    assert_eq!(lab.run(["--version"]).expect(0).out(), concat!("procession ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn shells_and_man_know_every_flag() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = lab.run(["completions", shell]).expect(0);
        // Fish has them without the dashes.
        for word in ["on-bad-row", "journal-hash", "algorithm", "count-only", "transform", "quarantine"] {
            let is_there = run.out().contains(word);
            // A value that is no fixed word is in the help alone, which bash does not show.
            assert!(is_there || word == "quarantine" && shell == "bash", "{shell}: {word}");
        }
    }
    // It runs, and knows a word.
    let line = "source <($P completions bash) && COMP_WORDS=(procession transform --on-b) COMP_CWORD=2 && \
        _procession procession --on-b transform && echo ${COMPREPLY[@]}";
    assert_eq!(lab.shell(line).expect(0).out(), "--on-bad-row\n");
    let page = lab.run(["man", "transform"]).expect(0);
    for word in [".TH procession-transform 1", "\\-\\-on\\-bad\\-row", "\\-\\-journal", ".SH EXAMPLES\n.nf\n"] {
        assert!(page.out().contains(word), "{word}: {}", page.out());
    }
    for (job, word) in [("transform", "In CSV an empty field is null"), ("logs", "counted as selected")] {
        for text in [lab.run([job, "--help"]).expect(0).out(), lab.run(["man", job]).expect(0).out()] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!lab.run([job, "-h"]).expect(0).out().contains(word));
    }
    let all = lab.run(["man"]).expect(0);
    for word in [".TH procession 1", "procession\\-logs(1)", "procession\\-transform(1)", "Exit codes"] {
        assert!(all.out().contains(word), "{word}: {}", all.out());
    }
    let run = lab.run(["man", "women"]).expect(2);
    assert!(run.err.contains("there is no job `women`, but logs, hash, transform"), "{}", run.err);
    lab.shell("$P completions tcsh").expect(2);
    lab.shell("$P completions bash > /dev/full").expect(1);
    lab.shell("set -o pipefail; $P man transform | head -1").expect(0);
}

#[test]
fn without_a_job_there_is_help_and_exit_code_2() {
    let lab = Lab::new();
    let run = lab.run([""; 0]).expect(2);
    assert!(run.out.is_empty() && run.err.contains("Usage: procession <COMMAND>"), "{}", run.err);
    let run = lab.run(["lgos", "x"]).expect(2);
    assert!(run.err.contains("a similar subcommand exists: 'logs'"), "{}", run.err);
    let run = lab.run(["hash", "--algoritm", "md5", "x"]).expect(2);
    assert!(run.err.contains("a similar argument exists: '--algorithm'"), "{}", run.err);
}

#[test]
fn absurd_values_are_refused_and_name_their_flag() {
    let lab = Lab::new();
    for (flag, value, cause) in [
        ("--workers", "0", "must be a number from 1 to 512"),
        ("--workers", "-1", "must be a number from 1 to 512"),
        ("--workers", "99999999999999999999", "must be a number from 1 to 512"),
        ("--timeout", "0", "must be more than nothing"),
        ("--timeout", "-5", "must be a number with a unit: 500ms, 30s, 5m, 1h"),
        ("--timeout", "5 parsecs", "must be a number with a unit: 500ms, 30s, 5m, 1h"),
        ("--retries", "-1", "not in 0..="),
        ("--retries", "99999999999", "not in 0..="),
        ("--show", "-1", "invalid digit"),
        ("--format", "xml", "table, json, csv"),
        ("--progress", "often", "auto, always, never"),
        ("--log-format", "xml", "text, json"),
    ] {
        let run = lab.run(["logs", flag, value, "gone"]).expect(2);
        assert!(run.err.contains(flag) && run.err.contains(&format!("'{value}'")), "{}", run.err);
        assert!(run.err.contains(cause), "{}", run.err);
    }
    for args in
        [&["logs"][..], &["logs", ""], &["logs", "-qv", "a"], &["hash", "--status", "a"], &["hash", "-c", "-z", "a"]]
    {
        lab.run(args).expect(2);
    }
}

#[test]
fn names_may_begin_with_a_dash_after_two() {
    let lab = Lab::new();
    lab.file("-v", "a\n");
    assert!(lab.run(["hash", "--", "-v"]).expect(0).out().ends_with("  -v\n"));
    assert!(lab.run(["logs", "./-v"]).expect(0).out().contains("./-v"));
    lab.run(["hash", "-v"]).expect(2);
}

#[test]
fn a_dry_run_shows_the_tasks_and_does_none() {
    let lab = Lab::new();
    lab.file("a\n", "a\n");
    let run = lab.run(["hash", "--dry-run", "a\n", "gone"]).expect(1);
    assert_eq!(run.out(), "task 0: hash `a\\n` (2 bytes)\ntask 1: failed to read `gone`: no such file or directory\n");
    assert_eq!(run.err, "");
    let json = lab.run(["logs", "--dry-run", "--format", "json", "a\n"]).expect(0).json();
    assert_eq!(json["tasks"][0]["input"], "a\n");
    let csv = lab.run(["logs", "--dry-run", "--format", "csv", "gone"]).expect(1);
    assert_eq!(csv.out(), "task,input,bytes,problem\n0,gone,0,failed to read `gone`: no such file or directory\n");
}

#[test]
fn a_job_ends_at_the_first_failure_if_told_so() {
    let lab = Lab::new();
    for number in 0..300 {
        lab.file(format!("d/{number}"), "x\n");
    }
    for (job, first) in [("hash", "gone"), ("logs", "d/1/below")] {
        let run = lab.run([job, "--fail-fast", "--format", "json", first, "d"]).expect(1);
        let report = run.json();
        let count = |key: &str| report[key].as_u64().unwrap();
        assert_eq!((count("failed"), count("done") + count("cancelled") + 1), (1, count("tasks")));
        assert!(count("tasks") < 301);
        assert_eq!(report["failures"].as_array().unwrap().len() as u64, 1 + count("cancelled"));
        assert_eq!(report["cut_short"], true);
        assert_eq!(run.messages().len(), 1, "{}", run.err);
        let run = lab.run([job, "--fail-fast", first, "d"]).expect(1);
        let said = "not complete: ended by a failure with ";
        assert!(run.out().lines().last().is_some_and(|line| line.contains(said)), "{}", run.out());
        let run = lab.run([job, "-q", "--fail-fast", "--format", "csv", "-o", "csv", first, "d"]).expect(1);
        let said = format!(
            "procession {job}: failed to write `csv`: its form cannot say that it is not complete: ended by a failure"
        );
        assert!(run.messages().len() == 2 && run.err.contains(&said) && !lab.path("csv").exists(), "{}", run.err);
        // A failure that ends nothing leaves nothing out.
        let run = lab.run([job, "-q", "--format", "csv", "-o", "csv", first, "d"]).expect(1);
        assert!(run.messages().len() == 1 && lab.read("csv").lines().count() == 301, "{}", run.err);
        let run = lab.run([job, "--format", "json", first, "d"]).expect(1);
        assert_eq!(run.json()["cut_short"], false);
        std::fs::remove_file(lab.path("csv")).unwrap();
    }
}

#[test]
fn so_many_workers_run_as_were_asked_for() {
    let lab = Lab::new();
    lab.file("a", "a\n");
    for workers in ["1", "7", "64"] {
        let report = lab.run(["hash", "-j", workers, "--format", "json", "a"]).expect(0).json();
        assert_eq!(report["workers"].to_string(), workers);
    }
}

#[test]
fn few_descriptors_are_enough_for_many_files() {
    let lab = Lab::new();
    for n in 0..600 {
        lab.file(format!("{}/{n}", n % 3), format!("{n}\n"));
    }
    let sums = lab.shell("sha256sum 0/* 1/* 2/*");
    let mut expected: Vec<&str> = sums.out().lines().collect();
    expected.sort_unstable();
    for limit in [" -n 40", " -S -n 40", " -n 300", " -S -n 400"] {
        for flags in ["-j 1", "-j 3", "-j 2 --sandbox off", "-j 2 --retries 2 --journal journal"] {
            let run = lab.shell(&format!("ulimit{limit}; $P hash 0 1 2 {flags}")).expect(0);
            let out = run.out();
            let mut hashed: Vec<&str> = out.lines().collect();
            hashed.sort_unstable();
            assert_eq!(hashed, expected, "{limit} {flags}");
            let run = lab.shell(&format!(
                "rm -f journal; ulimit{limit}; $P logs -e 7 0 1 2 {flags} --format json; rm -f journal"
            ));
            assert_eq!(run.expect(0).json()["result"]["lines"], 600, "{limit} {flags}");
        }
    }
}

#[test]
fn too_few_descriptors_are_an_error_and_not_an_empty_report() {
    let lab = Lab::new();
    lab.file("a", "a\n");
    for limit in [6, 9, 12, 15, 20, 24, 28, 32] {
        let run = lab.shell(&format!("ulimit -n {limit}; $P hash -j 8 a"));
        assert!(
            run.code == 1 && run.err.contains("procession") || run.code == 0 && run.out().ends_with("  a\n"),
            "{limit}: {run:?}"
        );
    }
}
