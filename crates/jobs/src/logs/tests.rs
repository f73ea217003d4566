//! The whole job without worker processes: plan, run, fold, report; compared with grep and with the slow way.

mod fields;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::decode::Format;
use crate::decode::tests::{ALL, encode};
use crate::{FailedKind, Planned};

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    logs: LogsArgs,
}

/// The job for a command line.
fn job(args: &[&OsStr]) -> Result<LogsJob, PlanError> {
    job_for(2, args)
}

fn job_for(workers: usize, args: &[&OsStr]) -> Result<LogsJob, PlanError> {
    let cli = Cli::try_parse_from(std::iter::once(OsStr::new("logs")).chain(args.iter().copied())).unwrap();
    LogsJob::new(cli.logs, workers)
}

/// Runs a job: its result, and the failures.
fn drive(mut job: LogsJob) -> (Box<dyn Report>, Vec<String>) {
    let plan = job.plan(&FilesAhead::default()).unwrap();
    // What is sent to workers survives the way there, and what comes back the way back.
    let context: LogsContext = postcard::from_bytes(&postcard::to_stdvec(job.context()).unwrap()).unwrap();
    let mut outcomes = Vec::new();
    for planned in plan.tasks {
        outcomes.push(match planned {
            Planned::Failed(item, error) => (item, Err(error)),
            Planned::Task(item, task) => {
                let task = postcard::from_bytes(&postcard::to_stdvec(&task).unwrap()).unwrap();
                (item, LogsJob::run(&context, task))
            }
        });
    }
    let mut failures = Vec::new();
    // Tasks end in any order.
    for (item, outcome) in outcomes.into_iter().rev() {
        match outcome {
            Ok(done) => {
                let done = postcard::from_bytes(&postcard::to_stdvec(&done).unwrap()).unwrap();
                job.fold(&item, done).unwrap();
            }
            Err(error) => {
                job.fold_failure(&item, FailedKind::Failed);
                failures.push(error.to_string());
            }
        }
    }
    failures.reverse();
    failures.extend(job.finish(failures.is_empty()).err().map(|error| error.to_string()));
    (Box::new(job).report(), failures)
}

fn run(args: &[&OsStr]) -> (Value, Vec<String>) {
    let (report, failures) = drive(job(args).unwrap());
    (report.json(), failures)
}

/// The counts of one file for one pattern: lines, matching lines.
fn count_file(path: &Path, regex: &str) -> (u64, u64) {
    let regex = format!("={regex}");
    let (result, failures) = run(&["-e".as_ref(), regex.as_ref(), path.as_os_str()]);
    assert_eq!(failures, Vec::<String>::new());
    (result["lines"].as_u64().unwrap(), result["patterns"][0]["lines"].as_u64().unwrap())
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// What GNU grep counts.
fn grep(regex: &str, path: &Path) -> u64 {
    let output = Command::new("grep").env("LC_ALL", "C").args(["-acE", "-e", regex]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The bytes of a log in which everything is that makes counting lines hard.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> =
        vec![b"ERROR", b"WARN", b"a", b"b", b"ab", b" ", b"\0", b"\r", b"\r\n", b"\xff", b"\xc3", b"foo_1", b"-", b"1"];
    let piece = prop_oneof![1 => Just(&b"\n"[..]), 4 => prop::sample::select(words)];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn counts_are_those_of_grep(bytes in pieces()) {
        let folder = TempDir::new().unwrap();
        let path = file(&folder, "log", &bytes);
        // Only what means the same to both: bytes, not characters.
        for (ours, theirs) in [
            ("ERROR|WARN", "ERROR|WARN"),
            ("", ""),
            ("^$", "^$"),
            ("^a|b$", "^a|b$"),
            ("a$", "a$"),
            (r"(?-u)a.b", "a.b"),
            (r"(?-u)[^a]$", "[^a]$"),
            (r"(?-u)\bfoo_1\b", r"\bfoo_1\b"),
            (r"(?-u)^\W+$", r"^\W+$"),
            (r"(?-u)a\sa", r"a\sa"),
            ("(ab)+ ?[0-9]{1,2}", "(ab)+ ?[0-9]{1,2}"),
            ("x*", "x*"),
        ] {
            let (lines, matches) = count_file(&path, ours);
            prop_assert_eq!(matches, grep(theirs, &path), "{} in {:?}", ours, bytes);
            prop_assert_eq!(lines, grep("", &path));
        }
    }

    #[test]
    fn random_ranges_and_buffers_count_every_line_once(
        bytes in pieces(),
        cuts in prop::collection::vec(0_u64..600, 0..5),
        buffer in 1_usize..50,
    ) {
        let matcher = matcher::Matcher::new("ERROR|a$|^b").unwrap();
        let mut whole = scan_all(&matcher, &bytes, &[], 4096);
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(bytes.len() as u64)).collect();
        cuts.sort_unstable();
        let parts = scan_all(&matcher, &bytes, &cuts, buffer);
        whole.samples.truncate(parts.samples.len());
        prop_assert_eq!(whole, parts);
    }
}

/// Counts the ranges between `cuts` one by one.
fn scan_all(matcher: &matcher::Matcher, bytes: &[u8], cuts: &[u64], buffer: usize) -> scan::Counts {
    let mut caches = [matcher.create_cache()];
    let mut scan = scan::Scan::new(std::slice::from_ref(matcher), &mut caches, None, true, 5);
    let ends = cuts.iter().copied().map(Some).chain([None]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    for (start, end) in starts.zip(ends) {
        let lines = blocks::Lines { start, end };
        let from = bytes.len().min(lines.read_from() as usize);
        lines
            .read(&mut &bytes[from..], &mut crate::buffer::Buffer::new(buffer), |block, offset| scan.add(block, offset))
            .unwrap();
    }
    scan.finish().unwrap().0
}

/// A log of about `bytes`, each line of another length.
fn log(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 200);
    for n in 0_u64.. {
        if text.len() >= bytes {
            break;
        }
        let level = ["INFO", "DEBUG", "WARN", "INFO", "ERROR", "INFO", "INFO"][n as usize % 7];
        let rest = "x".repeat((n as usize * 7919) % 150);
        writeln!(text, "{n} {level} {rest}").unwrap();
    }
    text
}

#[test]
fn a_split_file_counts_as_if_whole() {
    let folder = TempDir::new().unwrap();
    let mut text = log(35 << 20);
    text.extend(b"ERROR without an end");
    let path = file(&folder, "big.log", &text);
    let args = ["-e", "ERROR|WARN", "-e", "no=x{140}", "--show", "2"].map(OsStr::new);
    let mut split = job_for(4, &[&args[..], &[path.as_os_str()]].concat()).unwrap();
    assert_eq!(split.plan(&FilesAhead::default()).unwrap().tasks.count(), 5);
    let (report, failures) = drive(split);
    assert_eq!(failures, Vec::<String>::new());
    let result = report.json();
    assert_eq!(result["lines"], grep("", &path));
    assert_eq!(result["patterns"][0]["lines"], grep("ERROR|WARN", &path));
    assert_eq!(result["patterns"][1]["lines"], grep("x{140}", &path));
    assert_eq!(result["files"].as_array().unwrap().len(), 1);
    let samples = result["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 4);
    let line = text.split(|byte| *byte == b'\n').nth(2).unwrap();
    assert_eq!(samples[0]["line"], String::from_utf8_lossy(line).as_ref());
    let offset = samples[1]["offset"].as_u64().unwrap() as usize;
    assert!(text[offset..].starts_with(b"4 ERROR"));
}

#[test]
fn a_file_of_which_a_part_failed_is_not_reported() {
    let folder = TempDir::new().unwrap();
    let big = file(&folder, "big.log", &log(30 << 20));
    let small = file(&folder, "small.log", b"ERROR\n");
    let mut job = job(&["-e".as_ref(), "ERROR".as_ref(), big.as_os_str(), small.as_os_str()]).unwrap();
    let plan = job.plan(&FilesAhead::default()).unwrap();
    for (number, planned) in plan.tasks.enumerate() {
        let Planned::Task(item, task) = planned else { panic!("{planned:?}") };
        if number == 1 {
            job.fold_failure(&item, FailedKind::Crashed);
        } else {
            let done = LogsJob::run(job.context(), task).unwrap();
            job.fold(&item, done).unwrap();
        }
    }
    let result = job.report().json();
    assert_eq!(result["files"], json!([{"path": small.to_str().unwrap(), "lines": 1, "patterns": [1]}]));
    assert_eq!(result["patterns"][0]["lines"], 1);
}

#[test]
fn compressed_files_are_read_through_whatever_they_are_called() {
    let folder = TempDir::new().unwrap();
    let text = log(3 << 20);
    let plain = file(&folder, "plain", &text);
    let expected = (grep("", &plain), grep("ERROR", &plain));
    for format in ALL {
        let (first, second) = text.split_at(1_234_567);
        let mut packed = encode(format, first);
        packed.extend(encode(format, second));
        let path = file(&folder, "packed.txt", &packed);
        assert_eq!(count_file(&path, "ERROR"), expected, "{format:?}");
        // Without its last bytes it is a failure, and no file of the report.
        let cut = file(&folder, "cut.gz", &packed[..packed.len() - 5]);
        let (result, failures) = run(&["-e".as_ref(), "ERROR".as_ref(), cut.as_os_str()]);
        assert_eq!(result["files"], json!([]));
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("failed to decompress `") && failures[0].contains("cut.gz`: "), "{failures:?}");
    }
    let fake = file(&folder, "fake.gz", b"not gzip\n");
    assert_eq!(count_file(&fake, "gzip"), (1, 1));
}

#[test]
fn a_huge_compressed_file_is_one_task() {
    let folder = TempDir::new().unwrap();
    // Noise does not shrink.
    let mut seed = 1_u64;
    let noise: Vec<u8> = (0..20 << 20)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        })
        .collect();
    let plain = file(&folder, "plain", &noise);
    let packed = file(&folder, "packed", &encode(Format::Zstd, &noise));
    assert!(packed.metadata().unwrap().len() > 16 << 20);
    let mut job = job(&[packed.as_os_str()]).unwrap();
    assert_eq!(job.plan(&FilesAhead::default()).unwrap().tasks.count(), 1);
    assert_eq!(count_file(&packed, "(?-u)a.b"), count_file(&plain, "(?-u)a.b"));
}

/// The worker side of a pipe, as a path.
fn piped(folder: &TempDir, bytes: Vec<u8>) -> (PathBuf, std::thread::JoinHandle<()>) {
    let path = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let target = path.clone();
    let writer = std::thread::spawn(move || {
        fs::OpenOptions::new().write(true).open(target).unwrap().write_all(&bytes).unwrap();
    });
    (path, writer)
}

#[test]
fn streams_are_read_by_the_program() {
    for text in [Vec::new(), b"one ERROR".to_vec(), b"\nERROR\n".to_vec(), log(5 << 20)] {
        let folder = TempDir::new().unwrap();
        let plain = file(&folder, "plain", &text);
        let expected = (grep("", &plain), grep("ERROR", &plain));
        let (path, writer) = piped(&folder, text);
        assert_eq!(count_file(&path, "ERROR"), expected);
        writer.join().unwrap();
    }
}

#[test]
fn compressed_streams_are_left_to_the_workers() {
    for format in ALL {
        let folder = TempDir::new().unwrap();
        let text = log(2 << 20);
        let plain = file(&folder, "plain", &text);
        let (path, writer) = piped(&folder, encode(format, &text));
        let mut job = job(&["-e".as_ref(), "ERROR".as_ref(), path.as_os_str()]).unwrap();
        let mut plan = job.plan(&FilesAhead::default()).unwrap();
        let Some(Planned::Task(item, task)) = plan.tasks.next() else { panic!("no task") };
        assert!(plan.tasks.next().is_none());
        writer.join().unwrap();
        // The spool is all that workers may read, and it is gone when the job is.
        let [spool] = plan.access.read.as_slice() else { panic!("{:?}", plan.access) };
        assert!(spool.is_dir());
        drop(plan.tasks);
        let done = LogsJob::run(job.context(), task).unwrap();
        job.fold(&item, done).unwrap();
        let result = job.report().json();
        assert!(!spool.exists());
        let file = &result["files"][0];
        assert_eq!(file["path"], path.to_str().unwrap());
        assert_eq!(file["patterns"], json!([grep("ERROR", &plain)]));
    }
}

#[test]
fn a_damaged_stream_is_named_as_the_user_named_it() {
    let folder = TempDir::new().unwrap();
    let mut packed = encode(Format::Gzip, &log(1 << 20));
    packed.truncate(5000);
    let (path, writer) = piped(&folder, packed);
    let (_, failures) = run(&[path.as_os_str()]);
    writer.join().unwrap();
    assert!(failures[0].contains(&format!("`{}`", path.display())), "{failures:?}");
}

#[test]
fn paths_that_cannot_be_read_cost_only_themselves() {
    let folder = TempDir::new().unwrap();
    let good = file(&folder, "good", b"x\ny\n");
    let gone = folder.path().join("gone");
    let (result, failures) = run(&[gone.as_os_str(), good.as_os_str()]);
    assert_eq!(failures, [format!("failed to read `{}`: no such file or directory", gone.display())]);
    assert_eq!(result["lines"], 2);
    assert_eq!(result["files"].as_array().unwrap().len(), 1);
}

#[test]
fn files_without_a_size_are_read_to_their_end() {
    let text = fs::read("/proc/version").unwrap();
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(count_file(Path::new("/proc/version"), "Linux"), (lines, 1));
}

#[test]
fn folders_are_counted_file_by_file_and_names_need_not_be_utf8() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub").join(OsStr::from_bytes(b"caf\xe9.log")), "ERROR\n").unwrap();
    file(&folder, "a.log", b"ok\nERROR\n");
    file(&folder, "a.txt", b"ERROR\n");
    let args = ["-e", "ERROR", "--include", "*.log", "--count-only"].map(OsStr::new);
    let (result, failures) = run(&[&args[..], &[folder.path().as_os_str()]].concat());
    assert_eq!(failures, Vec::<String>::new());
    let name = |name: &str| format!("{}/{name}", folder.path().display());
    assert_eq!(
        result,
        json!({
            "lines": null,
            "patterns": [{"name": "ERROR", "regex": "ERROR", "lines": 2}],
            "files": [
                {"path": name("a.log"), "lines": null, "patterns": [1]},
                {"path": name("sub/caf\u{fffd}.log"), "lines": null, "patterns": [1]},
            ],
        })
    );
}

#[test]
fn samples_are_the_first_of_all_files() {
    let folder = TempDir::new().unwrap();
    let paths = ["c", "a", "b"].map(|name| file(&folder, name, format!("{name} 1\nno\n{name} 2\u{ff}\r\n").as_bytes()));
    let args = ["-e", r"n=\d", "-e", "no", "--show", "3"].map(OsStr::new);
    let (result, _) = run(&[&args[..], &paths.each_ref().map(|path| path.as_os_str())].concat());
    let samples: Vec<(&str, u64, &str)> = result["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["pattern"].as_str().unwrap(), s["offset"].as_u64().unwrap(), s["line"].as_str().unwrap()))
        .collect();
    assert_eq!(
        samples,
        [("n", 0, "c 1"), ("n", 7, "c 2\u{ff}\r"), ("n", 0, "a 1"), ("no", 4, "no"), ("no", 4, "no"), ("no", 4, "no"),]
    );
}

#[test]
fn a_line_of_20_megabytes_is_one_line() {
    let folder = TempDir::new().unwrap();
    let mut text = b"short\n".to_vec();
    text.resize(20 << 20, b'x');
    text.extend(b"ERROR\nlast");
    let path = file(&folder, "long", &text);
    assert_eq!(count_file(&path, "ERROR"), (3, 1));
    assert_eq!(count_file(&path, "^x+ERROR$"), (3, 1));
    let (stream, writer) = piped(&folder, text);
    assert_eq!(count_file(&stream, "ERROR"), (3, 1));
    writer.join().unwrap();
}

#[test]
fn bad_patterns_stop_the_command_and_name_the_flag() {
    for (patterns, words) in [
        (vec!["("], vec!["-e", "`(`", "unclosed group"]),
        (vec!["ok", r"n=a\nb"], vec!["-e", r"`a\nb`", "within one line"]),
        (vec!["n=a", "n=b"], vec!["-e", "`n`"]),
    ] {
        let mut args = vec![OsStr::new("x")];
        for pattern in &patterns {
            args.extend([OsStr::new("-e"), OsStr::new(pattern)]);
        }
        let message = job(&args).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    }
    assert!(job(&["x", "--exclude", "["].map(OsStr::new)).is_err());
}

#[test]
fn the_command_line_takes_what_patterns_look_like() {
    let job = job(&["-", "-e", "-x", "-e", "=a=b", "--match", "n=--", "y"].map(OsStr::new)).unwrap();
    let patterns: Vec<(&str, &str)> =
        job.context.patterns.iter().map(|pattern| (pattern.name.as_str(), pattern.regex.as_str())).collect();
    assert_eq!(patterns, [("-x", "-x"), ("a=b", "a=b"), ("n", "--")]);
    assert_eq!(job.args.paths, [Path::new("-"), Path::new("y")]);
    assert!(Cli::try_parse_from(["logs"]).is_err());
}

#[test]
fn real_compressors_are_understood() {
    let folder = TempDir::new().unwrap();
    let text = log(1 << 20);
    let plain = file(&folder, "plain", &text);
    for tool in ["gzip", "zstd", "xz", "bzip2"] {
        let Ok(mut child) = Command::new(tool).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            continue;
        };
        let mut input = child.stdin.take().unwrap();
        let bytes = text.clone();
        let writer = std::thread::spawn(move || input.write_all(&bytes));
        let packed = child.wait_with_output().unwrap().stdout;
        writer.join().unwrap().unwrap();
        let path = file(&folder, tool, &packed);
        assert_eq!(count_file(&path, "WARN").1, grep("WARN", &plain), "{tool}");
    }
}
