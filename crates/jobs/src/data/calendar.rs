//! Days, times and instants, as text and as numbers since 1970, in the Gregorian calendar without leap seconds.

use std::io::Write;

use crate::time::{Date, fraction, offset, two};

const SECONDS_A_DAY: i64 = 86_400;

/// The number of the day `2026-01-31`: 1970-01-01 is 0.
pub fn parse_day(text: &str) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = <[u8; 10]>::try_from(text.as_bytes()).ok()? else {
        return None;
    };
    let year = i64::from(two([y1, y2])? * 100 + two([y3, y4])?);
    let date = Date { year, month: two([m1, m2])?, day: two([d1, d2])? };
    date.exists().then(|| i32::try_from(date.days()).ok()).flatten()
}

/// Microseconds since 1970 of `2026-01-31T23:59:59.123456+01:00`.
pub fn parse_instant(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let day = i64::from(parse_day(day)?);
    let ([b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2], rest) = rest.as_bytes().split_first_chunk()? else {
        return None;
    };
    let (hour, minute, second) = (two([*h1, *h2])?, two([*m1, *m2])?, two([*s1, *s2])?);
    let (nanos, zone) = match rest.strip_prefix(b".") {
        Some(behind) => {
            let (nanos, zone) = fraction(behind)?;
            let digits = behind.get(..behind.len() - zone.len())?;
            if digits.iter().skip(6).any(|digit| *digit != b'0') {
                return None;
            }
            (nanos, zone)
        }
        None => (0, rest),
    };
    // Other forms of a zone are not those of RFC 3339.
    let has_form = matches!(zone, b"Z" | b"z" | [_, _, _, b':', _, _]);
    if !has_form || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day * SECONDS_A_DAY + i64::from(hour * 3600 + minute * 60 + second) - offset(zone)?;
    seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000))
}

/// Writes a day; years beyond 9999 have a sign, as ISO 8601 wants it.
pub fn write_day(day_number: i64, out: &mut Vec<u8>) {
    let Date { year, month, day } = Date::of(day_number);
    // Memory takes all that is written.
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// Writes a time of day, with as many digits behind the second as are not zeros, in threes.
pub fn write_time(second_of_day: i64, nanos: u32, out: &mut Vec<u8>) {
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    let _ = match nanos {
        0 => Ok(()),
        _ if nanos.is_multiple_of(1_000_000) => write!(out, ".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1000) => write!(out, ".{:06}", nanos / 1000),
        _ => write!(out, ".{nanos:09}"),
    };
}

/// Writes an instant: without a zone, or in one that is so many seconds ahead of UTC.
pub fn write_instant(seconds: i64, nanos: u32, offset: Option<i64>, out: &mut Vec<u8>) {
    let local = seconds.saturating_add(offset.unwrap_or(0));
    write_day(local.div_euclid(SECONDS_A_DAY), out);
    out.push(b'T');
    write_time(local.rem_euclid(SECONDS_A_DAY), nanos, out);
    let _ = match offset {
        None => Ok(()),
        Some(0) => write!(out, "Z"),
        Some(offset) => {
            let sign = if offset < 0 { '-' } else { '+' };
            write!(out, "{sign}{:02}:{:02}", offset.abs() / 3600, offset.abs() / 60 % 60)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instant(micros: i64, offset: Option<i64>) -> String {
        let mut out = Vec::new();
        let nanos = micros.rem_euclid(1_000_000) as u32 * 1000;
        write_instant(micros.div_euclid(1_000_000), nanos, offset, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn instants_have_one_number_in_all_zones() {
        for (text, micros, shown) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2026-01-31T23:59:59.5+01:00", 1_769_900_399_500_000, "2026-01-31T22:59:59.500Z"),
            ("1969-12-31 23:59:59.999999-00:00", -1, "1969-12-31T23:59:59.999999Z"),
            ("2024-02-29t12:00:00.120000000z", 1_709_208_000_120_000, "2024-02-29T12:00:00.120Z"),
        ] {
            assert_eq!(parse_instant(text), Some(micros), "{text}");
            assert_eq!(instant(micros, Some(0)), shown);
        }
        assert_eq!(instant(0, Some(-5400)), "1969-12-31T22:30:00-01:30");
        assert_eq!(instant(0, None), "1970-01-01T00:00:00");
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-01-31",
            "2026-01-31T00:00:00",
            "2026-01-31T24:00:00Z",
            "2026-01-31T23:60:00Z",
            "2026-01-31T23:59:60Z",
            "2026-01-31T23:59:59.Z",
            "2026-01-31T23:59:59.1234567Z",
            "2026-01-31T23:59:59+0100",
            "2026-01-31T23:59:59+24:00",
            "2026-01-31T2\u{e9}:59:59Z",
            "2026-1-31T23:59:59Z",
            "+026-01-31T23:59:59Z",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
        for text in ["2026-00-01", "2026-13-01", "2026-01-00", "2026-04-31", "1900-02-29", "2026/01/01", "2026-01-1"] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn days_and_instants_come_back(day in -719_528_i32..2_932_897, micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let mut out = Vec::new();
            write_day(day.into(), &mut out);
            prop_assert_eq!(parse_day(std::str::from_utf8(&out).unwrap()), Some(day));
            prop_assert_eq!(parse_instant(&instant(micros, Some(0))), Some(micros));
        }
    }
}
