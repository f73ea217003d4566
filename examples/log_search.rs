//! Count the lines with ERROR or WARN in log files, one file a task.
//!
//! `log_search [FILE...]`

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use procession::Pool;
use regex::bytes::Regex;

/// Compiled once in each worker. It searches bytes: a line that is not UTF-8 is no reason to give up a log.
static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new("ERROR|WARN").expect("the pattern is correct"));

fn search_log_pattern(path: PathBuf) -> Result<usize, String> {
    let count = || -> io::Result<usize> {
        let mut log = BufReader::new(File::open(&path)?);
        let (mut count, mut line) = (0, Vec::new());
        while log.read_until(b'\n', &mut line)? > 0 {
            count += usize::from(PATTERN.is_match(&line));
            line.clear();
        }
        Ok(count)
    };
    count().map_err(|e| format!("failed to read {}: {e}", path.display()))
}

/// Three logs, and the name of a fourth that does not exist.
fn make_logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = (1..=4).map(|i| folder.join(format!("log{i}.txt"))).collect();
    for (i, path) in paths[..3].iter().enumerate() {
        let level = |line: usize| match line % (10 * (i + 1)) {
            3 => "ERROR",
            7 => "WARN",
            _ => "INFO",
        };
        let line = |n: usize| format!("2026-01-01T00:00:{:02} {} request {n}\n", n % 60, level(n));
        fs::write(path, (0..6000).map(line).collect::<String>())?;
    }
    Ok(paths)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let mut log_files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if log_files.is_empty() {
        log_files = make_logs(folder.path())?;
    }

    let mut total = 0;
    for (path, outcome) in log_files.iter().zip(Pool::new()?.imap(search_log_pattern, log_files.clone())?) {
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|count| count) {
            Ok(count) => {
                println!("{}: {count}", path.file_name().unwrap_or_default().display());
                total += count;
            }
            Err(problem) => println!("Not counted: {problem}"),
        }
    }
    println!("Total Errors/WARNs: {total}");
    Ok(())
}
