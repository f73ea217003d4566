//! A struct that owns a pool: the workers live as long as it does, and no longer.

use std::error::Error;
use std::path::Path;

use procession::{Pool, Task};

fn factorial(n: u64) -> u64 {
    (1..=n).product()
}

fn own_pid(_: ()) -> u32 {
    std::process::id()
}

/// Manages a pool of worker processes.
///
/// Dropping it ends the workers, and they also end if the program is killed: there is nothing to register for the exit.
struct ProcessManager {
    pool: Pool,
}

impl ProcessManager {
    fn start(processes: usize) -> Result<ProcessManager, procession::Error> {
        Ok(ProcessManager { pool: Pool::builder().workers(processes).build()? })
    }

    fn submit_task(&self, n: u64) -> Result<Task<u64>, procession::Error> {
        self.pool.submit(factorial, n)
    }

    fn map_tasks(&self, numbers: impl IntoIterator<Item = u64>) -> Result<Vec<u64>, procession::Error> {
        self.pool.map(factorial, numbers)
    }

    /// Waits for all tasks, then for the workers to end. It takes the manager with it, so Python's "Pool is not running"
    /// is an error of the compiler here.
    fn finish(self) {
        self.pool.join();
    }
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let manager = ProcessManager::start(2)?;
    let worker = manager.pool.apply(own_pid, ())?;
    let task = manager.submit_task(20)?;
    println!("Mapped: {:?}", manager.map_tasks(1..=5)?);
    println!("Submitted: {}", task.wait().into_result()?);
    println!("A worker runs: {}", is_running(worker));
    manager.finish();
    println!("It runs after finish: {}", is_running(worker));

    let worker = {
        let manager = ProcessManager::start(2)?;
        manager.pool.apply(own_pid, ())?
    };
    println!("Another runs after drop: {}", is_running(worker));
    Ok(())
}
