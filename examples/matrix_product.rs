//! Matrix products one after the other, and on all cores.

use std::time::Instant;

use procession::Pool;

/// Multiplies two random matrices; returns their size, and the sum of the product's diagonal.
fn cpu_intensive_task(size: usize) -> (usize, f64) {
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ size as u64;
    let a: Vec<f64> = (0..size * size).map(|_| next_random(&mut random)).collect();
    let b: Vec<f64> = (0..size * size).map(|_| next_random(&mut random)).collect();
    let mut product = vec![0.0; size * size];
    // Row by row in all three matrices: what is read next lies beside what was read before.
    for (product_row, a_row) in product.chunks_exact_mut(size).zip(a.chunks_exact(size)) {
        for (factor, b_row) in a_row.iter().zip(b.chunks_exact(size)) {
            for (sum, value) in product_row.iter_mut().zip(b_row) {
                *sum += factor * value;
            }
        }
    }
    (size, product.iter().step_by(size + 1).sum())
}

/// A number from 0 to 1 (xorshift64).
fn next_random(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    // The largest first: at the end it would keep one worker busy while the others have nothing left to do.
    let sizes = [500, 400, 300, 200, 100];

    let start = Instant::now();
    let sequential: Vec<(usize, f64)> = sizes.into_iter().map(cpu_intensive_task).collect();
    let sequential_time = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let pool = Pool::new()?;
    let parallel = pool.map(cpu_intensive_task, sizes)?;
    let parallel_time = start.elapsed().as_secs_f64();

    for (size, trace) in &parallel {
        println!("{size} x {size}: trace {trace:.3}");
    }
    println!("Same results: {}", sequential == parallel);
    println!("Sequential: {sequential_time:.3}s");
    println!("Parallel: {parallel_time:.3}s");
    println!("Speedup: {:.2}x", sequential_time / parallel_time);
    Ok(())
}
