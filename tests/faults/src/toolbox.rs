//! The toolbox's binary, as a user runs it, and files for it to work on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::random::Random;

/// `procession hash` over a folder of files.
pub struct Job {
    binary: PathBuf,
    folder: PathBuf,
}

impl Job {
    /// Makes `count` files in `folder`.
    pub fn new(binary: &Path, folder: &Path, count: u64) -> anyhow::Result<Job> {
        ensure!(
            binary.exists(),
            "there is no `{}`: build it (cargo build --release -p procession-cli), or name it by --binary",
            binary.display()
        );
        std::fs::create_dir(folder)?;
        let mut random = Random(count);
        for n in 0..count {
            let bytes: Vec<u8> = (0..random.below(3000)).map(|_| random.next() as u8).collect();
            std::fs::write(folder.join(format!("file-{n:05}")), bytes)?;
        }
        Ok(Job { binary: binary.to_path_buf(), folder: folder.to_path_buf() })
    }

    /// The command, with two workers.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["hash", "-q", "-j", "2"]).args(arguments).arg(&self.folder).stdin(Stdio::null());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(arguments).output().with_context(|| format!("failed to start `{}`", self.binary.display()))
    }

    /// What it prints when it does its work.
    pub fn stdout(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = self.output(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`hash {}` ended with {}: {said}", arguments.join(" "), output.status);
        Ok(output.stdout)
    }
}

/// Kills a program after a while, or finds that it has ended; true if it was killed.
pub fn kill_after(mut child: Child, time: Duration) -> anyhow::Result<bool> {
    let since = Instant::now();
    while since.elapsed() < time {
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    child.kill()?;
    Ok(!child.wait()?.success())
}
