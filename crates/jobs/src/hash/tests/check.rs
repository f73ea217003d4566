//! Checking lists, compared with coreutils.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::hash::escape::unescape;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A folder with files that hold "abc", and lists in it.
struct Lists {
    folder: TempDir,
}

impl Lists {
    fn new() -> Lists {
        let folder = TempDir::new().unwrap();
        for name in ["a", " a", "*a", "b c", "n\nl", "b\\s", "c\rr", "x) = y", "ends\r"] {
            fs::write(folder.path().join(name), "abc").unwrap();
        }
        fs::write(folder.path().join("other"), "not abc").unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        Lists { folder }
    }

    /// Writes a list; `@` stands for the folder, `#H` for the right digest, `#h` for a wrong one.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let text = text.replace('@', str(self.folder.path())).replace("#H", ABC).replace("#h", &ABC.replace('a', "b"));
        fs::write(&path, text).unwrap();
        path
    }

    /// Asserts that we say what sha256sum says.
    fn compare(&self, flags: &[&str], lists: &[&str]) {
        let lists: Vec<String> =
            lists.iter().map(|name| self.folder.path().join(name).to_str().unwrap().to_string()).collect();
        let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
        let ended = run(&[&["-a", "sha256", "--check"], flags, &lists].concat());
        let (code, out, err) = tool("sha256sum", &[&["--check"], flags, &lists].concat());
        // Older coreutils escape a name here only if it has a newline, newer ones and we as in lists.
        assert_eq!(plain(&ended.text), plain(&out), "{flags:?}");
        assert_eq!(ended.exit_code(), code, "{flags:?} {out}{err}");
        // Why a file cannot be read is said in other words.
        let cause = |line: &&str| {
            ["No such file or directory", "Is a directory", "Not a directory", "read error"]
                .iter()
                .any(|cause| line.ends_with(cause))
        };
        let (causes, warnings): (Vec<_>, Vec<_>) =
            err.lines().map(|line| line.strip_prefix("sha256sum: ").unwrap_or(line)).partition(cause);
        let ours = ended.report.warnings();
        let (our_causes, our_warnings): (Vec<&str>, Vec<&str>) =
            ours.iter().map(String::as_str).partition(|line| line.starts_with("failed to read "));
        assert_eq!(our_warnings, warnings, "{flags:?}");
        assert_eq!(our_causes.len() + ended.failures.len(), causes.len(), "{flags:?} {ours:?} {causes:?}");
    }
}

/// A report with its names as they are.
fn plain(text: &str) -> Vec<Vec<u8>> {
    let lines = text.split('\n').map(str::as_bytes);
    lines.map(|line| line.strip_prefix(b"\\").map_or(line.to_vec(), |line| unescape(line).unwrap())).collect()
}

const FLAGS: [&[&str]; 10] = [
    &[],
    &["--quiet"],
    &["--status"],
    &["--strict"],
    &["--warn"],
    &["--ignore-missing"],
    &["--ignore-missing", "--quiet", "--strict"],
    &["--ignore-missing", "--status"],
    &["--warn", "--status", "--quiet"],
    &["--strict", "--quiet", "-w"],
];

const LINES: [&str; 53] = [
    "#H  @/a\n",
    "#H *@/a\n",
    "#H @/a\n",
    "#H\t@/a\n",
    "#H   @/a\n",
    "#H **@/a\n",
    "#H  @/a",
    "#H  @/a\r\n",
    "#H  @/a \n",
    "#H  @/other\n",
    "#h  @/a\n",
    "#h  @/gone\n",
    "#H  @/gone\n",
    "#H  @/dir\n",
    "#H  @/a/b\n",
    "#H  @/ a\n",
    "#H  @/*a\n",
    "#H  @/b c\n",
    "#H  @/b\\s\n",
    "\\#H  @/b\\\\s\n",
    "\\#H  @/n\\nl\n",
    "\\#H  @/c\\rr\n",
    "\\#H  @/ends\\r\n",
    "\\#H  @/a\n",
    "\\#H  @/gone\\\\\n",
    "\\#H  @/a\\\n",
    "\\#H  @/\\t\n",
    "\\\\#H  @/a\n",
    " \\#H  @/a\n",
    "  \t#H  @/a\n",
    "  #H *@/a\n",
    "SHA256 (@/a) = #H\n",
    "SHA256(@/a)= #H\n",
    "SHA256 (@/a)=\t #H\n",
    "SHA256 (@/x) = y) = #H\n",
    "SHA256 (@/a) = #h\n",
    "SHA256  (@/a) = #H\n",
    "SHA256 (@/a) = #H \n",
    "SHA256 (@/a) #H\n",
    "SHA256 @/a = #H\n",
    "SHA256 () = #H\n",
    "\\SHA256 (@/n\\nl) = #H\n",
    " SHA256 (@/a) = #H\n",
    "sha256 (@/a) = #H\n",
    "\n",
    "\r\n",
    "# comment\n",
    " # no comment\n",
    "nonsense\n",
    "#H\n",
    "#H \n",
    "#H  \n",
    "0#H  @/a\n",
];

#[test]
fn every_line_alone_is_taken_as_coreutils_does() {
    let lists = Lists::new();
    for line in LINES {
        lists.write("list", line);
        for flags in FLAGS {
            lists.compare(flags, &["list"]);
        }
    }
    let upper = format!("{}  {}/a\n", ABC.to_uppercase(), lists.folder.path().display());
    lists.write("list", &upper);
    lists.compare(&[], &["list"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mixed_lists_are_taken_as_coreutils_does(
        first in prop::collection::vec(0..LINES.len(), 0..8),
        second in prop::collection::vec(0..LINES.len(), 0..4),
        flags in 0..FLAGS.len(),
    ) {
        let lists = Lists::new();
        let text = |lines: Vec<usize>| lines.into_iter().map(|line| LINES[line]).collect::<String>();
        lists.write("one", &text(first));
        lists.write("two", &text(second));
        lists.compare(FLAGS[flags], &["one", "two"]);
    }
}

#[test]
fn lists_that_cannot_be_read_are_failures_and_the_others_are_checked() {
    let lists = Lists::new();
    lists.write("one", "#H  @/a\n");
    lists.write("two", "#H  @/gone\n#H  @/dir\nx\ny\n#h  @/a\n#h  @/a\n");
    lists.write("empty", "");
    for flags in FLAGS {
        lists.compare(flags, &["one", "gone", "dir", "two"]);
        lists.compare(flags, &["empty"]);
        lists.compare(flags, &["one", "empty"]);
        lists.compare(flags, &["gone"]);
    }
}

#[test]
fn the_lists_of_other_programs_are_accepted() {
    let lists = Lists::new();
    let (a, escaped) = (lists.folder.path().join("a"), lists.folder.path().join("n\nl"));
    let mut text = String::new();
    for tool_name in ["sha256sum", "sha512sum", "sha1sum", "md5sum"] {
        let words = ["--tag", str(&a), str(&escaped)];
        text += &tool(tool_name, &words).1;
        text += &tool(tool_name, &words[1..]).1;
    }
    if has_tool("openssl") {
        text += &tool("openssl", &["dgst", "-sha256", str(&a)]).1;
        text += &tool("openssl", &["dgst", "-md5", str(&a)]).1;
    }
    let lines = text.lines().count();
    lists.write("list", &text);
    let ended = run(&["--check", "--strict", str(&lists.folder.path().join("list"))]);
    assert_eq!(ended.report.warnings(), Vec::<String>::new());
    assert_eq!(ended.text.lines().filter(|line| line.ends_with(": OK")).count(), lines, "{}", ended.text);
    assert_eq!(ended.exit_code(), 0);
    if has_tool("b3sum") {
        lists.write("list", &tool("b3sum", &[str(&a)]).1);
        assert_eq!(run(&["-c", "-a", "blake3", str(&lists.folder.path().join("list"))]).exit_code(), 0);
        assert_eq!(run(&["-c", str(&lists.folder.path().join("list"))]).exit_code(), 1);
    }
}

#[test]
fn our_own_lists_are_accepted() {
    let lists = Lists::new();
    for algorithm in ["sha256", "sha512", "sha1", "md5", "blake3", "xxh3"] {
        for style in [&[][..], &["--tag"]] {
            let words = [&["-a", algorithm], style, &[str(lists.folder.path())]].concat();
            let list = TempDir::new().unwrap();
            let list = list.path().join("list");
            fs::write(&list, run(&words).text).unwrap();
            let ended = run(&["-c", "--strict", "-a", algorithm, str(&list)]);
            assert_eq!(ended.exit_code(), 0, "{}", ended.text);
            assert!(ended.text.lines().all(|line| line.ends_with(": OK")));
        }
    }
}

#[test]
fn workers_may_read_the_listed_files_only() {
    let lists = Lists::new();
    let list = lists.write("list", "#H  @/a\n#H  @/gone\n");
    let access = Hash::new(args(&["-c", str(&list)]), 2).plan(&FilesAhead::default()).unwrap().access;
    assert_eq!(access.read, [lists.folder.path().join("a"), lists.folder.path().join("gone")]);
    let list = lists.write("list", "#H  -\n");
    assert_eq!(
        Hash::new(args(&["-c", str(&list)]), 2).plan(&FilesAhead::default()).unwrap().access.read,
        Vec::<PathBuf>::new()
    );
}

#[test]
fn the_json_counts_and_names() {
    let lists = Lists::new();
    let list = lists.write("list", "#H  @/a\n#h  @/a\n#H  @/gone\nnonsense\n");
    let ended = run(&["-c", str(&list)]);
    let path = |name| lists.folder.path().join(name).to_str().unwrap().to_string();
    assert_eq!(
        ended.report.json(),
        json!({ "ok": 1, "mismatched": 1, "unreadable": 1, "malformed": 1, "files": [
            { "path": path("a"), "status": "ok" },
            { "path": path("a"), "status": "mismatched" },
            { "path": path("gone"), "status": "unreadable" },
        ] })
    );
    assert_eq!(ended.report.table().rows[1], ["mismatched", &path("a")]);
    assert!(ended.failures.is_empty());
    assert!(ended.report.warnings()[0].ends_with("gone`: no such file or directory"));
}

#[test]
fn what_was_not_checked_is_bad() {
    let lists = Lists::new();
    let list = lists.write("list", "#H  @/a\n#H  @/a\n");
    let mut job = Hash::new(args(&["-c", str(&list)]), 2);
    let Some(Planned::Task(item, task)) = job.plan(&FilesAhead::default()).unwrap().tasks.next() else {
        panic!("no task")
    };
    let done = Hash::run(job.context(), task).unwrap();
    job.fold(&item, done).unwrap();
    let report = job.report();
    assert!(report.is_bad());
    assert_eq!(report.warnings(), ["WARNING: 1 listed file was not checked"]);
}

#[test]
fn what_was_given_up_is_not_said_to_be_unreadable() {
    let lists = Lists::new();
    let list = lists.write("list", "#H  @/a\n#H  @/a\n");
    for (kind, warning) in [
        (FailedKind::Cancelled, "WARNING: 2 listed files were not checked"),
        (FailedKind::Crashed, "WARNING: 2 listed files could not be read"),
    ] {
        let mut job = Hash::new(args(&["-c", str(&list)]), 2);
        for planned in job.plan(&FilesAhead::default()).unwrap().tasks {
            let Planned::Task(item, _) = planned else { panic!("no task") };
            job.fold_failure(&item, kind);
        }
        let report = job.report();
        assert!(report.is_bad());
        assert_eq!(report.warnings(), [warning]);
    }
}
