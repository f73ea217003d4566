//! Values of fields and numbers worked out of them, in the forms of the report.

use serde_json::Value;

use crate::logs::groups::KeyPart;
use crate::logs::stats::{QUANTILES, Summary};

/// A value in JSON: a number if that keeps its text, else a text. Arrays and objects are texts of JSON.
pub fn json_part(part: &KeyPart) -> Value {
    match part {
        KeyPart::Null => Value::Null,
        KeyPart::Bool(value) => Value::Bool(*value),
        KeyPart::Number(text) => json_number(text),
        KeyPart::Text(text) | KeyPart::Nested(text) => Value::String(text.clone()),
    }
}

/// A number in JSON if that keeps its text, else its text.
pub fn json_number(text: &str) -> Value {
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(number) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_string()),
    }
}

/// A value in a table; null is empty.
pub fn csv_part(part: &KeyPart) -> String {
    match part {
        KeyPart::Null => String::new(),
        KeyPart::Bool(value) => value.to_string(),
        KeyPart::Number(text) | KeyPart::Text(text) | KeyPart::Nested(text) => text.clone(),
    }
}

/// A value for people: a text that looks like another value is quoted.
pub fn shown_part(part: &KeyPart) -> String {
    match part {
        KeyPart::Null => "null".to_string(),
        KeyPart::Text(text) => {
            let looks_different = text.is_empty()
                || ["null", "true", "false"].contains(&text.as_str())
                || text.starts_with(['{', '[', '"'])
                || crate::data::json::is_number(text.as_bytes());
            if looks_different { format!("{text:?}") } else { text.clone() }
        }
        part => csv_part(part),
    }
}

/// Names of the columns of a [`Summary`].
pub fn summary_names() -> impl Iterator<Item = &'static str> {
    ["count", "min", "mean"].into_iter().chain(QUANTILES.map(|(name, _)| name)).chain(["max"])
}

/// The columns of a [`Summary`], with numbers as `show` has them.
pub fn summary_cells(summary: &Summary, show: fn(f64) -> String) -> impl Iterator<Item = String> {
    let Summary { count, min, mean, quantiles, max, .. } = summary.clone();
    let number = move |value: Option<f64>| value.map_or_else(String::new, show);
    let first = [count.to_string(), min.unwrap_or_default(), number(mean)];
    first.into_iter().chain(quantiles.map(number)).chain([max.unwrap_or_default()])
}

/// A [`Summary`] in JSON.
pub fn summary_json(summary: &Summary) -> Value {
    let exact = |text: &Option<String>| text.as_deref().map_or(Value::Null, json_number);
    let mut object = serde_json::Map::new();
    object.insert("count".into(), summary.count.into());
    object.insert("min".into(), exact(&summary.min));
    object.insert("mean".into(), summary.mean.into());
    for ((name, _), value) in QUANTILES.iter().zip(summary.quantiles) {
        object.insert((*name).into(), value.into());
    }
    object.insert("max".into(), exact(&summary.max));
    object.insert("not_numbers".into(), summary.not_numbers.into());
    Value::Object(object)
}

/// A number with all its digits that count.
pub fn whole(value: f64) -> String {
    match value == 0.0 || (1e-5..1e16).contains(&value.abs()) {
        true => value.to_string(),
        false => format!("{value:e}"),
    }
}

/// A number with four digits that count.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e15).contains(&size) {
        let before_point = if size >= 1.0 { size.log10() as usize + 1 } else { 0 };
        let leading = if size > 0.0 && size < 1.0 { (-size.log10()).floor() as usize } else { 0 };
        let text = format!("{value:.places$}", places = 4_usize.saturating_sub(before_point) + leading);
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
            false => text,
        }
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        for (text, expected) in [
            ("200", serde_json::json!(200)),
            ("-1.5", serde_json::json!(-1.5)),
            ("1.50", serde_json::json!("1.50")),
            ("123456789012345678901234567890", serde_json::json!("123456789012345678901234567890")),
        ] {
            assert_eq!(json_number(text), expected);
        }
    }

    #[test]
    fn no_zeros_are_made_up() {
        for (value, expected) in
            [(0.0, "0"), (-12.25, "-12.25"), (1e308, "1e308"), (-2.5e-7, "-2.5e-7"), (5e15, "5000000000000000")]
        {
            assert_eq!(whole(value), expected);
        }
    }

    #[test]
    fn four_digits_are_enough_for_people() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (41.90783, "41.91"),
            (-1234.5, "-1234"),
            (123_456.7, "123457"),
            (0.012_346, "0.01235"),
            (1e-9, "1.000e-9"),
            (2.5e300, "2.500e300"),
        ] {
            assert_eq!(short(value), expected, "{value}");
        }
    }

    #[test]
    fn texts_that_look_like_other_values_are_quoted() {
        let text = |text: &str| shown_part(&KeyPart::Text(text.into()));
        assert_eq!([text("GET"), text("200"), text(""), text("null")], ["GET", "\"200\"", "\"\"", "\"null\""]);
        assert_eq!(shown_part(&KeyPart::Number("200".into())), "200");
        assert_eq!(shown_part(&KeyPart::Null), "null");
    }
}
