//! A sum of decimals that does not depend on their order.

use serde::{Deserialize, Serialize};

/// Numbers have 18 digits at most, and are between 5e-324 and 1.8e308.
const MAX_EXPONENT: u32 = 400;

/// One sum for each exponent: numbers have 18 digits at most, so none of them overflows, and all are exact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum(Vec<(i32, i128)>);

impl Sum {
    /// Adds `mantissa` times ten to the power of `exponent`. Tells how many bytes of memory that took.
    pub fn add(&mut self, mantissa: i64, exponent: i32) -> usize {
        self.add_wide(mantissa.into(), exponent)
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Sum) {
        for (exponent, mantissa) in &other.0 {
            self.add_wide(*mantissa, *exponent);
        }
    }

    /// Whether it is one that numbers can have: exponents in order, and such as an f64 has.
    pub fn is_sound(&self) -> bool {
        self.0.is_sorted_by(|(left, _), (right, _)| left < right)
            && self.0.iter().all(|(exponent, _)| exponent.unsigned_abs() <= MAX_EXPONENT)
    }

    fn add_wide(&mut self, mantissa: i128, exponent: i32) -> usize {
        match self.0.binary_search_by_key(&exponent, |(known, _)| *known) {
            Ok(at) => {
                self.0[at].1 = self.0[at].1.saturating_add(mantissa);
                0
            }
            Err(at) => {
                let before = self.0.capacity();
                self.0.insert(at, (exponent, mantissa));
                (self.0.capacity() - before) * size_of::<(i32, i128)>()
            }
        }
    }

    /// The sum by a count: also of numbers whose sum is beyond all that an f64 holds.
    pub fn mean(&self, count: u64) -> f64 {
        let count = count as f64;
        match self.total(0) {
            total if total.is_finite() => total / count,
            // A count has no more than 20 digits.
            _ => self.total(-20) / count * 1e20,
        }
    }

    /// The sum times ten to the power of `shift`, rounded once if it can be written with 38 digits. Of others the error is
    /// below 1e-14 of the sum of all sizes.
    fn total(&self, shift: i32) -> f64 {
        let least = self.0.first().map_or(0, |(exponent, _)| *exponent);
        let exact = self.0.iter().try_fold(0_i128, |sum, (exponent, mantissa)| {
            let power = 10_i128.checked_pow(exponent.checked_sub(least)?.try_into().ok()?)?;
            sum.checked_add(mantissa.checked_mul(power)?)
        });
        match exact {
            Some(sum) => nearest(sum, least.saturating_add(shift)),
            // The small ones first: always the same order.
            None => self.0.iter().map(|(exponent, mantissa)| nearest(*mantissa, exponent.saturating_add(shift))).sum(),
        }
    }
}

/// The nearest f64.
fn nearest(mantissa: i128, exponent: i32) -> f64 {
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}
