//! What is known of the numbers of a field: how many, the least, the largest, their mean and their quantiles.
//!
//! Parts of an input are added in any order, and the result is the same: counts, extremes and sums are exact, and a
//! sketch's buckets are counts, too.

mod extreme;
mod number;
mod sketch;
mod sum;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::data::Raw;

use extreme::{Extreme, Side};
use number::Number;
use sketch::Sketch;
use sum::Sum;

/// The numbers of a field in some lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    count: u64,
    /// Values that are none: texts, or numbers that an f64 cannot hold.
    not_numbers: u64,
    min: Extreme,
    max: Extreme,
    sum: Sum,
    sketch: Sketch,
}

/// What is shown of [`Stats`].
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many numbers there are.
    pub count: u64,
    /// Values that are neither numbers nor null.
    pub not_numbers: u64,
    /// The least number as it stands in the input; none of no numbers, as of all that follow.
    pub min: Option<String>,
    /// Their sum, which is exact while 38 digits are enough, by their count.
    pub mean: Option<f64>,
    /// The quantiles 0.5, 0.9 and 0.99, each within 1 % of the number at that place.
    pub quantiles: [Option<f64>; 3],
    /// The largest number.
    pub max: Option<String>,
}

impl Summary {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        [&self.min, &self.max].into_iter().flatten().map(String::len).sum()
    }
}

/// The quantiles of a [`Summary`] and their names.
pub const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

impl Stats {
    /// About the bytes that one takes before anything is added.
    pub const BYTES: usize = size_of::<Stats>();
    /// No encoded one is longer: 149,000 buckets of 13 bytes, and little else.
    pub const MAX_ENCODED_BYTES: usize = 2 << 20;

    /// Adds a value; null is none. Tells how many bytes of memory that took.
    pub fn add(&mut self, value: &Raw<'_>) -> usize {
        let text = match value {
            Raw::Null => return 0,
            Raw::Number(text) => Cow::Borrowed(*text),
            // A text that is a number counts as one, as in expressions.
            _ => value.text().unwrap_or_default(),
        };
        let Some(number) = Number::read(&text) else {
            self.not_numbers += 1;
            return 0;
        };
        self.count += 1;
        let kept = self.min.add(Side::Least, number.value, &text) + self.max.add(Side::Largest, number.value, &text);
        kept + self.sum.add(number.mantissa, number.exponent) + self.sketch.add(number.value)
    }

    /// Adds those of other lines.
    pub fn merge(&mut self, other: &Stats) {
        self.count = self.count.saturating_add(other.count);
        self.not_numbers = self.not_numbers.saturating_add(other.not_numbers);
        self.min.merge(Side::Least, &other.min);
        self.max.merge(Side::Largest, &other.max);
        self.sum.merge(&other.sum);
        self.sketch.merge(&other.sketch);
    }

    /// Whether it is one that numbers can have. What comes from elsewhere may be any, and take time and memory without end.
    pub fn is_sound(&self) -> bool {
        self.min.is_sound() && self.max.is_sound() && self.sum.is_sound() && self.sketch.is_sound()
    }

    /// What is shown of them.
    pub fn summary(&self) -> Summary {
        let bounds = self.min.value().zip(self.max.value());
        // A bucket's middle may lie beyond the numbers that are in it.
        let quantile = |(_, q)| {
            let (min, max) = bounds?;
            self.sketch.quantile(q).map(|value: f64| value.max(min).min(max))
        };
        Summary {
            count: self.count,
            not_numbers: self.not_numbers,
            min: self.min.text(),
            mean: (self.count > 0).then(|| self.sum.mean(self.count)),
            quantiles: QUANTILES.map(quantile),
            max: self.max.text(),
        }
    }
}
