//! Large files, cut into pieces for BLAKE3.

use std::fs;

use tempfile::TempDir;

use super::*;

const SPLIT: Split = Split { workers: 2, from_bytes: 4096, min_bytes: 2048, max_bytes: 8192 };

fn file(bytes: usize) -> (TempDir, std::path::PathBuf, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large");
    let content: Vec<u8> = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    (folder, path, blake3::hash(&content).to_string())
}

#[test]
fn pieces_give_the_same_digest_as_the_whole() {
    for bytes in [4095, 4096, 4097, 6144, 8193, 65_536, 65_537, 200_000] {
        let (_folder, path, digest) = file(bytes);
        let ended = run_split(&["-a", "blake3", str(&path)], SPLIT);
        assert_eq!(ended.text, format!("{digest}  {}\n", path.display()));
        assert_eq!(ended.report.json()["files"][0]["bytes"], bytes);
        assert!(!ended.report.is_bad());
    }
}

#[test]
fn only_blake3_is_cut() {
    let (_folder, path, _) = file(100_000);
    for (algorithm, tasks) in [("sha256", 1), ("xxh3", 1), ("blake3", 13)] {
        let plan = Hash::with_split(args(&["-a", algorithm, str(&path)]), SPLIT).plan(&FilesAhead::default()).unwrap();
        let bytes: Vec<u64> = plan
            .tasks
            .map(|planned| match planned {
                Planned::Task(item, _) => item.bytes,
                Planned::Failed(_, error) => panic!("{error}"),
            })
            .collect();
        assert_eq!((bytes.len(), bytes.iter().sum::<u64>()), (tasks, 100_000), "{algorithm}");
    }
}

/// Also when it is replaced by one of the same length: a digest of half of each would be wrong for both.
#[test]
fn a_file_that_changes_between_pieces_is_an_error() {
    for same_length in [false, true] {
        let (folder, path, _) = file(100_000);
        let ended = run_job(Hash::with_split(args(&["-a", "blake3", str(&path)]), SPLIT), |task| {
            if task == 5 {
                let other = folder.path().join("other");
                fs::write(&other, vec![7; if same_length { 100_000 } else { 99_999 }]).unwrap();
                fs::rename(other, &path).unwrap();
            }
        });
        assert_eq!(ended.text, "");
        assert_eq!(ended.failures.len(), 8);
        assert!(ended.failures[0].ends_with("it changed in the meantime"));
        assert!(!ended.report.is_bad(), "the failures say it");
    }
}

#[test]
fn large_files_of_a_list_are_cut_too() {
    let (folder, path, digest) = file(100_000);
    let list = folder.path().join("list");
    fs::write(&list, format!("BLAKE3 ({0}) = {digest}\nBLAKE3 ({0}) = {1}\n", path.display(), "0".repeat(64))).unwrap();
    let ended = run_split(&["-c", str(&list)], SPLIT);
    assert_eq!(ended.text, format!("{0}: OK\n{0}: FAILED\n", path.display()));
    let ended = run_job(Hash::with_split(args(&["-c", str(&list)]), SPLIT), |task| {
        if task == 3 {
            fs::write(&path, "short").unwrap();
        }
    });
    // The second line is planned when the file is short already.
    assert_eq!(ended.text, format!("{0}: FAILED open or read\n{0}: FAILED\n", path.display()));
    assert_eq!(ended.failures, Vec::<String>::new());
}
