//! A folder to work in, runs of the program there, and a look at its processes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes, even on a busy machine: only what hangs meets it.
const WATCHDOG: Duration = Duration::from_secs(120);

/// A folder of its own for one test.
pub struct Lab(TempDir);

/// What a run left.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Lab {
    pub fn new() -> Lab {
        Lab(TempDir::new().unwrap())
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A file of zeros that takes no room, and so long to hash that a test need not hurry.
    pub fn endless(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names in a folder.
    pub fn names(&self, folder: &str) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// The program, in this folder, with nothing on its standard input.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        finish(&mut self.command(args), b"")
    }

    pub fn run_with_input<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Run {
        finish(self.command(args).stdin(Stdio::piped()), input)
    }

    /// A line for the shell, in which `$P` is the program.
    pub fn shell(&self, line: &str) -> Run {
        finish(&mut self.shell_command(line), b"")
    }

    /// The same, to be started.
    pub fn shell_command(&self, line: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).env("P", env!("CARGO_BIN_EXE_procession"));
        shell.current_dir(self.0.path()).stdin(Stdio::null());
        shell
    }
}

impl Run {
    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Fails with all that is known unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, code, "\n{}\n{}", String::from_utf8_lossy(&self.out), self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    /// The messages that are no part of the summary.
    pub fn messages(&self) -> Vec<&str> {
        let is_summary = |line: &str| line.contains(" tasks done, ") || line.contains(" failed again: ");
        self.err.lines().filter(|line| !is_summary(line)).collect()
    }
}

/// Runs a command to its end; kills it and fails should it hang.
fn finish(command: &mut Command, input: &[u8]) -> Run {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read_out = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let read_err = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read all.
        let _ = stdin.write_all(input);
    }
    let status = wait(&mut child);
    Run {
        code: status.code().unwrap_or(-1),
        out: read_out.join().unwrap().unwrap(),
        err: String::from_utf8(read_err.join().unwrap().unwrap()).unwrap(),
    }
}

/// The end of a child that ends.
pub fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let ended = poll(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        child.kill().unwrap();
    }
    status.expect("the program hangs")
}

/// Waits for something to become true; false if the watchdog came first.
pub fn poll(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > WATCHDOG {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Waits for something to be there.
#[track_caller]
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    assert!(poll(|| {
        found = look();
        found.is_some()
    }));
    found.unwrap()
}

/// Parent and state of a process; none if there is no such process.
fn stat(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// Whether a process still runs.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(_, state)| !matches!(state, 'Z' | 'X'))
}

/// All processes below one.
pub fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.0)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, above)| *above == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The workers below the program: those with nobody below them.
pub fn workers(program: u32) -> Vec<u32> {
    let below = descendants(program);
    below.iter().copied().filter(|pid| descendants(*pid).is_empty() && is_worker(*pid)).collect()
}

fn is_worker(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    ["hash-", "logs-", "transform-"].iter().any(|job| name.starts_with(job))
}

/// The process below the program that has this file open.
pub fn reader_of(program: u32, file: &Path) -> Option<u32> {
    descendants(program).into_iter().find(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file))
    })
}

/// Sends a signal to a process, if it is still there.
pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}
