//! `procession`: batch jobs that use every core, survive bad input and crashes, and end in one report.
#![forbid(unsafe_code)]

mod again;
mod descriptors;
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
    // A job is likely, and its workers come from a process that can get ready while flags are read and work is planned. An
    // error is told by whoever needs that process.
    if std::env::args_os().nth(1).is_some_and(|first| !first.as_encoded_bytes().starts_with(b"-")) {
        let _ = procession::forkserver::ensure_running();
    }
    job::run_command()
}
