//! `procession logs`: what it counts in what.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Lab, Run};

const TEXT: &str = "a ERROR\nb\nc WARN\n";

/// [`TEXT`], compressed by gzip, zstd, xz and bzip2.
const PACKED: [(&str, &str); 4] = [
    ("a.gz", "1f8b08000000000000034b54700d0af20fe24ae24a5608770cf2e30200b039701f11000000"),
    ("a.zst", "28b52ffd241189000061204552524f520a620a63205741524e0a96248626"),
    (
        "a.xz",
        "fd377a585a000004e6d6b4460200210116000000742fe5a301001061204552524f520a620a63205741524e0a000000007a0ee1de0c291e2100012911320a700e1fb6f37d010000000004595a",
    ),
    (
        "a.bz2",
        "425a6839314159265359a98a48bd0000075700001040002201908038002000229806d4201a69a26d20caf09c93fc2ee48a70a1215314917a",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The total of all lines, and of the first pattern's.
fn totals(run: &Run) -> (Value, Value) {
    let result = &run.json()["result"];
    (result["lines"].clone(), result["patterns"][0]["lines"].clone())
}

fn count(lab: &Lab, paths: &[&str]) -> (Value, Value) {
    totals(&lab.run([&["logs", "--format", "json", "-e", "ERROR|WARN", "--"], paths].concat()).expect(0))
}

#[test]
fn files_and_folders_are_counted_one_by_one() {
    let lab = Lab::new();
    lab.file("a.log", TEXT);
    lab.file("d/e/b.log", "ERROR");
    lab.file("d/c.txt", TEXT);
    lab.file("empty", "");
    fs::create_dir(lab.path("nothing")).unwrap();
    let run = lab.run(["logs", "-e", "ERROR|WARN", "-e", "warn=WARN", "a.log", "d", "empty", "nothing"]).expect(0);
    assert_eq!(
        run.out(),
        "path              lines  ERROR|WARN  warn\n\
         a.log                 3           2     1\n\
         d/c.txt               3           2     1\n\
         d/e/b.log             1           1     0\n\
         empty                 0           0     0\n\
         total of 4 files      7           5     2\n"
    );
    assert_eq!(run.messages(), [""; 0]);
    let chosen = lab.run(["logs", "--format", "csv", "-e", "WARN", "--include", "*.log", "--exclude", "nothing/", "."]);
    assert_eq!(chosen.expect(0).out(), "path,lines,WARN\n./a.log,3,1\n./d/e/b.log,1,0\n");
}

#[test]
fn compressed_files_are_read_through_one_member_after_the_other() {
    let lab = Lab::new();
    for (name, hex) in PACKED {
        let packed = bytes(hex);
        lab.file(name, [packed.clone(), packed.clone()].concat());
        assert_eq!(count(&lab, &[name]), (json!(6), json!(4)), "{name}");
        let run = lab.run_with_input(["logs", "--format", "json", "-e", "ERROR|WARN", "-"], &packed).expect(0);
        assert_eq!(totals(&run), (json!(3), json!(2)), "{name} on standard input");
    }
}

#[test]
fn a_truncated_archive_costs_only_itself() {
    let lab = Lab::new();
    for (name, hex) in PACKED {
        let packed = bytes(hex);
        lab.file(name, &packed[..packed.len() - 5]);
        lab.file("whole", TEXT);
        let run = lab.run(["logs", "--format", "json", "-e", "ERROR|WARN", name, "whole"]).expect(1);
        assert_eq!(totals(&run), (json!(3), json!(2)), "{name}");
        let failure = &run.json()["failures"][0];
        assert_eq!(
            (&failure["input"], &failure["kind"], &failure["task"]),
            (&json!(name), &json!("failed"), &json!(0))
        );
        let message = format!("failed to decompress `{name}`: ");
        assert!(run.messages().len() == 1 && run.err.contains(&message), "{}", run.err);
    }
}

#[test]
fn standard_input_and_process_substitutions_are_read() {
    let lab = Lab::new();
    lab.file("a.log", TEXT);
    let run = lab.run_with_input(["logs", "-e", "ERROR", "-"], TEXT.as_bytes()).expect(0);
    assert!(run.out().contains("-                    3      1\n"), "{}", run.out());
    let run = lab.shell("$P logs --format json -e 'ERROR|WARN' <(cat a.log a.log) <(gzip -c a.log) a.log").expect(0);
    assert_eq!(totals(&run), (json!(12), json!(8)));
    // One that is closed, and one that is a file.
    lab.shell("$P logs - <&-").expect(0);
    assert_eq!(totals(&lab.shell("$P logs --format json -e WARN - < a.log").expect(0)), (json!(3), json!(1)));
}

#[test]
fn a_line_is_what_ends_with_a_line_feed() {
    let lab = Lab::new();
    for (text, lines, matches) in [
        (&b""[..], 0, 0),
        (b"\n", 1, 0),
        (b"ERROR", 1, 1),
        (b"ERROR\r\nERROR ERROR\r\n\r\n", 3, 2),
        (b"\0ERROR\0\n\0\n", 2, 1),
        (b"\xff\xfeERROR\xc3\n\xe2\x82\nWARN", 3, 2),
    ] {
        lab.file("text", text);
        assert_eq!(count(&lab, &["text"]), (json!(lines), json!(matches)), "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_done() {
    let lab = Lab::new();
    lab.file("a.log", TEXT);
    let run = lab.run(["logs", "-e", "WARN", "gone", "a.log/below", "a.log", "/proc/self/mem"]).expect(1);
    assert_eq!(
        run.messages(),
        [
            "procession logs: failed to read `gone`: no such file or directory",
            "procession logs: failed to read `a.log/below`: not a directory",
            "procession logs: failed to read `/proc/self/mem`: input/output error",
        ]
    );
    assert!(run.out().contains("a.log                3     1\n"), "{}", run.out());
    assert!(run.err.contains("1 of 4 tasks done") && run.err.contains(", 3 failed"), "{}", run.err);
    // Also if it was the only one.
    lab.run(["logs", "gone"]).expect(1);
}

#[test]
fn bad_patterns_end_with_2_before_any_work_and_name_the_flag() {
    let lab = Lab::new();
    for (args, message) in [
        (&["-e", "a(b"][..], "failed to read the regex `a(b` of -e: unclosed group at character 2"),
        (
            &["-e", r"x\p{Nope}"],
            r"failed to read the regex `x\p{Nope}` of -e: Unicode property not found at character 2",
        ),
        (
            &["-e", "a=x", "-e", "a=y"],
            "failed to read `-e`: two patterns are named `a`; give one another name with -e NAME=REGEX",
        ),
        (&["-e", r"a\nb"], r"failed to read the regex `a\nb` of -e: a pattern is matched within one line"),
        (&["--include", "["], "failed to read `--include [`: "),
    ] {
        let run = lab.run([&["logs", "-o", "report"], args, &["gone"]].concat()).expect(2);
        assert_eq!(run.messages().len(), 1, "{}", run.err);
        assert!(run.err.starts_with(&format!("procession logs: {message}")), "{}", run.err);
        assert!(run.out.is_empty() && lab.names(".").is_empty());
    }
}

#[test]
fn names_of_patterns_are_split_at_the_first_equals_sign() {
    let lab = Lab::new();
    lab.file("text", "x=y\n-x\n");
    let run = lab.run(["logs", "--format", "json", "-e", "=x=y", "-e", "n=x", "-e", "-x", "text"]).expect(0);
    assert_eq!(
        run.json()["result"]["patterns"],
        json!([
            { "name": "x=y", "regex": "x=y", "lines": 1 },
            { "name": "n", "regex": "x", "lines": 2 },
            { "name": "-x", "regex": "-x", "lines": 1 },
        ])
    );
}

#[test]
fn samples_are_shown_where_asked_for() {
    let lab = Lab::new();
    lab.file("a.log", "one ERROR \x1b[31m\nno\ntwo ERROR\nthree ERROR\n");
    let run = lab.run(["logs", "-e", "ERROR", "--show", "2", "--count-only", "a.log"]).expect(0);
    assert_eq!(
        run.out(),
        "path             ERROR\n\
         a.log                3\n\
         total of 1 file      3\n\
         \n\
         first lines that match ERROR:\n\
         a.log:0: one ERROR \\u{1b}[31m\n\
         a.log:19: two ERROR\n"
    );
    let run = lab.run(["logs", "-e", "ERROR", "--show", "1", "--format", "json", "a.log"]).expect(0);
    let sample = json!({ "pattern": "ERROR", "path": "a.log", "offset": 0, "line": "one ERROR \u{1b}[31m" });
    assert_eq!(run.json()["result"]["samples"], json!([sample]));
}

#[test]
fn however_many_lines_are_to_be_shown_they_take_bounded_memory() {
    let lab = Lab::new();
    for file in ["a", "b", "c"] {
        lab.file(file, "E\n".repeat(3000));
    }
    // Each of 64 patterns has room for a MiB.
    let others = (1..64).flat_map(|number| ["-e".to_string(), format!("none{number}")]);
    let args: Vec<String> = ["logs", "a", "b", "c", "-e", "E"].iter().map(ToString::to_string).chain(others).collect();
    let shown = |flags: &[&str]| lab.run(args.iter().map(String::as_str).chain(flags.iter().copied())).expect(0);
    let json = shown(&["--show", "99999999", "--format", "json"]).json();
    let (result, samples) = (&json["result"], json["result"]["samples"].as_array().unwrap());
    assert_eq!((&result["patterns"][0]["lines"], &result["has_all_samples"]), (&json!(9000), &json!(false)));
    assert!((6000..9000).contains(&samples.len()), "{}", samples.len());
    // They are the first ones.
    let of = |file: &str| samples.iter().filter(|sample| sample["path"] == file).count();
    assert_eq!((of("a"), of("b"), of("c")), (3000, 3000, samples.len() - 6000));
    let last = "\nthe next ones are not shown: samples take 64 MiB of memory at most\n";
    let run = shown(&["--show", "99999999", "-j", "3"]);
    assert!(run.out().ends_with(last) && run.out().matches(": E\n").count() == samples.len());
    // As many as were asked for are all.
    let run = shown(&["--show", "5000", "--format", "json"]);
    assert_eq!(run.json()["result"]["has_all_samples"], true);
    // One task alone, of lines that cannot be read.
    lab.file("u", "u\n".repeat(400_000));
    let run = lab.run(["logs", "--parse", "json", "--show-unparsed", "99999999", "u"]).expect(0);
    assert!(run.out().ends_with(last) && (200_000..400_000).contains(&run.out().matches(": u\n").count()));
}

#[test]
fn a_huge_file_is_split_and_counts_as_with_grep() {
    let lab = Lab::new();
    let mut log = File::create(lab.path("big.log")).unwrap();
    let mut block = Vec::new();
    for line in 0..40_000_u32 {
        let level = if line.wrapping_mul(2_654_435_761) >> 28 == 0 { "ERROR" } else { "INFO" };
        writeln!(block, "{line} {level} {}", "x".repeat(line as usize % 97)).unwrap();
    }
    for _ in 0..15 {
        log.write_all(&block).unwrap();
    }
    log.write_all(b"no line end ERROR").unwrap();
    let grep = Command::new("grep").args(["-c", "ERROR"]).arg(lab.path("big.log")).output().unwrap();
    let expected: u64 = std::str::from_utf8(&grep.stdout).unwrap().trim().parse().unwrap();
    let run = lab.run(["logs", "-j", "3", "--format", "json", "-e", "ERROR", "big.log"]).expect(0);
    assert_eq!(totals(&run), (json!(15 * 40_000 + 1), json!(expected)));
    assert!(run.json()["tasks"].as_u64() > Some(2), "{}", run.err);
    let run = lab.shell("$P logs --format json -e ERROR - < big.log").expect(0);
    assert_eq!(totals(&run), (json!(15 * 40_000 + 1), json!(expected)));
}

#[test]
fn names_that_are_no_utf8_are_shown_as_far_as_they_can_be() {
    let lab = Lab::new();
    let name = OsStr::from_bytes(b"caf\xe9\n\x1b.log");
    lab.file(name, TEXT);
    let args = |format: &str| -> Vec<OsString> {
        ["logs", "-e", "WARN", "--format", format].iter().map(OsString::from).chain([name.into()]).collect()
    };
    let run = lab.run(args("json")).expect(0);
    assert_eq!(run.json()["result"]["files"][0]["path"], "caf\u{fffd}\n\u{1b}.log");
    let run = lab.run(args("table")).expect(0);
    assert!(run.out().contains("\ncaf\u{fffd}\\n\\u{1b}.log "), "{}", run.out());
    fs::remove_file(lab.path(name)).unwrap();
    let run = lab.run(args("table")).expect(1);
    assert_eq!(
        run.messages(),
        ["procession logs: failed to read `caf\u{fffd}\\n\\u{1b}.log`: no such file or directory"]
    );
}

#[test]
fn thousands_of_small_files_are_counted() {
    let lab = Lab::new();
    for number in 0..5000 {
        lab.file(format!("{}/{number}.log", number % 7), TEXT);
    }
    assert_eq!(count(&lab, &["."]), (json!(15_000), json!(10_000)));
    let run = lab.run(["logs", "-e", "ERROR", "."]).expect(0);
    assert_eq!(run.out().lines().count(), 1 + 50 + 1 + 1);
    assert!(run.out().ends_with("4950 more files with fewer matches are not shown\n"));
}

#[test]
fn links_in_circles_and_fifos_inside_folders_are_passed_over() {
    let lab = Lab::new();
    lab.file("d/a.log", TEXT);
    std::os::unix::fs::symlink("..", lab.path("d/up")).unwrap();
    std::os::unix::fs::symlink("itself", lab.path("d/itself")).unwrap();
    assert!(Command::new("mkfifo").arg(lab.path("d/fifo")).status().unwrap().success());
    assert_eq!(count(&lab, &["d"]), (json!(3), json!(2)));
    let run = lab.run(["logs", "d/itself"]).expect(1);
    assert_eq!(run.messages(), ["procession logs: failed to read `d/itself`: too many levels of symbolic links"]);
}
