//! Compares the pool with its peers and with its targets: `cargo run --release -p procession-benches -- [NAME...]`.
#![forbid(unsafe_code)]

mod cases;
mod measure;
mod peers;
mod report;
mod usage;

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

use crate::cases::{CASES, Case, Scale};

/// Says that the heading is printed already.
const ROWS_ONLY: &str = "--rows-only";
const USAGE: &str = "usage: pool [--quick] [NAME...]";

fn main() -> ExitCode {
    procession::init();
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.first().is_some_and(|a| a == peers::socket::ARGUMENT) {
        peers::socket::serve();
        return ExitCode::SUCCESS;
    }
    let mut take = |flag: &str| {
        let before = names.len();
        names.retain(|name| name != flag);
        names.len() < before
    };
    let (quick, rows_only) = (take("--quick"), take(ROWS_ONLY));
    if let Some(unknown) = names.iter().find(|name| !CASES.iter().any(|case| case.name == *name)) {
        eprintln!("{USAGE}\n`{unknown}` is none of these:");
        CASES.iter().for_each(|case| eprintln!("  {:<8} {}", case.name, case.what));
        return ExitCode::from(2);
    }
    let chosen: Vec<&Case> = CASES.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name)).collect();
    let done = match chosen.as_slice() {
        [case] if rows_only => (case.run)(Scale { quick }),
        cases => {
            report::print_heading();
            cases.iter().try_for_each(|case| run_apart(case, quick))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a case in a process of its own, so that none finds the memory, descriptors and habits of those before it.
fn run_apart(case: &Case, quick: bool) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([case.name, ROWS_ONLY]).args(quick.then_some("--quick"));
    let status = command.status().with_context(|| format!("failed to start `{}`", case.name))?;
    ensure!(status.success(), "`{}` ended with {status}", case.name);
    Ok(())
}
