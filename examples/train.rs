//! Train a model on each chunk of a data set: logistic regression by gradient descent.

use std::error::Error;

use procession::Pool;

const FEATURES: usize = 20;
const CHUNKS: usize = 4;

/// What is known of one thing, and whether it is of the class that is to be recognised.
type Sample = ([f64; FEATURES], bool);

/// Trains on four fifths of the chunk; returns the part of the other fifth that the model gets right.
fn train_model(chunk: Vec<Sample>) -> f64 {
    let (held_out, training) = chunk.split_at(chunk.len() / 5);
    let mut weights = [0.0; FEATURES];
    for _ in 0..50 {
        let mut gradient = [0.0; FEATURES];
        for (features, label) in training {
            let error = f64::from(u8::from(*label)) - 1.0 / (1.0 + (-product(&weights, features)).exp());
            gradient.iter_mut().zip(features).for_each(|(sum, feature)| *sum += error * feature);
        }
        let step = 10.0 / training.len() as f64;
        weights.iter_mut().zip(gradient).for_each(|(weight, sum)| *weight += step * sum);
    }
    let right = held_out.iter().filter(|(features, label)| (product(&weights, features) > 0.0) == *label).count();
    right as f64 / held_out.len() as f64
}

fn product(a: &[f64; FEATURES], b: &[f64; FEATURES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Samples whose class depends on a weighted sum of their features, and a bit on chance.
fn make_classification(count: usize) -> Vec<Sample> {
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let weights: [f64; FEATURES] = std::array::from_fn(|_| next_random(&mut random));
    let mut sample = || {
        let features = std::array::from_fn(|_| next_random(&mut random));
        (features, product(&weights, &features) + next_random(&mut random) / 2.0 > 0.0)
    };
    (0..count).map(|_| sample()).collect()
}

/// A number from -1 to 1 (xorshift64).
fn next_random(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let samples = make_classification(40_000);
    let every_nth = |first| samples.iter().skip(first).step_by(CHUNKS).copied().collect();
    let accuracies = Pool::new()?.map(train_model, (0..CHUNKS).map(every_nth))?;
    println!("Accuracy for each chunk: {accuracies:.3?}");
    Ok(())
}
