//! Digits of times, and offsets from UTC.

/// The number that two digits are.
#[inline]
pub fn two([tens, ones]: [u8; 2]) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Reads the digits behind a point as nanoseconds, of which there must be one: the first nine count. Returns what follows.
#[inline]
pub fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(length);
    let counted = &digits[..length.min(9)];
    let value = counted.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    (length > 0).then(|| (value * 10_u32.pow(9 - counted.len() as u32), rest))
}

/// How many seconds a clock is ahead of UTC: `Z`, `UTC`, `GMT`, `+01:00`, `+0100` or `+01`.
#[inline]
pub fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match *digits {
        [h1, h2] => (two([h1, h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two([h1, h2])?, two([m1, m2])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}
