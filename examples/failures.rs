//! Whatever a task does, it costs that task only.

use std::time::Duration;

use procession::{FailureKind, Pool};

fn risky(n: u32) -> u32 {
    match n {
        2 => panic!("I do not like {n}"),
        3 => std::process::abort(),
        4 => loop {
            std::thread::park();
        },
        _ => n * 10,
    }
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let pool = Pool::builder().workers(2).timeout(Duration::from_secs(2)).build()?;
    for outcome in pool.imap(risky, 0..6)? {
        match outcome.result {
            Ok(n) => println!("task {}: {n}", outcome.index),
            Err(failure) => match failure.kind() {
                FailureKind::Panicked { message, .. } => println!("task {}: panicked: {message}", failure.index()),
                FailureKind::TimedOut { limit, .. } => println!("task {}: longer than {limit:?}", failure.index()),
                other => println!("task {}: {other}", failure.index()),
            },
        }
    }
    Ok(())
}
