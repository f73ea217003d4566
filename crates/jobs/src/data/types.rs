//! The types that columns can have.

use serde::{Deserialize, Serialize};

/// Digits that a decimal number may have.
pub const MAX_DIGITS: u8 = 38;

/// A type of `--schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    /// Text
    Text,
    /// A number of JSON
    Number,
    /// true or false
    Bool,
    /// Any value of JSON
    Json,
    /// An integer of 64 bits
    Int,
    /// A number that is the shortest text of one of 64 bits in floating point
    Float,
    /// The same, with a point also where it is whole: `1.0`. No word names it; values tell
    PointedFloat,
    /// A number with so many digits, so many of them behind the point
    Decimal(u8, u8),
    /// An instant by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6), in whole microseconds
    Timestamp,
    /// A day: its year, month and day
    Date,
}

impl Type {
    /// The type that a word names.
    pub fn parse(word: &str) -> Option<Type> {
        match word {
            "text" => Some(Type::Text),
            "number" => Some(Type::Number),
            "bool" => Some(Type::Bool),
            "json" => Some(Type::Json),
            "int" => Some(Type::Int),
            "float" => Some(Type::Float),
            "timestamp" => Some(Type::Timestamp),
            "date" => Some(Type::Date),
            _ => {
                let (digits, scale) = word.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
                let (digits, scale) = (digits.trim().parse().ok()?, scale.trim().parse().ok()?);
                ((1..=MAX_DIGITS).contains(&digits) && scale <= digits).then_some(Type::Decimal(digits, scale))
            }
        }
    }

    /// The words for a value of it.
    pub fn noun(self) -> &'static str {
        match self {
            Type::Text => "a text",
            Type::Number => "a number",
            Type::Bool => "true or false",
            Type::Json => "JSON",
            Type::Int => "an integer of 64 bits without leading zeros",
            Type::Float | Type::PointedFloat => "a number that floating point holds exactly as it is written",
            Type::Decimal(..) => "a decimal number of that many digits",
            Type::Timestamp => "an instant like 2026-01-31T23:59:59Z in whole microseconds",
            Type::Date => "a day like 2026-01-31",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_types() {
        for (word, found) in [
            ("int", Some(Type::Int)),
            ("decimal(18,2)", Some(Type::Decimal(18, 2))),
            ("decimal(38, 38)", Some(Type::Decimal(38, 38))),
            ("decimal(39,2)", None),
            ("decimal(2,3)", None),
            ("decimal(0,0)", None),
            ("decimal(5)", None),
            ("Int", None),
        ] {
            assert_eq!(Type::parse(word), found, "{word}");
        }
    }
}
