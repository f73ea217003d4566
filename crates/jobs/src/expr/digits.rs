//! The digits of a number's text, of any length, compared as numbers.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Exponents are counted up to this and no further, so that places of digits can be added.
const MAX_EXPONENT: i64 = 1 << 59;

/// A number's text in its parts: `whole` `.` `fraction` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy)]
pub struct Digits<'a> {
    pub is_negative: bool,
    /// Without leading zeros.
    pub whole: &'a str,
    /// Without trailing zeros.
    pub fraction: &'a str,
    pub exponent: i64,
}

impl<'a> Digits<'a> {
    /// Reads a whole text: a JSON number, or one with a plus sign, leading zeros, or no digit on one side of its point.
    /// [`None`] if it is no number.
    pub fn parse(text: &'a str) -> Option<Digits<'a>> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => read_exponent(exponent)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        Some(Digits { is_negative: text.starts_with('-'), whole, fraction, exponent })
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// Compares the numbers, exactly; but all exponents beyond 2^59 count as that.
    pub fn compare(&self, other: &Digits<'_>) -> Ordering {
        match (self.sign(), other.sign()) {
            (1, 1) => self.compare_sizes(other),
            (-1, -1) => other.compare_sizes(self),
            (left, right) => left.cmp(&right),
        }
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        if self.is_zero() {
            0
        } else if self.is_negative {
            -1
        } else {
            1
        }
    }

    /// Compares two that are not zero, without their signs.
    fn compare_sizes(&self, other: &Digits<'_>) -> Ordering {
        self.first_place().cmp(&other.first_place()).then_with(|| {
            let (mut left, mut right) = (self.significant(), other.significant());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (left, right) => match left.unwrap_or(b'0').cmp(&right.unwrap_or(b'0')) {
                        Ordering::Equal => (),
                        different => return different,
                    },
                }
            }
        })
    }

    /// The place of the first digit that is not zero: 0 for units, 1 for tens.
    fn first_place(&self) -> i64 {
        let leading = self.fraction.len() - self.fraction.trim_start_matches('0').len();
        let place = if self.whole.is_empty() { -(leading as i64) - 1 } else { self.whole.len() as i64 - 1 };
        place + self.exponent
    }

    /// The digits from the first that is not zero.
    fn significant(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes()).skip_while(|digit| *digit == b'0')
    }
}

/// The text of a number as JSON writes it: `text` itself if it is one already, else with the same digits.
/// [`None`] if it is no number.
pub fn json_number(text: &str) -> Option<Cow<'_, str>> {
    Digits::parse(text)?;
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, rest) = split_digits(unsigned);
    let significant = match whole.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let (point, rest) = match rest.strip_prefix('.') {
        Some(rest) if rest.starts_with(|digit: char| digit.is_ascii_digit()) => (".", rest),
        Some(rest) => ("", rest),
        None => ("", rest),
    };
    let is_as_json =
        !text.starts_with('+') && whole == significant && unsigned.len() == whole.len() + point.len() + rest.len();
    Some(if is_as_json { text.into() } else { format!("{sign}{significant}{point}{rest}").into() })
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0_i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(MAX_EXPONENT));
    Some(if text.starts_with('-') { -size } else { size })
}
