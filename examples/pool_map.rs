//! Run a function over many items, on all cores.

use procession::Pool;

fn process_task(task: u64) -> u64 {
    task * 2
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let pool = Pool::builder().workers(4).build()?;
    println!("Results: {:?}", pool.map(process_task, [1, 2, 3, 4, 5])?);

    // More than one argument is a tuple: Python's starmap.
    println!("Powers: {:?}", pool.map(|(base, exponent): (u64, u32)| base.pow(exponent), [(2, 10), (3, 4)])?);

    // What all tasks share is sent once to each worker.
    let limits = vec![10, 20, 30];
    let count_above = |limits: &Vec<u64>, n: u64| limits.iter().filter(|&&limit| n < limit).count();
    println!("Limits above: {:?}", pool.map_with(&limits, count_above, [5, 25])?);

    // Takes no more tasks, and waits for what runs. Dropping the pool instead would end its workers at once.
    pool.join();
    Ok(())
}
