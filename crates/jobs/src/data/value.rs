//! A value as one of a type, exactly.

use std::borrow::Cow;

use super::{Cell, Raw, Type, digits, parse_day, parse_instant, write_json};

/// What values are in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// They say themselves what they are.
    Json,
    /// All of them are text.
    Text,
    /// They have types, but for JSON none.
    Columns,
}

/// A value in the form in which columns keep it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Without its point.
    Decimal(i128),
    /// Microseconds since 1970.
    Micros(i64),
    /// Days since 1970.
    Days(i32),
    Text(Cow<'a, str>),
}

impl<'s> Value<'s> {
    /// A value as one of `wanted`, if it is one. With `is_exact` it must also be written as the same text again, and a text
    /// is no number unless all values of the input are text.
    pub fn of(raw: &'s Raw<'_>, wanted: Type, is_exact: bool, origin: Origin) -> Option<Value<'s>> {
        if matches!(raw, Raw::Null | Raw::Made(Cell::Null)) {
            return Some(Value::Null);
        }
        let takes_text = !is_exact || origin == Origin::Text;
        match wanted {
            Type::Text => text(raw).or_else(|| json(raw)).map(Value::Text),
            Type::Json => match text(raw).filter(|_| origin != Origin::Json) {
                Some(text) => is_json(&text).then_some(Value::Text(text)),
                None => json(raw).map(Value::Text),
            },
            Type::Bool => match raw {
                Raw::Bool(value) | Raw::Made(Cell::Bool(value)) => Some(Value::Bool(*value)),
                _ => match &*text(raw).filter(|_| takes_text)? {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    _ => None,
                },
            },
            Type::Number => None,
            Type::Int => digits::int(&number(raw, takes_text)?, is_exact).map(Value::Int),
            Type::Float if is_exact => digits::exact_float(&number(raw, takes_text)?).map(Value::Float),
            Type::PointedFloat if is_exact => digits::exact_pointed_float(&number(raw, takes_text)?).map(Value::Float),
            Type::Float | Type::PointedFloat => digits::float(&number(raw, takes_text)?).map(Value::Float),
            Type::Decimal(all, scale) => digits::decimal(&number(raw, takes_text)?, all, scale).map(Value::Decimal),
            Type::Timestamp => parse_instant(&text(raw)?).map(Value::Micros),
            Type::Date => parse_day(&text(raw)?).map(Value::Days),
        }
    }
}

/// The text, if it is one.
pub fn text<'s>(raw: &'s Raw<'_>) -> Option<Cow<'s, str>> {
    match raw {
        Raw::Text(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        Raw::Made(Cell::Text(text)) => Some(Cow::Borrowed(text)),
        _ => String::from_utf8(raw.text()?.into_owned()).ok().map(Cow::Owned),
    }
}

/// The text of a number, or of a text that may be one.
pub fn number<'s>(raw: &'s Raw<'_>, takes_text: bool) -> Option<Cow<'s, str>> {
    match raw {
        Raw::Number(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        Raw::Made(Cell::Number(text)) => Some(Cow::Borrowed(text)),
        _ if takes_text => text(raw),
        _ => None,
    }
}

/// Whether a text is one value of JSON.
pub fn is_json(text: &str) -> bool {
    let mut scan = super::json::Scan::new(text.as_bytes());
    scan.space();
    let is_value = scan.value(0).is_ok();
    scan.space();
    is_value && scan.peek().is_none()
}

fn json<'s>(raw: &Raw<'_>) -> Option<Cow<'s, str>> {
    let mut json = Vec::new();
    write_json(raw, &mut json);
    String::from_utf8(json).ok().map(Cow::Owned)
}
