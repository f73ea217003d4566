//! Comparisons: numbers as numbers, whatever their length, and all else as texts.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::digits::Digits;
use super::value::{Value, read_truth};
use crate::data::Cell;

/// How two values stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// One of them is null.
    Unknown,
    Ordered(Ordering),
    /// Not equal, and neither comes first: a number and a text that is none.
    Different,
}

/// `=`, `!=` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    /// What the operator says of a comparison; [`None`] for null.
    pub fn holds(self, comparison: Comparison) -> Option<bool> {
        match (self, comparison) {
            (_, Comparison::Unknown) => None,
            (CompareOp::Equal, Comparison::Different) => Some(false),
            (CompareOp::NotEqual, Comparison::Different) => Some(true),
            (_, Comparison::Different) => None,
            (CompareOp::Equal, Comparison::Ordered(order)) => Some(order.is_eq()),
            (CompareOp::NotEqual, Comparison::Ordered(order)) => Some(order.is_ne()),
            (CompareOp::Less, Comparison::Ordered(order)) => Some(order.is_lt()),
            (CompareOp::LessOrEqual, Comparison::Ordered(order)) => Some(order.is_le()),
            (CompareOp::Greater, Comparison::Ordered(order)) => Some(order.is_gt()),
            (CompareOp::GreaterOrEqual, Comparison::Ordered(order)) => Some(order.is_ge()),
        }
    }
}

/// Compares the texts of two numbers, exactly. What is no number is compared as bytes.
pub fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let digits = |text| std::str::from_utf8(text).ok().and_then(Digits::parse);
    match (digits(left), digits(right)) {
        (Some(left), Some(right)) => left.compare(&right),
        _ => left.cmp(right),
    }
}

/// Compares two values.
pub fn compare(left: &Value<'_>, right: &Value<'_>) -> Comparison {
    use Value::Cell as Of;
    match (left, right) {
        (Of(Cell::Null), _) | (_, Of(Cell::Null)) => Comparison::Unknown,
        (Of(Cell::Text(left) | Cell::Nested(left)), Of(Cell::Text(right) | Cell::Nested(right))) => {
            Comparison::Ordered(left.cmp(right))
        }
        (Of(Cell::Bool(left)), right) => compare_truth(Some(*left), truth_of(right)),
        (left, Of(Cell::Bool(right))) => compare_truth(truth_of(left), Some(*right)),
        (Value::Number(left), Value::Number(right)) => Comparison::Ordered(left.compare(*right)),
        (Value::Number(left), Of(right)) => reversed(compare_with_decimal(right, *left)),
        (Of(left), Value::Number(right)) => compare_with_decimal(left, *right),
        (Of(left), Of(right)) => match (digits_of(left), digits_of(right)) {
            (Some(left), Some(right)) => Comparison::Ordered(left.compare(&right)),
            _ => Comparison::Different,
        },
    }
}

fn compare_with_decimal(cell: &Cell<'_>, number: Decimal) -> Comparison {
    let (Cell::Number(text) | Cell::Text(text)) = cell else { return Comparison::Different };
    if let Some(decimal) = Decimal::parse(text) {
        return Comparison::Ordered(decimal.compare(number));
    }
    match Digits::parse(text) {
        Some(digits) => Comparison::Ordered(number.compare_digits(&digits).reverse()),
        None => Comparison::Different,
    }
}

/// The digits of a number, or of a text that is one.
fn digits_of<'a>(cell: &'a Cell<'_>) -> Option<Digits<'a>> {
    match cell {
        Cell::Number(text) | Cell::Text(text) => Digits::parse(text),
        _ => None,
    }
}

/// What is true or false, or a text that says so.
fn truth_of(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Cell(Cell::Bool(is_true)) => Some(*is_true),
        Value::Cell(Cell::Text(text)) => read_truth(text),
        _ => None,
    }
}

fn compare_truth(left: Option<bool>, right: Option<bool>) -> Comparison {
    match (left, right) {
        (Some(left), Some(right)) => Comparison::Ordered(left.cmp(&right)),
        _ => Comparison::Different,
    }
}

fn reversed(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Ordered(order) => Comparison::Ordered(order.reverse()),
        other => other,
    }
}
