//! Numbers by their digits: as integers, decimals and floating point, or not at all.

use crate::data::json::is_number;
use crate::expr::Decimal;

/// The integer that a number of JSON is, if 64 bits hold it; with `is_exact`, if it would be written as the same text.
pub fn int(text: &str, is_exact: bool) -> Option<i64> {
    match text.parse() {
        Ok(number) => (is_number(text.as_bytes()) && !(is_exact && text == "-0")).then_some(number),
        Err(_) if is_exact => None,
        Err(_) => exact(text)?.to_integer(),
    }
}

/// The number in floating point, if its shortest text means the same.
pub fn float(text: &str) -> Option<f64> {
    let means_same = |number: f64| Some(Decimal::parse(&shortest(number))?.compare(exact(text)?).is_eq());
    parse_float(text).filter(|number| is_short(text) || means_same(*number) == Some(true))
}

/// The number in floating point, if that is written as the same text: whole ones without a point.
pub fn exact_float(text: &str) -> Option<f64> {
    parse_float(text).filter(|number| is_short(text) || shortest(*number) == text)
}

/// The same with a point.
pub fn exact_pointed_float(text: &str) -> Option<f64> {
    parse_float(text).filter(|number| is_short(text) && text.contains('.') || pointed(*number) == text)
}

fn parse_float(text: &str) -> Option<f64> {
    if !is_number(text.as_bytes()) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a number has so few digits that floating point gives just them back.
fn is_short(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_plain = unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_whole = !unsigned.contains('.');
    is_plain && unsigned.len() <= 15 && (is_whole || !unsigned.ends_with('0') && !unsigned.starts_with("0.0000"))
}

/// The number in ten's powers of `-scale`, if it has no digits behind those and no more than so many in all.
pub fn decimal(text: &str, max_digits: u8, scale: u8) -> Option<i128> {
    exact(text)?.scaled(scale, max_digits)
}

/// A number of JSON with all its digits, if those are not more than 38.
fn exact(text: &str) -> Option<Decimal> {
    is_number(text.as_bytes()).then(|| Decimal::parse(text)).flatten()
}

/// The shortest text that is read as the same number: `1`, `0.1`, `1e300`; also `NaN`, `inf` and `-inf`, which are no JSON.
pub fn shortest(number: f64) -> String {
    without_point(pointed(number))
}

/// The same, of whole numbers with a point: `1.0`.
pub fn pointed(number: f64) -> String {
    format!("{number:?}")
}

/// The shortest text of 32 bits.
pub fn shortest_of_32(number: f32) -> String {
    without_point(format!("{number:?}"))
}

fn without_point(mut text: String) -> String {
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_what_they_are_or_nothing() {
        for (text, exact, by_value) in [
            ("0", Some(0), Some(0)),
            ("-0", None, Some(0)),
            ("-9223372036854775808", Some(i64::MIN), Some(i64::MIN)),
            ("9223372036854775808", None, None),
            ("1e3", None, Some(1000)),
            ("12.50e1", None, Some(125)),
            ("1.5", None, None),
            ("007", None, None),
            ("+1", None, None),
            ("1e999999999", None, None),
            ("", None, None),
        ] {
            assert_eq!((int(text, true), int(text, false)), (exact, by_value), "{text}");
        }
        for (text, exact, by_value) in [
            ("1.5", true, true),
            ("1", true, true),
            ("-0", true, true),
            ("1.50", false, true),
            ("1.0", false, true),
            ("0.1", true, true),
            ("0.0001", true, true),
            ("0.00001", false, true),
            ("0.000001", false, true),
            ("1e-6", true, true),
            ("1E-6", false, true),
            ("9007199254740993", false, false),
            ("0.1234567890123456789", false, false),
            ("1e400", false, false),
            ("01", false, false),
        ] {
            assert_eq!((exact_float(text).is_some(), float(text).is_some()), (exact, by_value), "{text}");
            let has_point = text.contains('.') || text.contains('e');
            let is_pointed = exact && has_point || text == "1.0";
            assert_eq!(exact_pointed_float(text).is_some(), is_pointed, "{text}");
        }
        for (text, found) in [
            ("1.50", Some(150)),
            ("-1.5", Some(-150)),
            ("1e2", Some(10_000)),
            ("1.005", None),
            ("1.500", Some(150)),
            ("1000", None),
            ("999.99", Some(99_999)),
            ("0.000", Some(0)),
        ] {
            assert_eq!(decimal(text, 5, 2), found, "{text}");
        }
    }

    proptest! {
        /// What is taken for short is written as the same text.
        #[test]
        fn short_numbers_come_back(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{0,7}[1-9])?") {
            let number = text.parse().map(shortest).unwrap();
            prop_assert!(!is_short(&text) || number == text, "{} {}", number, text);
            prop_assert_eq!(exact_float(&text).is_some(), number == text);
        }

        #[test]
        fn shortest_texts_are_exact(bits: u64) {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                prop_assert_eq!(exact_float(&shortest(number)).map(f64::to_bits), Some(bits));
                prop_assert_eq!(exact_pointed_float(&pointed(number)).map(f64::to_bits), Some(bits));
            }
        }
    }
}
