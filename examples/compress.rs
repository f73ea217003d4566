//! Compress files with gzip, one file a task: `app.log` becomes `app.log.gz`.
//!
//! `compress [FILE...]`

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use procession::Pool;
use tempfile::NamedTempFile;

/// Returns the size before and after. The file passes through in small pieces, whatever its size.
fn compress_file(path: PathBuf) -> Result<(u64, u64), String> {
    let compress = || -> io::Result<(u64, u64)> {
        let mut target = path.clone().into_os_string();
        target.push(".gz");
        let mut input = File::open(&path)?;
        let file = NamedTempFile::new_in(path.parent().filter(|p| *p != "").unwrap_or(Path::new(".")))?;
        let mut encoder = GzEncoder::new(file, Compression::default());
        let size_before = io::copy(&mut input, &mut encoder)?;
        let file = encoder.finish()?;
        file.as_file().set_permissions(input.metadata()?.permissions())?;
        let size_after = file.as_file().metadata()?.len();
        // Under its name the file appears as a whole or not at all.
        file.persist(target)?;
        Ok((size_before, size_after))
    };
    compress().map_err(|e| format!("failed to compress {}: {e}", path.display()))
}

fn make_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = (1..=3).map(|i| folder.join(format!("app{i}.log"))).collect();
    for (path, lines) in paths.iter().zip([1000, 20_000, 5000]) {
        let line = |n: u32| format!("request {n} took {} ms\n", n.wrapping_mul(2_654_435_761) >> 24);
        fs::write(path, (0..lines).map(line).collect::<String>())?;
    }
    Ok(paths)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        files = make_files(folder.path())?;
    }
    for (path, outcome) in files.iter().zip(Pool::new()?.imap(compress_file, files.clone())?) {
        let name = path.file_name().unwrap_or_default().display();
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|sizes| sizes) {
            Ok((before, after)) => println!("{name}.gz: {after} bytes instead of {before}"),
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    Ok(())
}
