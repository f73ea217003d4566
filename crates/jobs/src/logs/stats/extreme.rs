//! The least or the largest of numbers, as it stands in the input.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::number::Number;
use crate::expr::compare_numbers;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The least.
    Least,
    /// The largest.
    Largest,
}

/// The best one so far, if there was any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extreme(Option<(f64, Box<[u8]>)>);

impl Extreme {
    /// Looks at a number. Tells how many bytes of memory that took.
    pub fn add(&mut self, side: Side, value: f64, text: &[u8]) -> usize {
        let before = match &self.0 {
            Some((best, known)) if !is_better(side, (value, text), (*best, known)) => return 0,
            Some((_, known)) => known.len(),
            None => 0,
        };
        self.0 = Some((value, text.into()));
        text.len().saturating_sub(before)
    }

    /// Looks at that of others.
    pub fn merge(&mut self, side: Side, other: &Extreme) {
        if let Some((value, text)) = &other.0 {
            self.add(side, *value, text);
        }
    }

    /// Whether it is a number as [`Number::read`] reads it.
    pub fn is_sound(&self) -> bool {
        self.0.as_ref().is_none_or(|(value, text)| Number::read(text).is_some_and(|number| number.value == *value))
    }

    /// The nearest f64.
    pub fn value(&self) -> Option<f64> {
        self.0.as_ref().map(|(value, _)| *value)
    }

    /// As it stands in the input.
    pub fn text(&self) -> Option<String> {
        self.0.as_ref().map(|(_, text)| String::from_utf8_lossy(text).into_owned())
    }
}

/// Compares as f64, which tells most of them apart, then by all digits. Of equal ones the shorter text is better, so that
/// the result does not depend on their order.
fn is_better(side: Side, left: (f64, &[u8]), right: (f64, &[u8])) -> bool {
    let by_size = left.0.total_cmp(&right.0).then_with(|| compare_numbers(left.1, right.1));
    let by_size = if side == Side::Least { by_size } else { by_size.reverse() };
    by_size.then_with(|| (left.1.len(), left.1).cmp(&(right.1.len(), right.1))) == Ordering::Less
}
