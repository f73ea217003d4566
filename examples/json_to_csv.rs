//! Turn a JSON array of records into CSV, in chunks, on all cores: what `procession transform` does, as a call.
//!
//! `json_to_csv [INPUT.json OUTPUT.csv]`: each record has a `timestamp` and a `value`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use procession_jobs::transform::{Transform, TransformArgs};
use procession_jobs::{Interrupt, Options, Records, Replace};

/// Returns how many records there were.
fn transform_data(input: &Path, output: &Path) -> Result<u64, Box<dyn Error>> {
    let args = TransformArgs {
        inputs: vec![input.to_path_buf()],
        select: Some("timestamp,value".into()),
        ..TransformArgs::default()
    };
    let job = Transform::new(args, Some(output), Replace::Allowed);
    let finished = procession_jobs::run(job, &Options::default(), &Records::default(), &Interrupt::default(), &mut ())?;
    // If there is a problem there is no output: under its name the file appears as a whole or not at all.
    match finished.problem() {
        Some(problem) => Err(problem.into()),
        None => Ok(finished.report.json()["rows_written"].as_u64().unwrap_or(0)),
    }
}

fn make_input(path: &Path) -> std::io::Result<()> {
    let record = |n: u32| {
        format!(r#"{{"timestamp": "2026-01-01T{:02}:{:02}:00", "value": {}.5}}"#, n / 60 % 24, n % 60, n * n % 101)
    };
    let records: Vec<String> = (0..1001).map(record).collect();
    fs::write(path, format!("[{}]", records.join(",\n")))
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (input, output) = match &arguments[..] {
        [] => (folder.path().join("input_data.json"), folder.path().join("output_data.csv")),
        [input, output] => (input.clone(), output.clone()),
        _ => return Err("usage: json_to_csv [INPUT.json OUTPUT.csv]".into()),
    };
    if arguments.is_empty() {
        make_input(&input)?;
    }
    println!("Records: {}", transform_data(&input, &output)?);
    fs::read_to_string(&output)?.lines().take(4).for_each(|line| println!("{line}"));
    Ok(())
}
