//! Several processes with names: one alone, then three at once.

use procession::Process;

/// A process gives back an exit code and nothing else, in Python too. Results come from a `Pool`.
fn worker_function((name, limit): (String, u32)) {
    println!("Process {name} (PID: {}) starting...", std::process::id());
    let primes = (2..limit).filter(|&n| is_prime(n)).count();
    println!("Process {name} completed: {primes} primes below {limit}");
}

fn is_prime(n: u32) -> bool {
    !(2..).take_while(|d| d * d <= n).any(|d| n.is_multiple_of(d))
}

/// Its name is seen in `ps` and `top`, too.
fn start(name: &str, limit: u32) -> Result<Process, procession::Error> {
    Process::builder().name(name).spawn(worker_function, (name.to_string(), limit))
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let mut process = start("Worker", 200_000)?;
    process.join()?;

    let processes: Result<Vec<Process>, _> = (0..3).map(|i| start(&format!("Worker-{i}"), 100_000)).collect();
    for mut process in processes? {
        let status = process.join()?;
        println!("{} (PID: {}) ended with {status}", process.name(), process.pid());
    }
    Ok(())
}
