//! What procession promises, row by row, under the faults that it promises it for:
//! `cargo run --release -p procession-faults -- [ROW...] [--seeds N] [--seed S] [--markdown] [--list]`.
#![forbid(unsafe_code)]

mod arguments;
mod bound;
mod death;
mod machine;
mod programs;
#[path = "../../../crates/procession/tests/support/random.rs"]
mod random;
mod row;
mod rows;
mod table;
mod toolbox;
mod watch;

use std::process::ExitCode;

use crate::arguments::{Arguments, Mode};

fn main() -> ExitCode {
    procession::init();
    let done = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Arguments { mode: Mode::Program { name, folder, seed }, .. }) => programs::run(&name, &folder, seed),
        Ok(Arguments { mode: Mode::OneRow(row), run, .. }) => row::run_here(row, &run),
        Ok(Arguments { mode: Mode::List, .. }) => table::list(),
        Ok(Arguments { mode: Mode::Table { rows, is_markdown }, run, passed_on }) => {
            table::run(&rows, &run, &passed_on, is_markdown)
        }
        Err(error) => {
            eprintln!("faults: {error:#}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}
