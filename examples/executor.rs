//! The calls of an executor: `map` in order, `submit` for a future, `as_completed` for whatever is ready first.

use procession::{Pool, as_completed};

fn square(n: u64) -> u64 {
    n * n
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let numbers = 1..=10;
    let executor = Pool::builder().workers(4).build()?;

    let squares = executor.map(square, numbers.clone())?;
    println!("Squares: {squares:?}");

    let futures: Result<Vec<_>, _> = numbers.map(|n| executor.submit(square, n)).collect();
    let mut sum = 0;
    for (position, outcome) in as_completed(futures?) {
        match outcome.result {
            Ok(square) => sum += square,
            Err(failure) => println!("The square of {} is missing: {failure}", position + 1),
        }
    }
    println!("Sum of the squares: {sum}");
    Ok(())
}
