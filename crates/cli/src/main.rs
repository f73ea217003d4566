//! `procession`: batch jobs that use every core, survive bad input and crashes, and end in one report.
#![forbid(unsafe_code)]

mod flags;
mod job;
mod log;
mod output;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    procession::init();
    job::run_command()
}
