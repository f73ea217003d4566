//! Run a function over many items, on all cores.

use procession::Pool;

fn square(n: u64) -> u64 {
    n * n
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let pool = Pool::new()?;
    println!("{:?}", pool.map(square, 1..=5)?);
    println!("{:?}", pool.map(|(base, exponent): (u64, u32)| base.pow(exponent), [(2, 10), (3, 4)])?);
    // What all tasks share is sent once to each worker.
    let limits = vec![10, 20, 30];
    println!(
        "{:?}",
        pool.map_with(&limits, |limits: &Vec<u64>, n: u64| limits.iter().filter(|&&l| n < l).count(), [5, 25])?
    );
    Ok(())
}
