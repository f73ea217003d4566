//! A number's text, read once for all that is worked out of it.

/// Digits that are read of a number; sums of so short ones do not overflow an i128.
const MAX_DIGITS: u32 = 18;
/// A longer text is no number: it would be kept as the least or the largest one.
const MAX_BYTES: usize = 1024;

/// `mantissa` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// Its first 18 digits.
    pub mantissa: i64,
    /// As small as that of the smallest f64 at least.
    pub exponent: i32,
    /// The nearest f64, of all its digits.
    pub value: f64,
}

impl Number {
    /// Reads a JSON number (RFC 8259). None if it is none, or an f64 cannot hold it: beyond 1.8e308, or not zero and
    /// below 5e-324.
    pub fn read(text: &[u8]) -> Option<Number> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (is_negative, mut rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        let mut digits = Digits::default();
        let whole = digits.take(&mut rest);
        let has_needless_zero = text.len() > 1 && whole > 1 && text[usize::from(is_negative)] == b'0';
        if whole == 0 || has_needless_zero {
            return None;
        }
        let mut fraction = 0;
        if let [b'.', behind @ ..] = rest {
            rest = behind;
            fraction = digits.take(&mut rest);
            if fraction == 0 {
                return None;
            }
        }
        let mut exponent = 0_i32;
        if let [b'e' | b'E', behind @ ..] = rest {
            exponent = read_exponent(behind)?;
        } else if !rest.is_empty() {
            return None;
        }
        let exponent = exponent.saturating_sub(fraction as i32).saturating_add(digits.dropped);
        let size = digits.mantissa;
        let value = match POWERS.get(exponent.unsigned_abs() as usize) {
            // One operation on two numbers that are exact is rounded once.
            Some(power) if digits.dropped == 0 && size <= 1 << 53 => {
                if exponent < 0 {
                    size as f64 / power
                } else {
                    size as f64 * power
                }
            }
            _ => std::str::from_utf8(text).ok()?.parse::<f64>().ok()?.abs(),
        };
        if size == 0 {
            return Some(Number { mantissa: 0, exponent: 0, value: 0.0 });
        }
        if !value.is_finite() || value == 0.0 {
            return None;
        }
        let sign = if is_negative { -1 } else { 1 };
        Some(Number { mantissa: sign * size as i64, exponent, value: f64::from(sign as i8) * value })
    }
}

/// Powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits that were read.
#[derive(Debug, Default)]
struct Digits {
    mantissa: u64,
    /// Digits in it, without leading zeros.
    kept: u32,
    /// Digits behind them.
    dropped: i32,
}

impl Digits {
    /// Takes the digits at the front; tells how many there were.
    fn take(&mut self, rest: &mut &[u8]) -> usize {
        let before = rest.len();
        while let [digit @ b'0'..=b'9', behind @ ..] = rest {
            *rest = behind;
            if self.kept < MAX_DIGITS {
                self.mantissa = self.mantissa * 10 + u64::from(digit - b'0');
                self.kept += u32::from(self.mantissa > 0);
            } else {
                self.dropped += 1;
            }
        }
        before - rest.len()
    }
}

fn read_exponent(text: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_i32, |size, digit| size.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    Some(if is_negative { -size } else { size })
}
