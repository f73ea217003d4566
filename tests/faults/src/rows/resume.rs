//! A job is killed at random moments, and goes on from its journal.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::row::{Row, Run};
use crate::toolbox::{Job, kill_after};

pub const ROW: Row = Row {
    name: "resume",
    promise: "resume is exact",
    fault: "kill -9 at random points of a job with 1,000 outputs",
    must_show: "bytes identical, 0 finished tasks re-run",
    run,
};

const FILES: u64 = 1000;

fn run(run: &Run) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let job = Job::new(&run.binary, &folder.path().join("in"), FILES)?;
    let since = Instant::now();
    let want = job.stdout(&[])?;
    let usual = since.elapsed();
    let (mut kills, mut resumed) = (0, 0);
    let seeds = run.for_each_seed(
        "kill -9 and --resume",
        run.seeds(1, 10).start..run.seeds(1, 10).end.min(200),
        |seed, mut random| {
            let journal = folder.path().join(format!("journal-{seed}"));
            let joblog = folder.path().join(format!("joblog-{seed}"));
            let (journal, joblog) = (journal.to_str().context("a path")?, joblog.to_str().context("a path")?);
            let arguments = ["--journal", journal, "--resume", "--joblog", joblog];
            for _ in 0..1 + random.below(3) {
                let child = job.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
                let time = Duration::from_micros(random.below(usual.as_micros() as u64 * 5 / 4));
                kills += u64::from(kill_after(child, time)?);
            }
            ensure!(job.stdout(&arguments)? == want, "the output differs from that of an undisturbed run");
            // A line is written when a task has ended and is in the journal, so a second one tells that it ran again.
            let log = std::fs::read_to_string(joblog).unwrap_or_default();
            let mut seen = BTreeSet::new();
            for number in log.lines().filter_map(|line| line.split('\t').next()?.parse::<u64>().ok()) {
                ensure!(seen.insert(number), "task {number} was finished, and ran again");
            }
            let report: serde_json::Value =
                serde_json::from_slice(&job.stdout(&["--journal", journal, "--resume", "--format", "json"])?)?;
            let (from_journal, tasks) = (find(&report, "resumed"), find(&report, "tasks"));
            let from_journal = from_journal.context("the report has no `resumed`")?;
            ensure!(
                tasks.is_none_or(|tasks| tasks == from_journal),
                "{from_journal} tasks of {tasks:?} were in the journal"
            );
            ensure!(from_journal > 0, "nothing was in the journal at the end");
            resumed += from_journal;
            Ok(())
        },
    );
    run.figure(format!(
        "{seeds} seeds of {FILES} files, {kills} kills: outputs identical, 0 tasks ran again ({resumed} taken from journals)"
    ));
    Ok(())
}

/// A number of a report, wherever in it.
fn find(value: &serde_json::Value, key: &str) -> Option<u64> {
    let object = value.as_object()?;
    object.get(key).and_then(serde_json::Value::as_u64).or_else(|| object.values().find_map(|inner| find(inner, key)))
}
