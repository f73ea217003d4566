//! Runs the rows one after the other, each in a process of its own, and prints what came of them.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use crate::arguments::HERE;
use crate::row::{BROKEN, FIGURE, Row, Run};
use crate::rows::ROWS;
use crate::watch::HANGS;

/// What came of a row.
struct Report {
    figures: Vec<String>,
    broken: Vec<String>,
    /// The last lines of standard error, the workers' too.
    last_words: Vec<String>,
}

/// So many of those lines are worth reading.
const LAST_WORDS: usize = 30;

/// True if every row holds.
pub fn run(rows: &[&Row], run: &Run, passed_on: &[String], is_markdown: bool) -> anyhow::Result<bool> {
    let mut all_hold = true;
    if is_markdown {
        println!("Seeds: {}. Linux {}.\n", run.seeds(1, 1).count(), crate::machine::kernel());
        println!("| promise | fault | must show | figures | holds |\n| --- | --- | --- | --- | --- |");
    }
    for row in rows {
        let began = Instant::now();
        let report = run_apart(row, passed_on)?;
        let holds = report.broken.is_empty();
        all_hold &= holds;
        if is_markdown {
            let verdict = if holds { "yes" } else { "**no**" };
            let figures = report.figures.join("; ");
            println!("| {} | {} | {} | {figures} | {verdict} |", row.promise, row.fault, row.must_show);
        } else {
            println!(
                "{}: {} ({:.0} s)",
                row.name,
                if holds { "holds" } else { "DOES NOT HOLD" },
                began.elapsed().as_secs_f64()
            );
            println!("    promise: {}\n    fault: {}\n    must show: {}", row.promise, row.fault, row.must_show);
            report.figures.iter().for_each(|figure| println!("    {figure}"));
        }
        // Beside a table that is written into a file they belong on the screen.
        report.broken.iter().for_each(|what| eprintln!("    {}: {what}", row.name));
        if !holds {
            report.last_words.iter().for_each(|line| eprintln!("    {} said: {line}", row.name));
        }
    }
    Ok(all_hold)
}

fn run_apart(row: &Row, passed_on: &[String]) -> anyhow::Result<Report> {
    // Not pipes: what a row fails to end would hold them open.
    let temporary = || tempfile::tempfile().context("failed to make a temporary file");
    let (mut output, mut errors) = (temporary()?, temporary()?);
    let mut command = Command::new(std::env::current_exe()?);
    command.args([row.name, HERE]).args(passed_on).stdin(Stdio::null());
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let status = command.status().with_context(|| format!("failed to start the row `{}`", row.name))?;
    let (text, errors) = (read_all(&mut output)?, read_all(&mut errors)?);
    let lines = |prefix| text.lines().filter_map(move |line| line.strip_prefix(prefix)).map(str::to_string);
    let (mut figures, mut broken): (Vec<_>, Vec<_>) = (lines(FIGURE).collect(), lines(BROKEN).collect());
    let hangs = u64::from(status.code() == Some(HANGS));
    figures.insert(0, format!("{hangs} hangs"));
    if !status.success() && hangs == 0 {
        broken.push(format!("the program that runs this row ended with {status}"));
    }
    let first = errors.lines().count().saturating_sub(LAST_WORDS);
    let last_words = errors.lines().skip(first).map(str::to_string).collect();
    Ok(Report { figures, broken, last_words })
}

fn read_all(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Prints all rows there are.
pub fn list() -> anyhow::Result<bool> {
    for row in ROWS {
        println!("{:<10} {}: {}", row.name, row.promise, row.fault);
    }
    Ok(true)
}
