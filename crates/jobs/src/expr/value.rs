//! What a part of an expression yields, and how it is taken as a text, a number, or true or false.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::digits::Digits;
use super::error::EvalError;
use crate::data::Cell;
use crate::printable;

/// How many characters of a value are shown in an error.
const SHOWN_CHARACTERS: usize = 40;

/// A value on its way: a cell as it stands, or a number that was calculated.
#[derive(Debug)]
pub enum Value<'a> {
    Cell(Cell<'a>),
    Number(Decimal),
}

impl<'a> Value<'a> {
    pub const NULL: Value<'static> = Value::Cell(Cell::Null);

    pub fn text(text: impl Into<Cow<'a, str>>) -> Value<'a> {
        Value::Cell(Cell::Text(text.into()))
    }

    /// True, false, or null for [`None`].
    pub fn truth(is_true: Option<bool>) -> Value<'a> {
        Value::Cell(is_true.map_or(Cell::Null, Cell::Bool))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Cell(Cell::Null))
    }

    pub fn into_cell(self) -> Cell<'a> {
        match self {
            Value::Cell(cell) => cell,
            Value::Number(number) => Cell::Number(number.to_string().into()),
        }
    }

    /// The value as a text; [`None`] for null. Numbers are as they are written, what is nested is its JSON text.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self.into_cell() {
            Cell::Null => None,
            Cell::Bool(is_true) => Some(truth_text(is_true).into()),
            Cell::Number(text) | Cell::Text(text) | Cell::Nested(text) => Some(text),
        }
    }

    /// The value as a number for `needed_by`, rounded as an f64 if it has more than 38 digits; [`None`] for null.
    pub fn to_number(&self, needed_by: &str) -> Result<Option<Decimal>, EvalError> {
        match self {
            Value::Number(number) => Ok(Some(*number)),
            Value::Cell(Cell::Null) => Ok(None),
            Value::Cell(Cell::Number(text) | Cell::Text(text)) => match Decimal::parse(text) {
                Some(number) => Ok(Some(number)),
                None if Digits::parse(text).is_none() => Err(self.unfit(needed_by, "a number")),
                None => match Decimal::nearest(text) {
                    Some(number) => Ok(Some(number)),
                    None => Err(EvalError::new(format_args!("{needed_by}: {} is out of range", self.shown()))),
                },
            },
            Value::Cell(_) => Err(self.unfit(needed_by, "a number")),
        }
    }

    /// The value as true or false; [`None`] for null.
    pub fn to_truth(&self) -> Result<Option<bool>, EvalError> {
        match self {
            Value::Cell(Cell::Null) => Ok(None),
            Value::Cell(Cell::Bool(is_true)) => Ok(Some(*is_true)),
            Value::Cell(Cell::Text(text)) if read_truth(text).is_some() => Ok(read_truth(text)),
            _ => Err(EvalError::new(format_args!("{} is neither true nor false", self.shown()))),
        }
    }

    /// The error that this value is not what `needed_by` needs.
    pub fn unfit(&self, needed_by: &str, needed: &str) -> EvalError {
        EvalError::new(format_args!("{needed_by}: {} is not {needed}", self.shown()))
    }

    /// The value for an error: short, printable, between backquotes.
    fn shown(&self) -> String {
        let text = match self {
            Value::Number(number) => number.to_string().into(),
            Value::Cell(cell) => Value::Cell(cell.borrowed()).into_text().unwrap_or("null".into()),
        };
        let mut letters = text.chars();
        let begin: String = letters.by_ref().take(SHOWN_CHARACTERS).collect();
        let more = if letters.next().is_some() { "..." } else { "" };
        format!("`{}{more}`", printable(&begin))
    }
}

pub fn truth_text(is_true: bool) -> &'static str {
    if is_true { "true" } else { "false" }
}

pub fn read_truth(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
