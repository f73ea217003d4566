//! Faults at every step of a new file: kills, full disks, read-only folders and I/O errors. The old or the new file is there,
//! whole, and nothing else.
//!
//! `PROCESSION_SEED=N` begins the kills at that seed, `PROCESSION_SEEDS=N` runs so many.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use procession_jobs::{NewFile, Replace, TaskError};
use rustix::io::Errno;
use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::TempDir;

/// More than the buffer, so that it is written in several pieces.
const LENGTH: usize = 300_000;

/// A file of one byte, repeated.
fn write(path: &Path, replace: Replace, byte: u8) -> Result<(), TaskError> {
    let mut file = NewFile::create(path, replace)?;
    for piece in [byte; LENGTH].chunks(10_000) {
        file.write_all(piece).map_err(|cause| file.error(&cause))?;
    }
    file.commit()
}

/// The byte of a whole file.
#[track_caller]
fn whole(path: &Path) -> u8 {
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len(), LENGTH, "{}", path.display());
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two writers in one file");
    bytes[0]
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// No test: what the killed children of the others run. Replaces a file, again and again.
#[test]
fn child() {
    let Some(path) = env::var_os("PROCESSION_TEST_OUTPUT") else { return };
    let path = PathBuf::from(path);
    for byte in (b'A'..=b'Z').cycle() {
        write(&path, Replace::Allowed, byte).unwrap();
        // The parent counts these. It may be gone.
        let _ = std::io::stdout().write_all(b"+");
    }
}

fn child_command(path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("PROCESSION_TEST_OUTPUT", path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Waits until a child has written a file, and so is in its loop.
fn wait_for_first_file(child: &mut Child) {
    let mut byte = [0];
    while byte != *b"+" {
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_the_old_or_the_new_file() {
    let number = |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("PROCESSION_SEED", 0);
    // In memory, where no step takes so long that most kills would meet it.
    let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let path = folder.path().join("file");
    let mut leftovers = 0;
    for seed in first..first + number("PROCESSION_SEEDS", 30) {
        let mut child = child_command(&path).spawn().unwrap();
        wait_for_first_file(&mut child);
        // Any moment will do; this one only differs from seed to seed (splitmix64's first step).
        let moment = (seed.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
        std::thread::sleep(Duration::from_nanos(moment * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        whole(&path);
        let names = names(folder.path());
        let left: Vec<&String> = names.iter().filter(|name| *name != "file").collect();
        // Each child sweeps up after the one before.
        assert!(left.len() <= 1 && left.iter().all(|name| name.starts_with(".procession-")), "seed {seed}: {names:?}");
        leftovers += left.len();
    }
    eprintln!("{leftovers} kills left a temporary file");
    write(&path, Replace::Allowed, b'!').unwrap();
    assert_eq!((whole(&path), names(folder.path())), (b'!', vec!["file".to_string()]));
}

/// A filter that does `action` at each of these system calls (seccomp(2)).
fn filter(calls: &[i64], action: SeccompAction) -> BpfProgram {
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(rules, SeccompAction::Allow, action, arch).unwrap().try_into().unwrap()
}

/// Runs something in a thread under a filter, which its children inherit.
fn under<T: Send>(filter: &BpfProgram, run: impl FnOnce() -> T + Send) -> T {
    let run = || {
        seccompiler::apply_filter(filter).unwrap();
        run()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// The system calls of a new file by their number: those of x86-64, and else of all later architectures.
fn call(name: &str) -> Vec<i64> {
    let (x86, others): (&[i64], &[i64]) = match name {
        "flock" => (&[73], &[32]),
        "fchmod" => (&[91], &[52]),
        "fsync" => (&[74], &[82]),
        // rename, renameat, renameat2; the others have no rename.
        "rename" => (&[82, 264, 316], &[38, 276]),
        "link" => (&[86, 265], &[37]),
        "unlink" => (&[87, 263], &[35]),
        _ => panic!("{name}"),
    };
    if cfg!(target_arch = "x86_64") { x86.to_vec() } else { others.to_vec() }
}

#[test]
fn a_writer_that_is_killed_at_a_system_call_leaves_the_old_file() {
    for name in ["flock", "fchmod", "fsync", "rename"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'o'; LENGTH]).unwrap();
        let filter = filter(&call(name), SeccompAction::KillProcess);
        let mut child = under(&filter, || child_command(&path).spawn().unwrap());
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::SYS.as_raw()), "{name}: {status}");
        assert_eq!(whole(&path), b'o', "{name}");
        assert_eq!(names(folder.path()).len(), 2, "{name}");
        write(&path, Replace::Allowed, b'n').unwrap();
        assert_eq!((whole(&path), names(folder.path())), (b'n', vec!["file".to_string()]), "{name}");
    }
}

#[test]
fn an_io_error_leaves_the_old_file_and_is_told() {
    for name in ["fchmod", "fsync", "rename"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'o'; LENGTH]).unwrap();
        let filter = filter(&call(name), SeccompAction::Errno(Errno::IO.raw_os_error() as u32));
        let error = under(&filter, || write(&path, Replace::Allowed, b'n')).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to write `{}`: input/output error", path.display()), "{name}");
        assert_eq!((whole(&path), names(folder.path())), (b'o', vec!["file".to_string()]), "{name}");
    }
    let folder = TempDir::new().unwrap();
    let filter = filter(&call("rename"), SeccompAction::Errno(Errno::IO.raw_os_error() as u32));
    under(&filter, || write(&folder.path().join("new"), Replace::Never, b'n')).unwrap_err();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn file_systems_that_cannot_keep_a_name_free_get_a_second_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let filter = filter(&call("rename"), SeccompAction::Errno(Errno::INVAL.raw_os_error() as u32));
    under(&filter, || {
        write(&path, Replace::Never, b'n').unwrap();
        let file = NewFile::create(folder.path().join("late"), Replace::Never).unwrap();
        fs::write(folder.path().join("late"), "another's").unwrap();
        assert!(file.commit().unwrap_err().to_string().ends_with("it exists (--force replaces it)"));
    });
    assert_eq!((whole(&path), names(folder.path())), (b'n', vec!["file".to_string(), "late".to_string()]));
}

#[test]
fn file_systems_without_locks_are_written_to() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let left = folder.path().join(".procession-000000.tmp");
    fs::write(&left, "").unwrap();
    let filter = filter(&call("flock"), SeccompAction::Errno(Errno::NOLCK.raw_os_error() as u32));
    under(&filter, || write(&path, Replace::Never, b'n')).unwrap();
    assert_eq!(whole(&path), b'n');
    // Nobody can tell whose it is.
    assert!(left.exists());
}

/// A file system of 1 MiB.
struct Small(TempDir);

impl Small {
    /// None, and said aloud, if this process may not mount one.
    fn mount(test: &str) -> Option<Small> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(folder.path()).output();
        let cause = match mounted {
            Ok(output) if output.status.success() => return Some(Small(folder)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(cause) => cause.to_string(),
        };
        // Not by a macro, whose text the harness would keep to itself.
        let text = format!("NOT COVERED: {test}, since no file system can be mounted: {}\n", cause.trim());
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        None
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_and_is_told() {
    let Some(small) = Small::mount("a full disk") else { return };
    let path = small.0.path().join("file");
    fs::write(&path, [b'o'; LENGTH]).unwrap();
    fs::write(small.0.path().join("other"), [0; 2 * LENGTH]).unwrap();
    for replace in [Replace::Allowed, Replace::Never] {
        let path = if replace == Replace::Never { small.0.path().join("new") } else { path.clone() };
        let error = write(&path, replace, b'n').unwrap_err();
        assert_eq!(error.to_string(), format!("failed to write `{}`: no space left on device", path.display()));
    }
    assert_eq!((whole(&path), names(small.0.path())), (b'o', vec!["file".to_string(), "other".to_string()]));
}

#[test]
fn a_folder_that_cannot_be_written_keeps_the_old_file_and_is_told() {
    let Some(small) = Small::mount("a read-only folder") else { return };
    let path = small.0.path().join("file");
    fs::write(&path, [b'o'; LENGTH]).unwrap();
    small.remount("ro");
    for (replace, name) in [(Replace::Allowed, "file"), (Replace::Never, "new")] {
        let path = small.0.path().join(name);
        let error = NewFile::create(&path, replace).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to write `{}`: read-only file system", path.display()));
    }
    assert_eq!((whole(&path), names(small.0.path())), (b'o', vec!["file".to_string()]));
}
