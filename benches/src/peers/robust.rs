//! A robust mutex of the C library, in a small C program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

const SOURCE: &str = include_str!("robust.c");

/// The program, compiled; it is removed with the value.
pub struct Robust(PathBuf);

impl Robust {
    /// Compiles it with `cc`.
    pub fn build() -> anyhow::Result<Robust> {
        let folder = std::env::temp_dir().join(format!("procession-robust-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let robust = Robust(folder);
        let (source, program) = (robust.0.join("robust.c"), robust.0.join("robust"));
        std::fs::write(&source, SOURCE)?;
        let mut cc = Command::new("cc");
        let status = cc.args(["-O2", "-pthread", "-o"]).arg(&program).arg(&source).status();
        ensure!(status.context("failed to run cc")?.success(), "cc cannot compile robust.c");
        Ok(robust)
    }

    /// Seconds that so many processes take for so many turns each.
    pub fn run(&self, processes: usize, turns: u64) -> anyhow::Result<f64> {
        let mut program = Command::new(self.0.join("robust"));
        let output = program.args([processes.to_string(), turns.to_string()]).output()?;
        ensure!(output.status.success(), "robust.c ended with {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().with_context(|| format!("robust.c printed `{text}`"))
    }
}

impl Drop for Robust {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
