//! Numbers to calculate with: decimals that are exact while 38 digits are enough, and rounded as an f64 beyond.
//!
//! An f64 is written with 17 digits at most, so it is a decimal too: what f64 arithmetic yields is kept as the shortest
//! decimal that reads back as the same f64, and one type is enough.

use std::cmp::Ordering;
use std::fmt;

use super::digits::Digits;

/// Digits that a decimal keeps.
const MAX_DIGITS: u32 = 38;
/// Exponents within which a decimal is calculated with.
const MAX_EXPONENT: i64 = 1_000_000;
/// Numbers that need more digits than this are written with an exponent.
const MAX_SHOWN_DIGITS: i64 = 38;
/// All powers of ten that an i128 can hold.
pub(super) const POWERS: [i128; MAX_DIGITS as usize + 1] = {
    let mut powers = [1; MAX_DIGITS as usize + 1];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// `mantissa` times ten to the power of `exponent`; the mantissa has 38 digits at most.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    pub(super) mantissa: i128,
    pub(super) exponent: i64,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { mantissa: 0, exponent: 0 };

    /// [`None`] if it is too large or too small to be kept.
    pub(super) fn new(mantissa: i128, exponent: i64) -> Option<Decimal> {
        if mantissa == 0 {
            return Some(Decimal::ZERO);
        }
        let is_kept = mantissa.unsigned_abs() < POWERS[38].unsigned_abs() && exponent.abs() <= MAX_EXPONENT;
        is_kept.then_some(Decimal { mantissa, exponent })
    }

    /// The number that a text says, exactly; [`None`] if that takes more digits, or it is no number.
    pub fn parse(text: &str) -> Option<Decimal> {
        // Most numbers are short and whole.
        let digits = text.strip_prefix('-').unwrap_or(text);
        if (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let size = digits.bytes().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            let mantissa = if digits.len() < text.len() { -size } else { size };
            return Some(Decimal { mantissa: mantissa.into(), exponent: 0 });
        }
        Decimal::from_digits(&Digits::parse(text)?)
    }

    /// The same number, exactly; [`None`] if that takes more digits.
    pub fn from_digits(digits: &Digits<'_>) -> Option<Decimal> {
        let fraction_digits = digits.fraction.len() as i64;
        let whole = if digits.fraction.is_empty() { digits.whole.trim_end_matches('0') } else { digits.whole };
        let zeros = (digits.whole.len() - whole.len()) as i64;
        let fraction = if digits.whole.is_empty() { digits.fraction.trim_start_matches('0') } else { digits.fraction };
        if whole.len() + fraction.len() > MAX_DIGITS as usize {
            return None;
        }
        let size = whole.bytes().chain(fraction.bytes()).fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        Decimal::new(if digits.is_negative { -size } else { size }, digits.exponent + zeros - fraction_digits)
    }

    /// The shortest decimal that reads back as `value`; [`None`] if that is not finite.
    pub(super) fn from_f64(value: f64) -> Option<Decimal> {
        value.is_finite().then(|| Decimal::parse(&format!("{value:e}"))).flatten()
    }

    /// The number that a text of any length says, rounded as an f64 if need be. [`None`] if an f64 cannot hold it.
    pub fn nearest(text: &str) -> Option<Decimal> {
        Decimal::parse(text).or_else(|| Decimal::from_f64(text.parse().ok()?))
    }

    pub(super) fn to_f64(self) -> f64 {
        const EXACT_POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
            1e19, 1e20, 1e21, 1e22,
        ];
        // One operation on two numbers that are exact is rounded once.
        if self.mantissa.unsigned_abs() <= 1 << 53
            && let Some(power) = EXACT_POWERS.get(self.exponent.unsigned_abs() as usize)
        {
            let mantissa = self.mantissa as f64;
            return if self.exponent < 0 { mantissa / power } else { mantissa * power };
        }
        format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or(f64::NAN)
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The number as an integer, if it is one that fits.
    pub fn to_integer(self) -> Option<i64> {
        let (mantissa, exponent) = self.stripped();
        i64::try_from(scaled(mantissa, exponent)?).ok()
    }

    /// The number in ten's powers of `-places`, if it has no digits behind those and no more than so many in all.
    pub fn scaled(self, places: u8, max_digits: u8) -> Option<i128> {
        let (mantissa, exponent) = self.stripped();
        let number = scaled(mantissa, exponent + i64::from(places))?;
        let limit = POWERS.get(usize::from(max_digits))?.unsigned_abs();
        (number.unsigned_abs() < limit).then_some(number)
    }

    pub fn compare(self, other: Decimal) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign.is_ne() || self.exponent == other.exponent {
            return by_sign.then(self.mantissa.cmp(&other.mantissa));
        }
        match self.aligned(other) {
            Some((left, right, _)) => left.cmp(&right),
            // One is so much larger that the other's last digit is out of its sight; both have one sign.
            None if self.exponent > other.exponent => self.mantissa.cmp(&0),
            None => 0.cmp(&other.mantissa),
        }
    }

    /// Both mantissas with one exponent, if they fit.
    pub(super) fn aligned(self, other: Decimal) -> Option<(i128, i128, i64)> {
        let exponent = self.exponent.min(other.exponent);
        let align = |number: Decimal| scaled(number.mantissa, number.exponent - exponent);
        Some((align(self)?, align(other)?, exponent))
    }

    /// Without trailing zeros.
    pub(super) fn stripped(self) -> (i128, i64) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 10 == 0 {
            (mantissa, exponent) = (mantissa / 10, exponent + 1);
        }
        (mantissa, exponent)
    }

    /// Compares with a number of any length.
    pub fn compare_digits(self, other: &Digits<'_>) -> Ordering {
        let digits = self.mantissa.unsigned_abs().to_string();
        let whole = digits.trim_start_matches('0');
        Digits { is_negative: self.mantissa < 0, whole, fraction: "", exponent: self.exponent }.compare(other)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Decimal {
        Decimal { mantissa: number.into(), exponent: 0 }
    }
}

/// `mantissa` times ten to the power of `exponent`, if it is an integer and fits.
fn scaled(mantissa: i128, exponent: i64) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    mantissa.checked_mul(*POWERS.get(usize::try_from(exponent).ok()?)?)
}

/// A JSON number: no trailing zeros behind the point, and an exponent only where there would be more than 38 digits.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mantissa, exponent) = self.stripped();
        let sign = if mantissa < 0 { "-" } else { "" };
        let digits = mantissa.unsigned_abs().to_string();
        let before_point = digits.len() as i64 + exponent;
        if exponent >= 0 && before_point <= MAX_SHOWN_DIGITS {
            write!(f, "{sign}{digits}{:0<zeros$}", "", zeros = exponent as usize)
        } else if (-MAX_SHOWN_DIGITS..0).contains(&exponent) {
            match usize::try_from(before_point) {
                Ok(whole) if whole > 0 => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
                _ => write!(f, "{sign}0.{digits:0>places$}", places = -exponent as usize),
            }
        } else {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            write!(f, "{sign}{first}{point}{rest}e{}", before_point - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn is_written_without_needless_digits() {
        for (text, shown) in [
            ("-0", "0"),
            ("007", "7"),
            ("+1.500", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0.05", "-0.05"),
            ("1e3", "1000"),
            ("12.5e-3", "0.0125"),
            ("1e37", "10000000000000000000000000000000000000"),
            ("1e38", "1e38"),
            ("-1.25E+400", "-1.25e400"),
            ("1e-38", "0.00000000000000000000000000000000000001"),
            ("1e-39", "1e-39"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(decimal(text).to_string(), shown);
        }
        for text in
            ["", "-", "+", ".", "e1", "1e", "1e+", "--1", "1.2.3", " 1", "1 ", "0x1", "inf", "NaN", "1_0", "\u{661}"]
        {
            assert!(Decimal::parse(text).is_none() && Digits::parse(text).is_none(), "{text}");
        }
        assert!(Decimal::parse("999999999999999999999999999999999999999").is_none());
        assert!(Decimal::parse("1e1000001").is_none());
        assert!(Decimal::parse("1e99999999999999999999999").is_none());
    }

    proptest! {
        /// Comparison by digits, by decimals, and between both, is the same as that of f64 where these are exact.
        #[test]
        fn all_comparisons_agree(left in "[+-]?[0-9]{1,4}(\\.[0-9]{0,3})?(e[+-]?[0-3])?", right in "-?[0-2]{1,2}(\\.0{1,2}[0-9])?(e-?[0-2])?") {
            let scaled = |text: &str| (text.parse::<f64>().unwrap() * 1e8).round();
            let expected = scaled(&left).total_cmp(&(scaled(&right) + 0.0));
            let expected = if scaled(&left) == scaled(&right) { Ordering::Equal } else { expected };
            let (digits, other) = (Digits::parse(&left).unwrap(), Digits::parse(&right).unwrap());
            prop_assert_eq!(digits.compare(&other), expected);
            prop_assert_eq!(decimal(&left).compare(decimal(&right)), expected);
            prop_assert_eq!(decimal(&left).compare_digits(&other), expected);
            prop_assert_eq!(decimal(&left).to_f64(), left.parse::<f64>().unwrap());
        }
    }
}
