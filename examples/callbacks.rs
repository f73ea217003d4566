//! Hand tasks over and be called back, with the result or with what went wrong.

use procession::{Failure, Pool};

fn cpu_task(n: u64) -> (u64, u64) {
    let sum = (0..n).try_fold(0_u64, |sum, i| sum.checked_add(i * i));
    (n, sum.expect("the sum does not fit into 64 bits"))
}

fn task_complete(&(n, sum): &(u64, u64)) {
    println!("Task {n} completed with result: {sum}");
}

fn error_callback(failure: &Failure) {
    println!("Task failed: {failure}");
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let pool = Pool::builder().workers(4).build()?;
    for n in [10_000, 20_000, 30_000, 40_000, 50_000, 5_000_000] {
        let task = pool.submit(cpu_task, n)?;
        task.on_success(task_complete);
        task.on_error(error_callback);
    }
    // Waits for all tasks, and for what is called back.
    pool.join();
    Ok(())
}
