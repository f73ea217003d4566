//! Times by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6), and what logs make of it: a space for the `T`,
//! slashes for the hyphens (nginx' error log, Go), a comma before the fraction (Python, log4j), `+0100` (journalctl, git),
//! no offset at all.

use super::Timestamp;
use super::civil::Date;
use super::digits::{fraction, offset, two};

/// Reads `YYYY-MM-DD`, or that with a time: `T` or a space, `HH:MM`, `:SS`, a fraction, an offset. No offset is UTC.
#[inline]
pub fn read(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let [century @ .., y3, y4, dash, m1, m2, dash2, d1, d2] = *date;
    if dash != dash2 || !matches!(dash, b'-' | b'/') {
        return None;
    }
    let date =
        Date { year: i64::from(two(century)? * 100 + two([y3, y4])?), month: two([m1, m2])?, day: two([d1, d2])? };
    match rest.split_first() {
        None => at(date, 0, 0, 0),
        Some((b'T' | b't' | b' ', rest)) => clock(date, rest),
        Some(_) => None,
    }
}

/// Reads what stands behind the date.
#[inline]
fn clock(date: Date, text: &[u8]) -> Option<Timestamp> {
    let (seconds, nanoseconds, rest) = time_of_day(text)?;
    let offset = match rest {
        b"" => 0,
        rest => offset(rest.strip_prefix(b" ").unwrap_or(rest))?,
    };
    at(date, seconds, nanoseconds, offset)
}

/// Reads `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`: the seconds of the day, nanoseconds, and what follows. A leap second
/// (`:60`) is the first second of the next minute.
#[inline]
pub fn time_of_day(text: &[u8]) -> Option<(i64, u32, &[u8])> {
    let ([h1, h2, b':', m1, m2], rest) = text.split_first_chunk::<5>()? else { return None };
    let (hour, minute) = (two([*h1, *h2])?, two([*m1, *m2])?);
    let (second, rest) = match rest.split_first_chunk::<3>() {
        Some(([b':', s1, s2], rest)) => (two([*s1, *s2])?, rest),
        _ if rest.first() == Some(&b':') => return None,
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanoseconds, rest) = match rest.split_first() {
        Some((b'.' | b',', digits)) => fraction(digits)?,
        _ => (0, rest),
    };
    Some((i64::from(hour * 3600 + minute * 60 + second), nanoseconds, rest))
}

/// The time at so many seconds of a day, by a clock that is `offset` seconds ahead of UTC.
#[inline]
pub fn at(date: Date, seconds: i64, nanoseconds: u32, offset: i64) -> Option<Timestamp> {
    if !date.exists() {
        return None;
    }
    Timestamp::from_unix(date.days() * 86_400 + seconds - offset, nanoseconds)
}
