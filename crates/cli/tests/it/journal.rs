//! Jobs that are killed and go on: the journal, the joblog, and tasks by their numbers.

use std::collections::HashMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::common::{Lab, Run, poll, wait};

/// Numbers that look random, the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

const FILES: u64 = 300;

/// A folder `d` of small files, which take long enough for a kill to come between two of them.
fn small_files(lab: &Lab) {
    let length = if cfg!(debug_assertions) { 100 } else { 2000 };
    for n in 0..FILES {
        lab.file(format!("d/{n}"), format!("ERROR {n}\nok\n").repeat(n as usize % 40 * length));
    }
}

fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap()
}

/// Runs a command with `--format json`, which is no part of what a journal is for: `done` and `resumed`.
fn counts(lab: &Lab, words: &[&str]) -> (u64, u64) {
    let report = lab.run([words, &["--format", "json"]].concat()).expect(0).json();
    (count(&report, "done"), count(&report, "resumed"))
}

/// How often each input was done, and the lines of the log.
fn logged(lab: &Lab) -> (HashMap<String, u64>, u64) {
    let text = fs::read_to_string(lab.path("log")).unwrap_or_default();
    let mut done = HashMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        // The one that was written when the program died may be cut off.
        if let [_, _, _, _, _, _, "0", "0", command] = columns[..] {
            *done.entry(command.to_string()).or_default() += 1;
        }
    }
    let lines = done.values().sum();
    (done, lines)
}

#[test]
fn after_kills_at_any_point_the_output_is_that_of_an_undisturbed_run() {
    let fields = ["-j", "2", "--parse", "regex:^(?<level>[A-Z]+) (?<n>[0-9]+)", "--by", "level,n", "--stats", "n"];
    for (job, flags) in
        [("hash", &["-j", "2"][..]), ("logs", &["-j", "2", "-e", "ERROR", "--show", "3"]), ("logs", &fields)]
    {
        let undisturbed = {
            let lab = Lab::new();
            small_files(&lab);
            lab.run([&[job], flags, &["d"]].concat()).expect(0)
        };
        let in_the_middle = (0..10).filter(|seed| kill_and_resume(job, flags, *seed, &undisturbed)).count();
        assert!(in_the_middle > 0, "{job}: no run was killed in the middle");
    }
}

/// Whether the last run had something left to do.
fn kill_and_resume(job: &str, flags: &[&str], seed: u64, undisturbed: &Run) -> bool {
    let lab = Lab::new();
    small_files(&lab);
    let mut random = Random(seed);
    let words = [&[job], flags, &["--journal", "journal", "--joblog", "log", "--resume", "d"]].concat();
    let mut kills = 0;
    for _ in 0..1 + random.below(3) {
        let mut child = lab.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // At some point on the way, and any number of instructions later.
        let size = || fs::metadata(lab.path("journal")).map_or(0, |meta| meta.len());
        let until = size() + random.below(20_000);
        let mut has_ended = false;
        assert!(poll(|| {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || size() >= until
        }));
        std::thread::sleep(Duration::from_micros(random.below(1000)));
        let _ = child.kill();
        wait(&mut child);
        kills += u32::from(!has_ended);
    }
    let (_, before) = logged(&lab);
    let run = lab.run(&words).expect(0);
    assert!(run.out == undisturbed.out, "{job}, seed {seed}: {}\n{}", run.out(), run.err);
    let resumed = run.err.split(", ").find_map(|part| part.trim().strip_suffix(" from the journal"));
    let resumed: u64 = resumed.map_or(0, |number| number.parse().unwrap());
    let (done, after) = logged(&lab);
    // What was told to be done is never done again; and each task was either done now or before.
    assert!(done.values().all(|times| *times == 1), "{job}, seed {seed}: {done:?}");
    assert!(resumed >= before && after - before + resumed == FILES, "{job}, seed {seed}: {before} {after} {resumed}");
    assert_eq!(counts(&lab, &words), (FILES, FILES), "{job}, seed {seed}");
    println!("{job}, seed {seed}: {kills} kills, {resumed} resumed");
    resumed < FILES
}

#[test]
fn a_tail_that_is_cut_off_or_flipped_is_done_again() {
    let lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.file(name, name);
    }
    let words = ["hash", "--journal", "journal", "--resume", "a", "b", "c"];
    let undisturbed = lab.run(words).expect(0);
    assert_eq!(undisturbed.messages(), [""; 0]);
    let whole = fs::read(lab.path("journal")).unwrap();
    // One record is that long; what comes before is the header.
    let record = 32 + 35;
    let tail = whole.len() - record..whole.len();
    for at in tail.clone().step_by(11).chain([tail.end - 1]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        for bytes in [&whole[..at], &flipped] {
            lab.file("journal", bytes);
            let run = lab.run(words).expect(0);
            assert_eq!(run.out(), undisturbed.out());
            assert!(run.err.contains(", 2 from the journal"), "{at}: {}", run.err);
            let has_lost = bytes.len() > tail.start;
            assert_eq!(run.err.contains("no record: they are cut off"), has_lost, "{at}: {}", run.err);
        }
    }
    for header in [&b""[..], &whole[..3], &whole[..40]] {
        lab.file("journal", header);
        assert_eq!(lab.run(words).expect(0).out(), undisturbed.out());
        assert_eq!(counts(&lab, &words), (3, 3));
    }
}

#[test]
fn a_task_whose_input_has_changed_runs_again() {
    let lab = Lab::new();
    for name in ["d/a", "d/b", "d/c"] {
        lab.file(name, name);
    }
    let words = ["hash", "--journal", "journal", "--resume", "d"];
    lab.run(words).expect(0);
    // Of the same length, in place.
    lab.file("d/b", "d/B");
    assert_eq!(lab.run(words).expect(0).out(), lab.run(["hash", "d"]).expect(0).out());
    assert_eq!(counts(&lab, &words), (3, 3));
    lab.file("d/b", "longer");
    assert_eq!(counts(&lab, &words), (3, 2));
    // Another file in its place, with everything but the inode the same.
    let meta = fs::metadata(lab.path("d/b")).unwrap();
    fs::write(lab.path("new"), "others").unwrap();
    fs::File::open(lab.path("new")).unwrap().set_modified(meta.modified().unwrap()).unwrap();
    fs::rename(lab.path("new"), lab.path("d/b")).unwrap();
    assert_eq!(counts(&lab, &words), (3, 2));
    lab.file("d/0", "new, and before all others");
    fs::remove_file(lab.path("d/a")).unwrap();
    assert_eq!(counts(&lab, &words), (3, 2));
    assert_eq!(lab.run(words).expect(0).out(), lab.run(["hash", "d"]).expect(0).out());
}

#[test]
fn changes_that_leave_no_trace_are_seen_if_asked_for() {
    let lab = Lab::new();
    lab.file("a", "one");
    let change = |text: &str| {
        let path = lab.path("a");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(modified).unwrap();
    };
    let words = ["hash", "--journal", "journal", "--resume", "--journal-hash", "a"];
    lab.run(words).expect(0);
    assert_eq!(counts(&lab, &words), (1, 1));
    change("two");
    assert_eq!(lab.run(words).expect(0).out(), lab.run(["hash", "a"]).expect(0).out());
    // That is what it costs not to ask.
    let trusting = ["hash", "--journal", "trusting", "--resume", "a"];
    lab.run(trusting).expect(0);
    change("six");
    assert_eq!(counts(&lab, &trusting), (1, 1));
    assert_eq!(counts(&lab, &words), (1, 0));
}

#[test]
fn what_failed_runs_again() {
    let lab = Lab::new();
    lab.file("a", "a");
    let run = lab.run(["hash", "--journal", "journal", "a", "b"]).expect(1);
    let again = run.err.lines().last().unwrap();
    assert!(again.starts_with("procession hash: to run the 1 failed again: "), "{}", run.err);
    assert!(again.ends_with(" hash --resume --journal journal a b"), "{again}");
    lab.file("b", "b");
    assert_eq!(counts(&lab, &["hash", "--journal", "journal", "--resume", "a", "b"]), (2, 1));
    // A worker's own error, not the plan's.
    lab.file("c.gz", b"\x1f\x8b\x08 is no archive");
    let words = ["logs", "--journal", "other", "--resume", "a", "c.gz"];
    for resumed in [0, 1] {
        let report = lab.run([&words[..], &["--format", "json"]].concat()).expect(1).json();
        assert_eq!((count(&report, "failed"), count(&report, "resumed")), (1, resumed));
    }
}

#[test]
fn a_journal_of_another_job_or_other_arguments_is_refused() {
    let lab = Lab::new();
    lab.file("a", "a");
    lab.run(["hash", "--journal", "journal", "a"]).expect(0);
    let whole = fs::read(lab.path("journal")).unwrap();
    for (words, cause) in [
        (&["hash", "a"][..], "it exists (--resume goes on with it, --force begins anew)"),
        (&["logs", "--resume", "a"], "not for `logs 2: LogsArgs {"),
        (&["hash", "--resume", "-a", "md5", "a"], "algorithm: Some(Md5)"),
        (&["hash", "--resume", "a", "a"], "was made for another purpose, `hash 1: HashArgs { paths: [\"a\"],"),
    ] {
        let run = lab.run([words, &["--journal", "journal", "-o", "report"]].concat()).expect(2);
        assert!(run.err.contains("journal `journal`: ") && run.err.contains(cause), "{}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        assert!(fs::read(lab.path("journal")).unwrap() == whole && !lab.path("report").exists());
    }
    // The number of workers, limits and the form of the report are no arguments of the job.
    let words = ["hash", "--journal", "journal", "--resume", "-j", "1", "--timeout", "1h", "-v", "a"];
    assert_eq!(counts(&lab, &words), (1, 1));
    lab.run(["logs", "--journal", "journal", "--force", "a"]).expect(0);
    assert_eq!(counts(&lab, &["logs", "--journal", "journal", "--resume", "a"]), (1, 1));
    lab.file("text", "somebody's notes\n");
    let run = lab.run(["hash", "--journal", "text", "--resume", "a"]).expect(2);
    assert!(run.err.contains("failed to resume the journal `text`: it is no journal"), "{}", run.err);
    assert_eq!(lab.read("text"), "somebody's notes\n");
    for other in ["--joblog", "-o"] {
        let words = ["logs", "--journal", "journal", "--resume", "--force", other, "journal", "a"];
        let run = lab.run(words).expect(2);
        assert!(run.err.contains("failed to write `journal`: it is the journal ("), "{}", run.err);
    }
    for words in [&["hash", "--resume", "a"][..], &["hash", "--force", "a"], &["hash", "--journal", ".", "a"]] {
        lab.run(words).expect(2);
    }
}

#[test]
fn a_journal_that_finds_no_room_ends_the_job_and_is_still_good() {
    let lab = Lab::new();
    small_files(&lab);
    let words = "logs -j 2 -e ERROR --show 1000000 d";
    let undisturbed = lab.shell(&format!("$P {words}")).expect(0);
    // No file may have more than 1 MiB, and a write beyond that is an error: what a full disk looks like.
    let run = lab.shell(&format!("ulimit -f 1024; trap '' XFSZ; $P {words} --journal journal > out")).expect(1);
    assert!(run.err.contains("failed to write the journal `journal`: "), "{}", run.err);
    assert!(!run.err.contains("os error"), "{}", run.err);
    let run = lab.shell(&format!("$P {words} --journal journal --resume")).expect(0);
    assert!(run.out == undisturbed.out, "{}", run.err);
    assert!(run.err.contains(" from the journal") && !run.err.contains("cut off"), "{}", run.err);
}

#[test]
fn what_a_run_writes_is_not_its_input() {
    let lab = Lab::new();
    lab.file("d/a", "a");
    let words = ["hash", "--journal", "d/journal", "--joblog", "d/0log", "--resume", "d"];
    for resumed in [0, 1] {
        assert_eq!(counts(&lab, &words), (1, resumed));
    }
    let plan = lab.run([&words[..], &["--dry-run"]].concat()).expect(0);
    assert_eq!(plan.out(), "task 0: hash `d/a` (1 bytes)\n");
    assert_eq!(lab.run(["hash", "d"]).expect(0).out().lines().count(), 3);
}

#[test]
fn a_joblog_has_the_columns_of_gnu_parallel() {
    let lab = Lab::new();
    lab.file("a", "four");
    lab.endless("endless");
    lab.run(["hash", "--joblog", "log", "--timeout", "200ms", "a", "gone", "endless"]).expect(1);
    let text = lab.read("log");
    let mut lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let header = ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"];
    assert_eq!(lines.remove(0), header);
    lines.sort();
    let ended: Vec<_> = lines.iter().map(|line| (line[0], line[4], line[6], line[7], line[8])).collect();
    let endless = (1u64 << 40).to_string();
    assert_eq!(
        ended,
        [
            ("0", "4", "0", "0", "hash a"),
            ("1", "0", "1", "0", "hash gone"),
            ("2", endless.as_str(), "-1", "15", "hash endless"),
        ]
    );
    for line in &lines {
        let (start, time): (f64, f64) = (line[2].parse().unwrap(), line[3].trim().parse().unwrap());
        assert!(start > 1.5e9 && time >= 0.0 && (line[8] != "hash endless" || time >= 0.2), "{line:?}");
    }
    let run = lab.run(["hash", "--joblog", "log", "a"]).expect(2);
    assert!(
        run.err.contains("failed to write `log`: it exists (--resume adds to it, --force replaces it)"),
        "{}",
        run.err
    );
    assert_eq!(lab.read("log"), text);
    lab.run(["hash", "--joblog", "log", "--force", "a"]).expect(0);
    assert_eq!(lab.read("log").lines().count(), 2);
    lab.run(["hash", "--joblog", "log", "--journal", "journal", "--resume", "a", "gone"]).expect(1);
    assert_eq!(lab.read("log").lines().count(), 4);
}

#[test]
fn tasks_are_run_by_their_numbers() {
    let lab = Lab::new();
    for name in ["a", "b b", "c"] {
        lab.file(name, name);
    }
    let words = ["hash", "a", "gone", "b b", "c", "lost"];
    let run = lab.run(words).expect(1);
    let again = run.err.lines().last().unwrap();
    assert!(again.ends_with(" hash --only 1,4 a gone 'b b' c lost"), "{again}");
    let report = lab.run([&words[..], &["--only", "2,4", "--format", "json"]].concat()).expect(1).json();
    assert_eq!((count(&report, "tasks"), count(&report, "done")), (2, 1));
    assert_eq!((&report["failures"][0]["task"], &report["failures"][0]["input"]), (&4.into(), &"lost".into()));
    let plan = lab.run([&words[..], &["--only=1", "--only=2", "--dry-run"]].concat()).expect(1);
    assert_eq!(plan.out(), "task 1: failed to read `gone`: no such file or directory\ntask 2: hash `b b` (3 bytes)\n");
    // The command does what it says.
    let command = again.split("again: ").nth(1).unwrap();
    assert_eq!(lab.shell(&command.replace("gone", "a").replace("lost", "c")).expect(0).out().lines().count(), 2);
    let run = lab.run(["hash", "--only", "0,7", "a"]).expect(1);
    assert!(run.err.contains("failed to find task 7 (--only): there are 1 tasks"), "{}", run.err);
    let run = lab.run(["hash", "-q", "gone"]).expect(1);
    assert_eq!(run.err.lines().count(), 1);
    // A report and a joblog of all tasks stay what they are.
    let run = lab.run(["hash", "a", "gone", "-o", "all", "--joblog", "jobs"]).expect(1);
    let (report, jobs) = (lab.read("all"), lab.read("jobs"));
    let again = run.err.lines().last().unwrap().split("again: ").nth(1).unwrap();
    lab.file("gone", "is there");
    assert!(lab.shell(again).expect(0).out().ends_with("  gone\n"));
    assert_eq!((lab.read("all"), lab.read("jobs")), (report, jobs));
    let same = lab.run(["hash", "a", "--joblog", "same", "-o", "./same"]).expect(2);
    assert!(same.err.contains("failed to write `./same`: it is the joblog (-o/--output, --joblog)"), "{}", same.err);
    lab.run(["hash", "a", "--journal", "journal"]).expect(0);
    let journal = std::fs::read(lab.path("journal")).unwrap();
    lab.run(["hash", "a", "--journal", "journal", "--resume", "--joblog", "./journal"]).expect(2);
    assert_eq!(std::fs::read(lab.path("journal")).unwrap(), journal);
    lab.run(["hash", "--only", "first", "a"]).expect(2);
}
