//! The whole job, from arguments to report, without worker processes.

mod check;
mod large;
mod stdin;
mod sums;

use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;

use super::args::HashArgs;
use super::job::Hash;
use super::split::Split;
use crate::{FailedKind, FilesAhead, Job, Planned, Report};

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    hash: HashArgs,
}

fn args(words: &[&str]) -> HashArgs {
    CommandLine::try_parse_from(std::iter::once("hash").chain(words.iter().copied())).unwrap().hash
}

/// What a run of the job comes to.
struct Ended {
    text: String,
    failures: Vec<String>,
    report: Box<dyn Report>,
}

impl Ended {
    fn exit_code(&self) -> i32 {
        i32::from(self.report.is_bad() || !self.failures.is_empty())
    }
}

/// Runs a job as a pool would; every task and result goes over a wire.
fn run(words: &[&str]) -> Ended {
    run_job(Hash::new(args(words), 2), |_| {})
}

fn run_split(words: &[&str], split: Split) -> Ended {
    run_job(Hash::with_split(args(words), split), |_| {})
}

/// Runs a job, with something happening before the task of that number.
fn run_job(mut job: Hash, mut before: impl FnMut(usize)) -> Ended {
    fn wire<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
    }
    let plan = job.plan(&FilesAhead::default()).unwrap();
    let context = wire(job.context());
    let mut failures = Vec::new();
    let mut done = Vec::new();
    for (number, planned) in plan.tasks.enumerate() {
        before(number);
        let (item, result) = match planned {
            Planned::Task(item, task) => (item, Hash::run(&context, wire(&task))),
            Planned::Failed(item, error) => (item, Err(error)),
        };
        done.push((item, result));
    }
    // Backwards: tasks may end in any order.
    for (item, result) in done.into_iter().rev() {
        match result {
            Ok(done) => job.fold(&item, wire(&done)).unwrap(),
            Err(error) => {
                job.fold_failure(&item, FailedKind::Failed);
                failures.push(error.to_string());
            }
        }
    }
    let report = job.report();
    let mut text = Vec::new();
    report.text(&mut text).unwrap();
    Ended { text: String::from_utf8_lossy(&text).into_owned(), failures, report }
}

/// Runs a program; its exit code, output and errors.
fn tool(name: &str, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(name).args(words).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Whether a program is here; tests that compare with one that is not say so and pass.
fn has_tool(name: &str) -> bool {
    let there = Command::new(name).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: no {name}");
    }
    there
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}
