//! A journal with a torn or flipped end, or a flipped beginning.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::row::{Row, Run};
use crate::toolbox::Job;
use crate::watch;

pub const ROW: Row = Row {
    name: "torn",
    promise: "a torn journal is no obstacle",
    fault: "truncate and flip each byte of the last record",
    must_show: "resumes, never panics",
    run,
};

/// At least the last record, and the header.
const BYTES: usize = 300;

fn run(run: &Run) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let job = Job::new(&run.binary, &folder.path().join("in"), 12)?;
    let want = job.stdout(&[])?;
    let journal = folder.path().join("journal");
    let arguments = ["--journal", journal.to_str().context("a path")?, "--resume"];
    ensure!(job.stdout(&arguments)? == want, "a journal changes the output");
    let whole = std::fs::read(&journal)?;
    let (mut resumed, mut refused) = (0, 0);
    // Each byte for 100 seeds and more, else some of them.
    let step = (BYTES as u64 / run.amount(BYTES as u64)).max(1) as usize;
    let _watch = watch::patience("torn journals", std::time::Duration::from_secs(900));
    for at in (0..whole.len().min(BYTES)).step_by(step) {
        let end = whole.len() - at;
        check(&job, &journal, &whole[..end - 1], &arguments, &want).with_context(|| format!("cut at {}", end - 1))?;
        let mut flipped = whole.clone();
        flipped[end - 1] ^= 1 << (at % 8);
        check(&job, &journal, &flipped, &arguments, &want).with_context(|| format!("flipped at {}", end - 1))?;
        resumed += 2;
        // In the header it may be somebody else's file, or another's journal: that is refused, and left as it is.
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&journal, &flipped)?;
        let output = job.output(&arguments)?;
        match output.status.code() {
            Some(0) => ensure!(output.stdout == want, "flipped at {at}: the output differs"),
            Some(2) => {
                ensure!(std::fs::read(&journal)? == flipped, "flipped at {at}: refused, but written to");
                refused += 1;
            }
            _ => anyhow::bail!("flipped at {at}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
        }
    }
    run.figure(format!("{resumed} journals with a torn or flipped end resumed, outputs identical; {refused} with a flipped header refused"));
    Ok(())
}

fn check(job: &Job, journal: &Path, bytes: &[u8], arguments: &[&str], want: &[u8]) -> anyhow::Result<()> {
    std::fs::write(journal, bytes)?;
    ensure!(job.stdout(arguments)? == want, "the output differs");
    Ok(())
}
