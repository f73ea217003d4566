//! `procession hash`: lists that others accept, and lists of others.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

use crate::common::Lab;

/// Some files with names that are hard to write into a list.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.file("d/a b", "a");
    lab.file("d/back\\slash", "b");
    lab.file("d/new\nline", "c");
    lab.file("d/ret\rurn", "d");
    lab.file("d/empty", "");
    lab.file(OsStr::from_bytes(b"d/caf\xe9"), "e");
    lab
}

#[test]
fn coreutils_accepts_all_our_lists_and_prints_the_same() {
    for algorithm in ["sha256", "sha512", "sha1", "md5"] {
        let lab = lab();
        let line = |flags: &str| format!("$P hash -q -a {algorithm} {flags} d");
        lab.shell(&format!("{} > sums && {algorithm}sum -c --strict --quiet sums", line(""))).expect(0);
        lab.shell(&format!("{} > tags && {algorithm}sum -c --strict --quiet tags", line("--tag"))).expect(0);
        for flags in ["", "--tag", "-z", "-z --tag"] {
            lab.shell(&format!("cmp <({} | sort) <({algorithm}sum {flags} d/* | sort)", line(flags))).expect(0);
        }
        lab.run(["hash", "--check", "--strict", "sums", "tags"]).expect(0);
    }
}

#[test]
fn known_digests_of_the_algorithms_that_coreutils_lacks() {
    let lab = Lab::new();
    lab.file("abc", "abc");
    let sum = |args: &[&str]| lab.run([&["hash", "-q"], args, &["abc"]].concat()).expect(0).out().to_string();
    let blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(sum(&["-a", "blake3"]), format!("{blake3}  abc\n"));
    assert_eq!(sum(&["-a", "blake3", "--tag"]), format!("BLAKE3 (abc) = {blake3}\n"));
    assert_eq!(sum(&["-a", "xxh3"]), "XXH3_78af5f94892f3950  abc\n");
    for algorithm in ["blake3", "xxh3"] {
        fs::write(lab.path("list"), sum(&["-a", algorithm])).unwrap();
        lab.run(["hash", "--check", "-a", algorithm, "list"]).expect(0);
    }
    let run = lab.run_with_input(["hash", "-q", "-a", "md5", "-"], b"abc").expect(0);
    assert_eq!(run.out(), "900150983cd24fb0d6963f7d28e17f72  -\n");
}

#[test]
fn checking_prints_and_ends_as_coreutils_does() {
    let lab = lab();
    // No backslash: older ones print it as it is.
    lab.shell("cd d && sha256sum 'a b' empty $'new\\nline' > ../ok").expect(0);
    lab.shell("cp ok mismatch && sed -i '1s/^[0-9a-f]/z/; 2s/e3b0/ffff/' mismatch").expect(0);
    lab.shell("(cat ok; echo 'no such line'; sed -n '2s/empty/gone/p' ok) > mixed").expect(0);
    lab.shell("sed -n '2s/empty/gone/p' ok > missing; echo junk > junk; : > nothing").expect(0);
    for list in ["ok", "mismatch", "mixed", "missing", "junk", "nothing", "absent", "ok ../missing", "junk ../ok"] {
        for flags in [
            "",
            "--quiet",
            "--status",
            "--warn",
            "--strict",
            "--ignore-missing",
            "--ignore-missing --quiet",
            "--ignore-missing --strict",
            "--strict --status",
            "--quiet --status",
        ] {
            let theirs = lab.shell(&format!("cd d && sha256sum -c {flags} ../{list}"));
            let ours = lab.shell(&format!("cd d && $P hash -c {flags} ../{list}"));
            assert_eq!(ours.code, theirs.code, "{flags} {list}: {ours:?} {theirs:?}");
            assert_eq!(ours.out(), theirs.out(), "{flags} {list}");
            // The totals, without the name of the program before them.
            let totals = |err: &str| -> Vec<String> {
                let lines = err.lines().filter_map(|line| line.find("WARNING").map(|at| line[at..].to_string()));
                lines.collect()
            };
            assert_eq!(totals(&ours.err), totals(&theirs.err), "{flags} {list}");
        }
    }
}

#[test]
fn a_list_on_standard_input_is_checked() {
    let lab = lab();
    lab.shell("sha256sum d/empty | $P hash --check -").expect(0);
    lab.shell("echo '  nothing' | $P hash --check -").expect(1);
}

#[test]
fn a_huge_file_has_the_same_blake3_in_pieces() {
    let lab = Lab::new();
    // Not a multiple of anything.
    File::create(lab.path("huge")).unwrap().set_len((40 << 20) + 12_345).unwrap();
    let sum =
        |workers: &str| lab.run(["hash", "-j", workers, "-a", "blake3", "--format", "json", "huge"]).expect(0).json();
    let (whole, pieces) = (sum("1"), sum("3"));
    assert_eq!((whole["tasks"].as_u64(), pieces["tasks"].as_u64()), (Some(1), Some(3)));
    assert_eq!(whole["result"], pieces["result"]);
    assert_eq!(whole["result"]["files"][0]["bytes"], (40 << 20) + 12_345);
}

#[test]
fn the_list_is_in_the_order_of_the_walk() {
    let lab = Lab::new();
    for number in 0..500 {
        lab.file(format!("d/{number:03}"), vec![b'x'; (499 - number) * 100]);
    }
    let run = lab.run(["hash", "-j", "4", "d"]).expect(0);
    let names: Vec<&str> = run.out().lines().map(|line| &line[line.len() - 3..]).collect();
    assert!(names.len() == 500 && names.is_sorted());
}

#[test]
fn what_cannot_be_read_is_a_failed_task() {
    let lab = lab();
    let run = lab.run(["hash", "gone", "d/empty", "d/empty/below"]).expect(1);
    assert_eq!(run.out(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  d/empty\n");
    assert_eq!(
        run.messages(),
        [
            "procession hash: failed to read `gone`: no such file or directory",
            "procession hash: failed to read `d/empty/below`: not a directory",
        ]
    );
    let nothing: [OsString; 3] = ["hash".into(), "--include".into(), "*.none".into()];
    assert_eq!(lab.run(nothing.into_iter().chain(["d".into()])).expect(0).out(), "");
}
