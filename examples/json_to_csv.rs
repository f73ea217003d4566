//! Turn a JSON array of records into CSV, in chunks, on all cores.
//!
//! `json_to_csv [INPUT.json OUTPUT.csv]`: each record has a `timestamp` and a `value`.

use std::error::Error;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use procession::Pool;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize, Deserialize)]
struct Record {
    timestamp: String,
    value: serde_json::Number,
}

/// The CSV of one chunk of records, which are still text.
fn process_data_chunk(chunk: Vec<String>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for text in chunk {
        let record: Record = serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))?;
        writer.serialize(record)?;
    }
    Ok(writer.into_inner()?)
}

/// Returns how many records there were.
fn transform_data(input: &Path, output: &Path) -> Result<usize, Box<dyn Error>> {
    let text = fs::read_to_string(input)?;
    // Here it is only seen where records begin and end; the workers read what they say.
    let records: Vec<&RawValue> = serde_json::from_str(&text)?;
    let pool = Pool::new()?;
    // Rounded up: rounded down there would be one chunk more than workers, and for few records chunks of no record.
    let chunk_size = records.len().div_ceil(pool.workers()).max(1);
    let chunks = records.chunks(chunk_size).map(|chunk| chunk.iter().map(|record| record.to_string()).collect());
    // In the order of the chunks, whichever is done first.
    let parts = pool.try_map(process_data_chunk, chunks)?;

    // Under its name the file appears as a whole or not at all.
    let folder = output.parent().filter(|p| *p != "").unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    file.write_all(b"timestamp,value\n")?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.persist(output)?;
    Ok(records.len())
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
