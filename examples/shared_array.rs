//! A million numbers in shared memory, squared in place by four processes, each its own part.

use procession::{Array, Process};

const SIZE: usize = 1_000_000;
const PROCESSES: usize = 4;

fn square((array, start, end): (Array<f64>, usize, usize)) {
    for i in start..end {
        // One load and one store: nobody else has this element, so no lock is needed.
        array.set(i, array.get(i).unwrap().powi(2));
    }
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let numbers: Vec<f64> = (0..SIZE).map(|i| i as f64).collect();
    let array = Array::from_slice(&numbers)?;
    let mut processes = vec![];
    for n in 0..PROCESSES {
        let (start, end) = (n * SIZE / PROCESSES, (n + 1) * SIZE / PROCESSES);
        processes.push(Process::spawn(square, (array.clone(), start, end))?);
    }
    for process in &mut processes {
        assert!(process.join()?.success());
    }
    println!("First 10 elements: {:?}", array.iter().take(10).collect::<Vec<_>>());
    let sum: f64 = array.iter().sum();
    println!("Sum: {sum:e}");
    Ok(())
}
