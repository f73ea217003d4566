//! Pack folders into `.tar.gz` archives, one folder a task. The same files give the same bytes, whoever packs them.
//!
//! `package_artifacts [FOLDER...]`: `build/web` becomes `build/web.tar.gz`.

use std::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use procession::Pool;
use tar::HeaderMode;
use tempfile::NamedTempFile;

type Archive = tar::Builder<GzEncoder<NamedTempFile>>;

/// Returns the archive's path, and how many files it holds.
fn package(folder: PathBuf) -> Result<(PathBuf, usize), String> {
    let pack = || -> io::Result<(PathBuf, usize)> {
        // Resolves `.` and `..`, which are no names for an archive.
        let folder = folder.canonicalize()?;
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut target = folder.clone().into_os_string();
        target.push(".tar.gz");
        let parent = folder.parent().unwrap_or(Path::new("/"));
        let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(parent)?;
        let mut archive = Archive::new(GzEncoder::new(file, Compression::default()));
        // No owners and times of modification, and links stay links.
        archive.mode(HeaderMode::Deterministic);
        archive.follow_symlinks(false);
        let files = append(&mut archive, &folder, Path::new(name))?;
        // Under its name the archive appears as a whole or not at all.
        archive.into_inner()?.finish()?.persist(&target)?;
        Ok((target.into(), files))
    };
    pack().map_err(|e| format!("failed to pack {}: {e}", folder.display()))
}

/// Adds a folder and all below it, sorted by name; returns the number of files.
fn append(archive: &mut Archive, folder: &Path, name: &Path) -> io::Result<usize> {
    archive.append_dir(name, folder)?;
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    let mut files = 0;
    for entry in entries {
        let name = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files += append(archive, &entry.path(), &name)?;
        } else {
            archive.append_path_with_name(entry.path(), name)?;
            files += 1;
        }
    }
    Ok(files)
}

fn make_folders(scratch: &Path) -> io::Result<Vec<PathBuf>> {
    let folders: Vec<PathBuf> = ["api", "web", "worker"].map(|name| scratch.join(name)).to_vec();
    for (folder, count) in folders.iter().zip([3, 20, 7]) {
        fs::create_dir_all(folder.join("bin"))?;
        fs::write(folder.join("bin/run"), "#!/bin/sh\n")?;
        (0..count).try_for_each(|i| fs::write(folder.join(format!("module{i}.txt")), format!("{i}\n").repeat(5000)))?;
    }
    Ok(folders)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let scratch = tempfile::tempdir()?;
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        folders = make_folders(scratch.path())?;
    }
    for outcome in Pool::new()?.imap(package, folders)? {
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|packed| packed) {
            Ok((target, files)) => println!("{}: {files} files", target.file_name().unwrap_or_default().display()),
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    Ok(())
}
