//! What more cores are good for: work in the CPU, and work that waits for memory.

use std::hint::black_box;
use std::time::Instant;

use procession::Pool;

/// Pure CPU work. A plain sum of squares would be none: the compiler knows a formula for it.
fn cpu_bound_task(n: u64) -> u64 {
    (0..n).fold(0, |sum, i| (sum + i * i) % 1_000_003)
}

/// Fills fresh memory, 8 bytes for each number, and reads it again.
fn memory_bound_task(size: u64) -> u64 {
    let data: Vec<u64> = (0..size).collect();
    black_box(&data).iter().sum()
}

fn benchmark_task(name: &str, function: fn(u64) -> u64, arguments: [u64; 4]) -> Result<(), procession::Error> {
    let start = Instant::now();
    let sequential_results: Vec<u64> = arguments.into_iter().map(function).collect();
    let sequential = start.elapsed().as_secs_f64();

    // The start of the workers counts, as it does for whoever waits.
    let start = Instant::now();
    let pool = Pool::new()?;
    let parallel_results = pool.map(function, arguments)?;
    let parallel = start.elapsed().as_secs_f64();

    println!("{name}:");
    println!("  Same results: {}", sequential_results == parallel_results);
    println!("  Sequential: {sequential:.3}s");
    println!("  Parallel: {parallel:.3}s");
    println!("  Speedup: {:.2}x", sequential / parallel);
    Ok(())
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    benchmark_task("CPU-bound", cpu_bound_task, [20_000_000; 4])?;
    benchmark_task("Memory-bound", memory_bound_task, [10_000_000; 4])
}
