//! Quantiles of any number of numbers in little memory: DDSketch.
//!
//! Numbers are counted in buckets whose borders are powers of `gamma`, so that the middle of a bucket is within 1 % of
//! every number in it. Two sketches are merged by adding counts, in any order, and lose nothing by it. From: Masson, Rim,
//! Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019. Unlike there,
//! buckets are never collapsed: all that an f64 can hold fits in 74,000 of each sign.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The relative error of a quantile.
pub const ERROR: f64 = 0.01;
const GAMMA: f64 = (1.0 + ERROR) / (1.0 - ERROR);
/// Makes all indexes of positive numbers positive: the least f64 has -37,220.
const OFFSET: i32 = 40_000;
/// About the bytes of a bucket in the map, and of the first one: a map's node has room for eleven.
const BUCKET_BYTES: usize = 32;
const FIRST_BUCKET_BYTES: usize = 160;

/// Counts by bucket: 0 of zeros, above it of positive numbers, below it of negative ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch(BTreeMap<i32, u64>);

impl Sketch {
    /// Counts a number, which is finite. Tells how many bytes of memory that took.
    pub fn add(&mut self, value: f64) -> usize {
        let before = self.0.len();
        *self.0.entry(bucket(value)).or_insert(0) += 1;
        match self.0.len() - before {
            0 => 0,
            _ if before == 0 => FIRST_BUCKET_BYTES,
            _ => BUCKET_BYTES,
        }
    }

    /// Whether all buckets are some that numbers can have.
    pub fn is_sound(&self) -> bool {
        let ends = [self.0.first_key_value(), self.0.last_key_value()];
        ends.into_iter().flatten().all(|(bucket, _)| bucket.unsigned_abs() <= 2 * OFFSET.unsigned_abs())
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Sketch) {
        for (bucket, count) in &other.0 {
            let sum = self.0.entry(*bucket).or_insert(0);
            *sum = sum.saturating_add(*count);
        }
    }

    /// Within 1 % of the number that has `q` of the others below it: of n numbers in order, that at place q times (n - 1),
    /// counted from 0. None if there is no number.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.0.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let place = (q * count.saturating_sub(1) as f64) as u64;
        let mut seen = 0_u64;
        let at = self.0.iter().find(|(_, count)| {
            seen = seen.saturating_add(**count);
            seen > place
        });
        at.map(|(bucket, _)| middle(*bucket))
    }
}

fn bucket(value: f64) -> i32 {
    if value == 0.0 {
        return 0;
    }
    let index = (value.abs().ln() / GAMMA.ln()).ceil() as i32 + OFFSET;
    if value < 0.0 { -index } else { index }
}

/// The number that has the same relative distance to both ends of a bucket.
fn middle(bucket: i32) -> f64 {
    match bucket {
        0 => 0.0,
        _ => {
            let index = f64::from(bucket.saturating_abs()) - f64::from(OFFSET);
            f64::from(bucket.signum()) * (index * GAMMA.ln()).exp() * 2.0 / (1.0 + GAMMA)
        }
    }
}
