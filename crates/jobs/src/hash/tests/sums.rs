//! Hashing: lines that the usual programs write and accept.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const TOOLS: [(&str, &str); 5] =
    [("sha256", "sha256sum"), ("sha512", "sha512sum"), ("sha1", "sha1sum"), ("md5", "md5sum"), ("blake3", "b3sum")];

/// Files of many lengths and names.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let names = ["a", "b c", "d\ne", "f\\n", "g\rh", " i", "*j", "k) = 0", "ü"];
    for (number, name) in names.iter().enumerate() {
        let bytes: Vec<u8> = (0..number * 40_000).map(|i| (i * 7 % 253) as u8).collect();
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::write(folder.path().join(OsStr::from_bytes(b"l\xff")), "raw").unwrap();
    folder
}

fn file_names(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn lines_are_those_of_coreutils_byte_for_byte() {
    let folder = folder();
    for (algorithm, tool) in &TOOLS[..4] {
        for style in [&[][..], &["--tag"], &["-z"], &["--tag", "-z"]] {
            let expected = Command::new(tool).args(style).args(file_names(&folder)).output().unwrap().stdout;
            let ended = run(&[&["-a", algorithm], style, &[str(folder.path())]].concat());
            let mut text = Vec::new();
            ended.report.text(&mut text).unwrap();
            assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&expected));
            assert!(text == expected);
            assert_eq!(ended.exit_code(), 0);
        }
    }
}

#[test]
fn the_usual_programs_accept_our_lists() {
    let folder = folder();
    let list = TempDir::new().unwrap();
    let list = list.path().join("list");
    // b3sum knows no names that are not UTF-8 and no escaped carriage return.
    for (algorithm, tool) in TOOLS.into_iter().filter(|(_, tool)| has_tool(tool)) {
        for style in [&[][..], &["--tag"]] {
            if algorithm == "blake3" && !style.is_empty() {
                continue;
            }
            let files = file_names(&folder);
            let plain =
                |path: &&std::path::PathBuf| tool != "b3sum" || !path.to_string_lossy().contains(['\r', '\u{fffd}']);
            let mut words = vec!["-a", algorithm];
            words.extend(style);
            let ended = run_raw(&words, &files.iter().filter(plain).collect::<Vec<_>>());
            let mut text = fs::File::create(&list).unwrap();
            ended.report.text(&mut text).unwrap();
            let (code, out, err) = super::tool(tool, &["--check", str(&list)]);
            assert_eq!(code, 0, "{tool} {style:?}: {out}{err}");
            assert_eq!(err, "");
        }
    }
}

fn run_raw(words: &[&str], paths: &[&std::path::PathBuf]) -> Ended {
    let mut args = args(&[words, &["-"]].concat());
    args.paths = paths.iter().map(|path| (*path).clone()).collect();
    run_job(Hash::new(args, 2), |_| {})
}

#[test]
fn tags_name_the_algorithm() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "abc").unwrap();
    let path = str(&path);
    let blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(run(&["-a", "blake3", "--tag", path]).text, format!("BLAKE3 ({path}) = {blake3}\n"));
    assert_eq!(run(&["-a", "xxh3", "--tag", path]).text, format!("XXH3 ({path}) = 78af5f94892f3950\n"));
    assert_eq!(run(&["-a", "xxh3", path]).text, format!("XXH3_78af5f94892f3950  {path}\n"));
    assert_eq!(run(&["-a", "xxh3", "-z", path]).text, format!("XXH3_78af5f94892f3950  {path}\0"));
}

#[test]
fn one_bad_file_costs_one_file() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    fs::write(&first, "1").unwrap();
    fs::write(&second, "22").unwrap();
    let gone = folder.path().join("gone");
    let ended = run(&["-a", "md5", str(&second), str(&gone), str(&first)]);
    let (two, one) = ("b6d767d2f8ed5d21a44b0e5886680cb9", "c4ca4238a0b923820dcc509a6f75849b");
    assert_eq!(ended.text, format!("{two}  {}\n{one}  {}\n", second.display(), first.display()));
    assert_eq!(ended.failures, [format!("failed to read `{}`: no such file or directory", gone.display())]);
    assert_eq!(
        ended.report.json(),
        json!({ "algorithm": "md5", "files": [
            { "path": str(&second), "bytes": 2, "digest": two },
            { "path": str(&first), "bytes": 1, "digest": one },
        ] })
    );
    let table = ended.report.table();
    assert_eq!(table.header, ["digest", "bytes", "path"]);
    assert_eq!(table.rows[1], [one, "1", str(&first)]);
}

#[test]
fn what_only_the_program_has_open_is_hashed_by_it() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::File::options().write(true).open(fifo).unwrap().write_all(b"abc").unwrap()
    });
    let ended = run(&["-a", "md5", str(&fifo)]);
    writer.join().unwrap();
    assert_eq!(ended.text, format!("900150983cd24fb0d6963f7d28e17f72  {}\n", fifo.display()));
}

#[test]
fn files_without_a_length_are_read_to_their_end() {
    let (_, expected, _) = tool("sha256sum", &["/proc/version"]);
    assert_eq!(run(&["/proc/version"]).text, expected);
}

#[test]
fn a_file_that_changes_its_length_is_an_error() {
    for changed in [&b""[..], b"ab", b"abcd"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let ended = run_job(Hash::new(args(&[str(&path)]), 2), |_| fs::write(&path, changed).unwrap());
        assert_eq!(ended.text, "");
        assert_eq!(ended.failures, [format!("failed to hash `{}`: it changed in the meantime", path.display())]);
    }
}

#[test]
fn what_takes_an_empty_files_place_has_no_digest_of_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let fifo = || rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0);
    let device = || std::os::unix::fs::symlink("/dev/null", &path);
    for replace in [&|| fifo().unwrap(), &|| device().unwrap()] as [&dyn Fn(); 2] {
        let _ = fs::remove_file(&path);
        fs::write(&path, "").unwrap();
        let ended = run_job(Hash::new(args(&[str(&path)]), 2), |_| {
            fs::remove_file(&path).unwrap();
            replace();
        });
        assert_eq!(ended.text, "");
        assert_eq!(ended.failures, [format!("failed to hash `{}`: it changed in the meantime", path.display())]);
    }
}

#[test]
fn workers_may_read_the_named_paths_only() {
    let folder = TempDir::new().unwrap();
    let access = Hash::new(args(&["-", str(folder.path())]), 2).plan(&FilesAhead::default()).unwrap().access;
    assert_eq!(access.read, [folder.path()]);
    assert!(access.write.is_empty());
}
