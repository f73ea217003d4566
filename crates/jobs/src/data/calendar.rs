//! Days, times and instants, as text and as numbers since 1970, in the Gregorian calendar without leap seconds.

use std::io::Write;

const SECONDS_A_DAY: i64 = 86_400;

/// The number of a day: 1970-01-01 is 0. The ways there and back are Howard Hinnant's,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(day_number: i64) -> (i64, i64, i64) {
    let shifted = day_number + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The number of the day `2026-01-31`.
pub fn parse_day(text: &str) -> Option<i32> {
    let [year, month, day] = [text.get(..4)?, text.get(5..7)?, text.get(8..)?].map(number);
    let (year, month, day) = (year?, month?, day?);
    let has_form = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let found = day_number(year, month, day);
    // A day that there is not becomes another one.
    (has_form && civil(found) == (year, month, day)).then(|| i32::try_from(found).ok()).flatten()
}

/// Microseconds since 1970 of `2026-01-31T23:59:59.123456+01:00`.
pub fn parse_instant(text: &str) -> Option<i64> {
    let day = i64::from(parse_day(text.get(..10)?)?);
    let rest = text.get(10..)?.strip_prefix(['T', 't', ' '])?;
    let [hour, minute, second] = [rest.get(..2)?, rest.get(3..5)?, rest.get(6..8)?].map(number);
    let (hour, minute, second) = (hour?, minute?, second?);
    let has_form = rest.as_bytes()[2] == b':' && rest.as_bytes()[5] == b':';
    let mut rest = rest.get(8..)?;
    let mut micros = 0;
    if let Some(behind) = rest.strip_prefix('.') {
        let digits = behind.len() - behind.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (fraction, zone) = behind.split_at(digits);
        let stripped = fraction.trim_end_matches('0');
        if digits == 0 || stripped.len() > 6 {
            return None;
        }
        micros = number(&format!("{stripped:0<6}"))?;
        rest = zone;
    }
    let offset = parse_offset(rest)?;
    if !has_form || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

/// Seconds that a zone is ahead of UTC: `Z`, `+01:00`.
pub fn parse_offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('+') { 1 } else { -1 };
    let behind = zone.strip_prefix(['+', '-'])?;
    let (hours, minutes) = (number(behind.get(..2)?)?, number(behind.get(3..)?)?);
    let has_form = behind.len() == 5 && behind.as_bytes()[2] == b':';
    (has_form && hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Writes a day; years beyond 9999 have a sign, as ISO 8601 wants it.
pub fn write_day(day_number: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(day_number);
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
