//! SHA-256 of files, one file a task.
//!
//! `hash_files [FILE...]`

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use procession::Pool;
use sha2::{Digest, Sha256};

fn hash_file(path: PathBuf) -> Result<String, String> {
    let hash = || -> io::Result<String> {
        let mut file = BufReader::with_capacity(64 << 10, File::open(&path)?);
        let mut hasher = Sha256::new();
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            hasher.update(bytes);
            let len = bytes.len();
            file.consume(len);
        }
    };
    hash().map_err(|e| format!("failed to read {}: {e}", path.display()))
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        files = ["file1.txt", "file2.txt", "file3.txt"].map(|name| folder.path().join(name)).to_vec();
        for (path, text) in files.iter().zip(["", "abc", &"a".repeat(1_000_000)]) {
            fs::write(path, text)?;
        }
    }
    // A pool has as many processes as there are cores, however many files there are.
    for (path, outcome) in files.iter().zip(Pool::new()?.imap(hash_file, files.clone())?) {
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|hash| hash) {
            Ok(hash) => println!("{}: {hash}", path.file_name().unwrap_or_default().display()),
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    Ok(())
}
