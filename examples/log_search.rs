//! Count the lines with ERROR or WARN in log files: what `procession logs` does, as a call.
//!
//! `log_search [FILE...]`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use procession_jobs::logs::{LogsArgs, LogsJob};
use procession_jobs::{Interrupt, Options, Records};

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
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        paths = make_logs(folder.path())?;
    }

    let options = Options::default();
    let args = LogsArgs { paths, matches: vec!["found=ERROR|WARN".into()], count_only: true, ..LogsArgs::default() };
    let job = LogsJob::new(args, options.workers)?;
    let finished = procession_jobs::run(job, &options, &Records::default(), &Interrupt::default(), &mut ())?;

    // A file's name, its lines, and those with each of the patterns.
    for row in finished.report.table().rows {
        println!("{}: {}", Path::new(&row[0]).file_name().unwrap_or_default().display(), row[2]);
    }
    for failed in &finished.summary.failures {
        println!("Not counted: {}", failed.message);
    }
    println!("Total Errors/WARNs: {}", finished.report.json()["patterns"][0]["lines"]);
    Ok(())
}
