//! Two heavy calculations at the same time, each in a process of its own.

use std::error::Error;
use std::time::Instant;

use procession::Process;

fn cpu_intensive_task(n: u32) {
    println!("Starting task {n}");
    // A plain sum of squares would be no work: the compiler knows a formula for it.
    let sum = (0..30_000_000_u64).fold(0, |sum, i| (sum + i * i) % 1_000_003);
    println!("Task {n} completed: {sum}");
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();

    let start = Instant::now();
    let mut first = Process::spawn(cpu_intensive_task, 1)?;
    let mut second = Process::spawn(cpu_intensive_task, 2)?;
    for process in [&mut first, &mut second] {
        let status = process.join()?;
        if !status.success() {
            return Err(format!("process {} ended with {status}", process.pid()).into());
        }
    }
    println!("Total time taken: {:.2?}", start.elapsed());

    let start = Instant::now();
    cpu_intensive_task(3);
    cpu_intensive_task(4);
    println!("One after the other: {:.2?}", start.elapsed());
    Ok(())
}
