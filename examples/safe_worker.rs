//! Some tasks fail, the others give their results, and a failure says where it happened.
//!
//! `RUST_BACKTRACE=1` adds the stack of the worker, Python's traceback.

use procession::{FailureKind, Pool};

fn safe_worker(task: i64) -> i64 {
    assert!(task >= 0, "Negative input not allowed");
    task.pow(2)
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let tasks = [1, 2, -3, 4, -5];
    let pool = Pool::new()?;
    for outcome in pool.imap(safe_worker, tasks)? {
        let task = tasks[outcome.index];
        match outcome.result {
            Ok(result) => println!("Task {task}: {result}"),
            Err(failure) => match failure.kind() {
                FailureKind::Panicked { message, location, backtrace } => {
                    println!("Task {task} failed: {message} ({location})");
                    if let Some(backtrace) = backtrace {
                        println!("{}", backtrace.trim_end());
                    }
                }
                other => println!("Task {task} failed: {other}"),
            },
        }
    }
    Ok(())
}
