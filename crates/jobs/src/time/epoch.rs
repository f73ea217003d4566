//! Numbers since 1970-01-01T00:00:00Z, in units that are told by their magnitude.

use super::Timestamp;
use super::digits::fraction;

/// Reads a number of seconds, milliseconds, microseconds or nanoseconds, with or without a fraction.
///
/// What has up to 11 digits is seconds (up to the year 5138), up to 14 milliseconds (from 1973 on), up to 17 microseconds,
/// beyond that nanoseconds.
#[inline]
pub fn read(text: &[u8]) -> Option<Timestamp> {
    let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let (digits, rest) = text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()));
    // Nineteen digits are nanoseconds up to the year 2286; zeros before a number are no part of it.
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let counted = &digits[zeros..];
    if digits.is_empty() || counted.len() > 19 {
        return None;
    }
    let whole = counted.iter().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let unit: i128 = match counted.len() {
        0..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1000,
        _ => 1,
    };
    let part = match rest.strip_prefix(b".") {
        None if rest.is_empty() => 0,
        None => return None,
        Some(digits) => match fraction(digits)? {
            (billionths, b"") => i128::from(billionths) * unit / 1_000_000_000,
            _ => return None,
        },
    };
    let nanoseconds = whole * unit + part;
    Timestamp::from_nanoseconds(if is_negative { -nanoseconds } else { nanoseconds })
}
