//! Spans of time, and points of time as users write them.

use std::time::Duration;

use super::{Clock, Timestamp};

/// Of seconds since 1970 that are a time a user means: from 1973 on.
const MIN_DIGITS: usize = 9;

/// Reads a span: `500ms`, `90s`, `15m`, `1.5h`, `2d`, `1w`. A number alone is of seconds, a day has 24 hours.
///
/// # Errors
/// When it is none, or of no length.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number with a unit: 500ms, 30s, 5m, 1h, 2d, 1w".to_string();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit_nanoseconds: u128 = match unit {
        "ms" => 1_000_000,
        "s" | "" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.contains('.') || number.ends_with('.') {
        return Err(wrong());
    }
    let range = || "must be more than nothing, and less than for ever".to_string();
    let whole: u64 = whole.parse().map_err(|_| range())?;
    // Of the digits behind the point those count that are not less than a nanosecond of a week.
    let part = &part[..part.len().min(15)];
    let scale = 10_u128.pow(part.len() as u32);
    let part: u128 = if part.is_empty() { 0 } else { part.parse().map_err(|_| wrong())? };
    let nanoseconds = u128::from(whole) * unit_nanoseconds + part * unit_nanoseconds / scale;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).map_err(|_| range())?;
    match Duration::new(seconds, (nanoseconds % 1_000_000_000) as u32) {
        Duration::ZERO => Err(range()),
        span => Ok(span),
    }
}

/// Reads a point of time as users write it: in any form that [`Timestamp::parse`] takes, or as a span back from now, with
/// its unit: `90s`, `15m`, `1h`, `2d`, `1w`. A number needs nine digits: `2026` and `20261122` would be times in 1970, which
/// nobody means.
///
/// # Errors
/// When it is none, or would be before the year 1.
pub fn parse_when(text: &str, clock: Clock) -> Result<Timestamp, String> {
    let number = text.strip_prefix('-').unwrap_or(text);
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let wrong = || {
        "must be a time (2026-11-22, 2026-11-22T10:00:00+01:00, seconds since 1970) or a span back from now (15m, 1h, 2d)"
            .to_string()
    };
    if is_number && digits < MIN_DIGITS {
        return Err(wrong());
    }
    if let Some(time) = Timestamp::parse(text.as_bytes(), clock) {
        return Ok(time);
    }
    let span = parse_span(text).map_err(|_| wrong())?;
    clock.now().checked_sub(span).ok_or_else(|| "lies before the year 1".to_string())
}
