//! A computation for every row of a CSV file, on all cores: which delay do 99 of 100 requests to a service stay below?
//!
//! `process_rows [FILE.csv]`: columns `service`, `requests_per_s` and `ms_per_request`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use procession::Pool;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Row {
    service: String,
    requests_per_s: f64,
    ms_per_request: f64,
}

/// Lets 100,000 requests arrive at random and queue up.
fn process_row(row: Result<Row, String>) -> Result<String, String> {
    const REQUESTS: usize = 100_000;
    let Row { service, requests_per_s, ms_per_request } = row?;
    if requests_per_s * ms_per_request >= 1000.0 {
        return Err(format!("{service} gets more requests than it can answer"));
    }
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let (mut arrival_ms, mut free_from_ms) = (0.0, 0.0_f64);
    let mut delays: Vec<f64> = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        arrival_ms += 1000.0 / requests_per_s * next_exponential(&mut random);
        free_from_ms = free_from_ms.max(arrival_ms) + ms_per_request * next_exponential(&mut random);
        delays.push(free_from_ms - arrival_ms);
    }
    let (_, delay_ms, _) = delays.select_nth_unstable_by(REQUESTS / 100 * 99, f64::total_cmp);
    Ok(format!("{service} answers 99% within {delay_ms:.1} ms"))
}

/// A random number with the mean 1 (xorshift64, then the inverse of the exponential distribution).
fn next_exponential(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    -(1.0 - (*state >> 11) as f64 / (1_u64 << 53) as f64).ln()
}

const SAMPLE: &str = "service,requests_per_s,ms_per_request
login,50,4\nsearch,80,10\ncart,20,12\ncheckout,5,90\nimages,400,2
mail,3,250\nreports,2,600\nmetrics,900,1\nbackup,many,1\nproxy,600,1.5\n";

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => {
            let path = folder.path().join("services.csv");
            std::fs::write(&path, SAMPLE)?;
            path
        }
    };
    let start = Instant::now();
    let mut reader = csv::Reader::from_path(&path)?;
    let rows = reader.deserialize().map(|row| row.map_err(|e| e.to_string()));
    // Rows are read as workers need them, so the file may be larger than the memory.
    for outcome in Pool::new()?.imap(process_row, rows)? {
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|line| line) {
            Ok(line) => println!("Processed row {}: {line}", outcome.index),
            Err(problem) => println!("Row {} failed: {problem}", outcome.index),
        }
    }
    println!("Processing time: {:.2?}", start.elapsed());
    Ok(())
}
