//! `procession`: batch jobs that use every core, survive bad input and crashes, and end in one report.
#![forbid(unsafe_code)]

mod again;
mod doctor;
mod flags;
mod job;
mod json;
mod log;
mod output;
mod pages;
mod progress;
mod record;

use std::process::ExitCode;

fn main() -> ExitCode {
    procession::init();
    job::run_command()
}
