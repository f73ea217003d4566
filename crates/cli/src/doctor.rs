//! `procession doctor`: what this machine gives, and what to do about what it does not.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use procession::{Fact, FactState, Machine};
use serde_json::{Map, Value, json};

const MISSING: u8 = 1;

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Form of what is found
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,
}

/// Forms of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DoctorFormat {
    /// For people
    Text,
    /// One object, with an object for each thing
    Json,
}

/// Looks around, and tells. Exits with 1 if something is missing that is needed.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let machine = Machine::look();
    let mut out = io::stdout().lock();
    let written = match args.format {
        DoctorFormat::Text => write_text(&mut out, &machine),
        DoctorFormat::Json => write_json(&mut out, &machine),
    };
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr().lock(), "procession doctor: failed to write to standard output: {e}");
            ExitCode::from(MISSING)
        }
        _ if machine.is_enough() => ExitCode::SUCCESS,
        _ => ExitCode::from(MISSING),
    }
}

fn write_text(out: &mut dyn Write, machine: &Machine) -> io::Result<()> {
    for Fact { name, state, found, meaning, .. } in machine.facts() {
        let mark = if *state == FactState::Good { String::new() } else { format!("[{state}] ") };
        writeln!(out, "{name:<14} {mark}{found}\n{:<14} {meaning}", "")?;
    }
    let missing: Vec<&str> = of_state(machine, FactState::Missing);
    let less: Vec<&str> = of_state(machine, FactState::Less);
    match (missing.is_empty(), less.is_empty()) {
        (false, _) => writeln!(out, "\nnot enough to run: {} missing", missing.join(", ")),
        (true, false) => writeln!(out, "\nenough to run; less than there could be: {}", less.join(", ")),
        (true, true) => writeln!(out, "\nall is there"),
    }
}

fn of_state(machine: &Machine, state: FactState) -> Vec<&'static str> {
    machine.facts().iter().filter(|fact| fact.state == state).map(|fact| fact.name).collect()
}

fn write_json(out: &mut dyn Write, machine: &Machine) -> io::Result<()> {
    let mut facts = Map::new();
    for Fact { name, state, found, numbers, meaning } in machine.facts() {
        let mut fact = Map::new();
        fact.insert("state".to_string(), json!(state.to_string()));
        fact.insert("found".to_string(), json!(found));
        fact.extend(numbers.iter().map(|(name, number)| (name.to_string(), json!(number))));
        fact.insert("meaning".to_string(), json!(meaning));
        facts.insert(name.to_string(), Value::Object(fact));
    }
    let object = json!({ "version": env!("CARGO_PKG_VERSION"), "is_enough": machine.is_enough(), "facts": facts });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}
