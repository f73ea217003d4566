//! Calculations with decimals: exact while 38 digits are enough, and rounded as an f64 beyond.

use super::decimal::{Decimal, POWERS};

/// Digits of a quotient that is exact; one with more is rounded as an f64.
const MAX_QUOTIENT_DIGITS: usize = 28;

impl Decimal {
    pub fn negated(self) -> Decimal {
        Decimal { mantissa: -self.mantissa, ..self }
    }

    pub fn abs(self) -> Decimal {
        Decimal { mantissa: self.mantissa.abs(), ..self }
    }

    /// The sum. [`None`], here and below, if it is beyond an f64.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() { other } else { self });
        }
        self.aligned(other)
            .and_then(|(left, right, exponent)| Decimal::new(left.checked_add(right)?, exponent))
            .or_else(|| Decimal::from_f64(self.to_f64() + other.to_f64()))
    }

    pub fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(other.negated())
    }

    pub fn times(self, other: Decimal) -> Option<Decimal> {
        let (left, right) = (self.mantissa, other.mantissa);
        left.checked_mul(right)
            .and_then(|product| Decimal::new(product, self.exponent + other.exponent))
            .or_else(|| Decimal::from_f64(self.to_f64() * other.to_f64()))
    }

    /// The quotient: exact if 28 digits are enough. `other` is not zero.
    pub fn divided_by(self, other: Decimal) -> Option<Decimal> {
        self.exact_quotient(other).or_else(|| Decimal::from_f64(self.to_f64() / other.to_f64()))
    }

    fn exact_quotient(self, other: Decimal) -> Option<Decimal> {
        // The quotient is finite if the divisor has no factors but 2 and 5 that the dividend lacks.
        let twos = other.mantissa.trailing_zeros();
        let (mut rest, mut fives) = (other.mantissa.checked_shr(twos)?, 0);
        while rest % 5 == 0 && rest != 0 {
            (rest, fives) = (rest / 5, fives + 1);
        }
        if self.mantissa.checked_rem(rest)? != 0 {
            return None;
        }
        let tens = twos.max(fives);
        let factor = 2_i128.checked_pow(tens - twos)?.checked_mul(5_i128.checked_pow(tens - fives)?)?;
        let quotient = self.mantissa.checked_div(rest)?.checked_mul(factor)?;
        let (mantissa, exponent) = Decimal::new(quotient, self.exponent - other.exponent - i64::from(tens))?.stripped();
        (mantissa.unsigned_abs() < POWERS[MAX_QUOTIENT_DIGITS].unsigned_abs()).then_some(Decimal { mantissa, exponent })
    }

    /// What a division leaves, with the sign of `self`. `other` is not zero.
    pub fn remainder(self, other: Decimal) -> Option<Decimal> {
        self.aligned(other)
            .and_then(|(left, right, exponent)| Decimal::new(left.checked_rem(right)?, exponent))
            .or_else(|| Decimal::from_f64(self.to_f64() % other.to_f64()))
    }

    /// The nearest with `digits` behind the point (or zeros before it, if negative); halves go away from zero.
    pub fn rounded(self, digits: i64) -> Option<Decimal> {
        self.cut(digits, |quotient, rest, power| {
            let is_up = rest.unsigned_abs() >= power.unsigned_abs() - rest.unsigned_abs();
            quotient + if is_up { rest.signum() } else { 0 }
        })
    }

    /// The largest integer that is not larger.
    pub fn floor(self) -> Option<Decimal> {
        self.cut(0, |quotient, rest, _| quotient - i128::from(rest < 0))
    }

    /// The smallest integer that is not smaller.
    pub fn ceil(self) -> Option<Decimal> {
        self.cut(0, |quotient, rest, _| quotient + i128::from(rest > 0))
    }

    /// Cuts off all behind the digit at `digits`; `round` is told what is left, what was cut off, and of how much.
    fn cut(self, digits: i64, round: impl Fn(i128, i128, i128) -> i128) -> Option<Decimal> {
        let Some(cut) = digits.checked_neg()?.checked_sub(self.exponent).filter(|cut| *cut > 0) else {
            return Some(self);
        };
        // What is cut off behind more digits than there are is less than half of what remains of them.
        let (quotient, rest, power) = match POWERS.get(cut as usize) {
            Some(power) => (self.mantissa / power, self.mantissa % power, *power),
            None => (0, self.mantissa.signum(), POWERS[38]),
        };
        let mantissa = round(quotient, rest, power);
        Decimal::new(mantissa, -digits)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn divides_exactly_up_to_28_digits() {
        for (left, right, quotient) in [
            ("1", "1e-20", "100000000000000000000"),
            ("1", "1024", "0.0009765625"),
            ("2", "3", "0.6666666666666666"),
            ("21", "-0.07", "-300"),
            ("1e-30", "4", "0.00000000000000000000000000000025"),
            ("1", "1267650600228229401496703205376", "7.888609052210118e-31"),
            ("0", "7", "0"),
        ] {
            let found = decimal(left).divided_by(decimal(right)).unwrap();
            assert_eq!(found.compare(decimal(quotient)), Ordering::Equal, "{left} / {right} = {found}");
        }
    }

    proptest! {
        /// Small decimals against integers of a hundredth.
        #[test]
        fn calculates_as_integers_do(left in -100_000_i128..100_000, right in -100_000_i128..100_000) {
            let hundredths = |number| Decimal { mantissa: number, exponent: -2 };
            let (a, b) = (hundredths(left), hundredths(right));
            let same = |found: Option<Decimal>, expected: i128, exponent: i64| {
                found.unwrap().compare(Decimal { mantissa: expected, exponent }) == Ordering::Equal
            };
            prop_assert!(same(a.plus(b), left + right, -2));
            prop_assert!(same(a.minus(b), left - right, -2));
            prop_assert!(same(a.times(b), left * right, -4));
            prop_assert_eq!(a.compare(b), left.cmp(&right));
            if right != 0 {
                prop_assert!(same(a.remainder(b), left % right, -2));
                let quotient = a.divided_by(b).unwrap();
                prop_assert!((quotient.to_f64() - left as f64 / right as f64).abs() <= 1e-9);
                if left % right == 0 {
                    prop_assert!(same(Some(quotient), left / right, 0));
                }
            }
            prop_assert!(same(a.floor(), left.div_euclid(100), 0));
            prop_assert!(same(a.ceil(), -(-left).div_euclid(100), 0));
            prop_assert!(same(a.rounded(0), (left.abs() + 50) / 100 * left.signum(), 0));
        }

        /// Nothing panics, and what comes out is read as the same.
        #[test]
        fn what_is_written_is_read_as_the_same(mantissa in any::<i128>(), exponent in any::<i32>(), other in any::<i64>(), small in -60_i64..60) {
            for number in [Decimal::new(mantissa, exponent.into()), Decimal::new(mantissa, small), Decimal::new(mantissa >> 90, small)] {
                let Some(number) = number else { continue };
                let other = Decimal::from(other);
                let results = [
                    Some(number), number.plus(other), number.minus(other), number.times(other), number.times(number),
                    number.rounded(2), number.rounded(other.to_integer().unwrap()), number.floor(), number.ceil(),
                    other.divided_by(number), number.divided_by(other), number.remainder(other), other.remainder(number),
                ];
                for result in results.into_iter().flatten() {
                    prop_assert_eq!(decimal(&result.to_string()).compare(result), Ordering::Equal);
                    let text = result.to_string();
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains('e'), "{}", text);
                }
            }
        }
    }
}
