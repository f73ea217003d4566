//! Which types a column can have, by the values that were seen.

use serde::{Deserialize, Serialize};

use super::value::{number, text};
use super::{Cell, Origin, Raw, Type, digits};

/// The types that all values seen so far have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Possible(u8);

const INT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 4;
const NESTED: u8 = 8;
/// Floating point, where whole numbers have a point.
const POINTED: u8 = 32;
const ALL: u8 = INT | FLOAT | POINTED | BOOL | NESTED;
/// No value was seen.
const NONE_SEEN: u8 = 16;

impl Default for Possible {
    fn default() -> Possible {
        Possible(ALL | NONE_SEEN)
    }
}

impl Possible {
    /// Takes in a value. A text counts as a number only if all values of the input are text.
    pub fn note(&mut self, raw: &Raw<'_>, origin: Origin) {
        let is_from_text = origin == Origin::Text;
        let of_value = match raw {
            Raw::Null | Raw::Made(Cell::Null) => return,
            Raw::Bool(_) | Raw::Made(Cell::Bool(_)) => BOOL,
            Raw::Nested(_) | Raw::Made(Cell::Nested(_)) => NESTED,
            _ if is_from_text && matches!(text(raw).as_deref(), Some("true" | "false")) => BOOL,
            _ => number(raw, is_from_text).map_or(0, |text| {
                let as_int = digits::int(&text, true).map_or(0, |_| INT);
                let as_float = digits::exact_float(&text).map_or(0, |_| FLOAT);
                as_int | as_float | digits::exact_pointed_float(&text).map_or(0, |_| POINTED)
            }),
        };
        self.0 &= of_value;
    }

    /// What the values of both have.
    pub fn and(self, other: Possible) -> Possible {
        Possible(self.0 & other.0)
    }

    /// The type that holds all the values, as they are written: text holds any.
    pub fn wanted(self) -> Type {
        match self.0 {
            seen if seen & NONE_SEEN != 0 => Type::Text,
            seen if seen & INT != 0 => Type::Int,
            seen if seen & FLOAT != 0 => Type::Float,
            seen if seen & POINTED != 0 => Type::PointedFloat,
            seen if seen & BOOL != 0 => Type::Bool,
            seen if seen & NESTED != 0 => Type::Json,
            _ => Type::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_of_all_values_is_taken() {
        for (values, of_text, of_json) in [
            (&["1", "-5"][..], Type::Int, Type::Int),
            (&["1", "1.5"], Type::Float, Type::Float),
            (&["1.0", "1.5"], Type::PointedFloat, Type::PointedFloat),
            (&["1.0", "1"], Type::Text, Type::Text),
            (&["1", "1.50"], Type::Text, Type::Text),
            (&["9223372036854775808"], Type::Text, Type::Text),
            (&["9223372036854775807", "1.5"], Type::Text, Type::Text),
            (&["true", "false"], Type::Bool, Type::Bool),
            (&["true", "1"], Type::Text, Type::Text),
            (&["007"], Type::Text, Type::Text),
            (&["[1]", "{}"], Type::Text, Type::Json),
            (&[], Type::Text, Type::Text),
        ] {
            let (mut text, mut json) = (Possible::default(), Possible::default());
            for value in values {
                text.note(&Raw::Text(value.as_bytes()), Origin::Text);
                json.note(
                    &match *value {
                        "true" | "false" => Raw::Bool(*value == "true"),
                        nested if nested.starts_with(['[', '{']) => Raw::Nested(nested.as_bytes()),
                        "007" => Raw::Text(b"007"),
                        number => Raw::Number(number.as_bytes()),
                    },
                    Origin::Json,
                );
            }
            assert_eq!((text.wanted(), json.wanted()), (of_text, of_json), "{values:?}");
            assert_eq!(text.and(Possible::default()), text);
        }
        let mut text = Possible::default();
        text.note(&Raw::Text(b"1"), Origin::Json);
        assert_eq!(text.wanted(), Type::Text);
    }
}
