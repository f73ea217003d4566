//! Times in every form, and what is none.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn clock() -> Clock {
    Clock::at(parse("2026-11-22T10:00:00Z"))
}

fn try_parse(text: &str, clock: Clock) -> Option<String> {
    Timestamp::parse(text.as_bytes(), clock).map(|time| time.to_string())
}

fn parse(text: &str) -> Timestamp {
    Timestamp::parse(text.as_bytes(), Clock::at(Timestamp::EPOCH)).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn times_are_read_in_all_forms() {
    for (text, expected) in [
        // RFC 3339, section 5.8.
        ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"),
        ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57Z"),
        ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00Z"),
        ("1990-12-31T15:59:60.5-08:00", "1991-01-01T00:00:00.500Z"),
        ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870Z"),
        ("2026-11-22t10:00:00z", "2026-11-22T10:00:00Z"),
        ("2026-11-22 10:00:00,123", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22 10:00:00.1234567899999 +0100", "2026-11-22T09:00:00.123456789Z"),
        ("2026-11-22T10:00:00+01", "2026-11-22T09:00:00Z"),
        ("2026-11-22T10:00:00-00:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22 10:00:00 UTC", "2026-11-22T10:00:00Z"),
        ("2026-11-22 10:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22 10:00+02:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        // nginx' error log, Go.
        ("2026/11/22 10:00:00", "2026-11-22T10:00:00Z"),
        ("2009/01/23 01:23:23.123123", "2009-01-23T01:23:23.123123Z"),
        // Access logs.
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"),
        ("29/Feb/2024:00:00:00 +0530", "2024-02-28T18:30:00Z"),
        // Mail and HTTP.
        ("Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T15:55:06Z"),
        ("1 Jul 2003 10:52 +0200", "2003-07-01T08:52:00Z"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
        // Numbers.
        ("0", "1970-01-01T00:00:00Z"),
        ("-1.5", "1969-12-31T23:59:58.500Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.123456789123", "2023-11-14T22:13:20.123456789Z"),
        ("99999999999", "5138-11-16T09:46:39Z"),
        ("1700000000123", "2023-11-14T22:13:20.123Z"),
        ("1700000000123.456", "2023-11-14T22:13:20.123456Z"),
        ("100000000000", "1973-03-03T09:46:40Z"),
        ("1700000000123456", "2023-11-14T22:13:20.123456Z"),
        ("1700000000123456789", "2023-11-14T22:13:20.123456789Z"),
        ("000000000000000000000001", "1970-01-01T00:00:01Z"),
    ] {
        assert_eq!(try_parse(text, clock()).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_is_none() {
    for text in [
        "",
        "-",
        "x",
        "now",
        "2026-11-22T",
        "2026-11-22T1",
        "2026-11-22T10",
        "2026-11-22T10:0",
        "2026-11-22T10:00:",
        "2026-11-22T10:00:0",
        "2026-11-22T10:00:00.",
        "2026-11-22T10:00:00.x",
        "2026-11-22T10:00:00 ",
        "2026-11-22T10:00:00ZZ",
        "2026-11-22T10:00:00 CET",
        "2026-11-22T10:00:00+1",
        "2026-11-22T10:00:00+01:0",
        "2026-11-22T10:00:00+24:00",
        "2026-11-22T10:00:00+00:60",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-11-22T10:00:61Z",
        "2026-11-22_10:00:00",
        "2026-11/22",
        "2026.11.22",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-02-29",
        "2100-02-29",
        "2026-04-31",
        "0000-01-01",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "+2026-11-22",
        "12026-11-22",
        "10/Oct/2000",
        "10/Oct/2000:13:55:36",
        "10/Oct/2000:13:55:36 ",
        "10/oct/2000:13:55:36 -0700",
        "31/Sep/2000:13:55:36 -0700",
        "10/10/2000:13:55:36 -0700",
        "Oct 11 22:14",
        "Oct 11 22:14:15 ",
        "Oct 00 22:14:15",
        "Feb 30 22:14:15",
        "Okt 11 22:14:15",
        "Fri, 32 Nov 1997 09:55:06 -0600",
        "Fri, 21 Nov 1997 09:55:06",
        "Fri, 21 Nov 97 09:55:06 GMT",
        "1e9",
        "+5",
        "5.",
        ".5",
        "1.2.3",
        "10000000000000000000",
        "--1",
        "\u{664}\u{664}",
    ] {
        assert_eq!(try_parse(text, clock()), None, "{text}");
    }
}

#[test]
fn a_stamp_without_a_year_is_of_the_latest_that_can_be() {
    for (now, text, expected) in [
        ("2026-11-22T10:00:00Z", "Nov 22 10:00:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00Z", "Nov 23 10:00:00", "2026-11-23T10:00:00Z"),
        ("2026-11-22T10:00:00Z", "Nov 23 10:00:00.001", "2025-11-23T10:00:00.001Z"),
        ("2026-11-22T10:00:00Z", "Dec  1 00:00:00", "2025-12-01T00:00:00Z"),
        ("2026-12-31T23:30:00Z", "Jan  1 00:15:00", "2027-01-01T00:15:00Z"),
        ("2027-01-01T00:15:00Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"),
        ("2026-11-22T10:00:00Z", "Feb 29 00:00:00", "2024-02-29T00:00:00Z"),
        ("2103-11-22T10:00:00Z", "Feb 29 00:00:00", "2096-02-29T00:00:00Z"),
        ("9999-12-31T23:00:00Z", "Dec 31 23:59:59", "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(try_parse(text, Clock::at(parse(now))).as_deref(), Some(expected), "{text} at {now}");
    }
    assert_eq!(try_parse("Dec 31 00:00:00", Clock::at(Timestamp::MIN)), None);
}

#[test]
fn times_are_floored_to_where_intervals_begin() {
    let floor = |text, width| parse(text).floor(width).to_string();
    let seconds = Duration::from_secs;
    assert_eq!(floor("2026-11-22T10:59:59.9Z", seconds(60)), "2026-11-22T10:59:00Z");
    assert_eq!(floor("2026-11-22T10:59:59.9Z", seconds(86_400)), "2026-11-22T00:00:00Z");
    assert_eq!(floor("2026-11-22T10:59:59.9Z", seconds(604_800)), "2026-11-19T00:00:00Z");
    assert_eq!(floor("2026-11-22T10:59:59.999999Z", Duration::from_millis(250)), "2026-11-22T10:59:59.750Z");
    assert_eq!(floor("1969-12-31T23:59:59.5Z", seconds(60)), "1969-12-31T23:59:00Z");
    assert_eq!(floor("1969-12-31T23:59:59.5Z", Duration::from_nanos(3)), "1969-12-31T23:59:59.499999999Z");
    assert_eq!(floor("2026-11-22", Duration::ZERO), "2026-11-22T00:00:00Z");
    assert_eq!(floor("0001-01-03", seconds(604_800)), "0001-01-01T00:00:00Z");
    assert_eq!(floor("2026-11-22", Duration::MAX), "1970-01-01T00:00:00Z");
    assert_eq!(floor("1969-11-22", Duration::MAX), "0001-01-01T00:00:00Z");
}

#[test]
fn spans_have_units() {
    for (text, span) in [
        ("500ms", Duration::from_millis(500)),
        ("90s", Duration::from_secs(90)),
        ("7", Duration::from_secs(7)),
        ("1.5m", Duration::from_secs(90)),
        ("1h", Duration::from_secs(3600)),
        ("2d", Duration::from_secs(172_800)),
        ("1w", Duration::from_secs(604_800)),
        ("0.000001ms", Duration::from_nanos(1)),
        ("18446744073709551615s", Duration::from_secs(u64::MAX)),
    ] {
        assert_eq!(parse_span(text), Ok(span), "{text}");
    }
    for text in [
        "",
        "s",
        "-1s",
        "0s",
        "0.0000001ms",
        ".",
        ".5s",
        "5.s",
        "1..2s",
        "5 parsecs",
        "1S",
        "1 s",
        "1e3s",
        "99999999999999999999h",
        "18446744073709551615w",
    ] {
        assert!(parse_span(text).is_err(), "{text}");
    }
}

#[test]
fn users_write_times_and_spans_back_from_now() {
    let when = |text| parse_when(text, clock()).map(|time| time.to_string());
    for (text, expected) in [
        ("1h", "2026-11-22T09:00:00Z"),
        ("90s", "2026-11-22T09:58:30Z"),
        ("2d", "2026-11-20T10:00:00Z"),
        ("1.5w", "2026-11-11T22:00:00Z"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22 08:30", "2026-11-22T08:30:00Z"),
        ("Nov 21 10:00:00", "2026-11-21T10:00:00Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
    ] {
        assert_eq!(when(text).as_deref(), Ok(expected), "{text}");
    }
    for text in ["", "yesterday", "1y", "-1h", "0h", "2026-02-30", "90", "2026", "-90", "20261122", "20261122.5"] {
        assert!(when(text).unwrap_err().starts_with("must be a time"), "{text}");
    }
    assert_eq!(when("999999w").unwrap_err(), "lies before the year 1");
}

#[test]
fn only_times_in_range_are_decoded() {
    for time in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX] {
        let bytes = postcard::to_stdvec(&time).unwrap();
        assert_eq!(postcard::from_bytes::<Timestamp>(&bytes), Ok(time));
    }
    for wrong in [(i64::MIN, 0), (i64::MAX, 0), (0, 1_000_000_000), (253_402_300_800, 0)] {
        assert!(postcard::from_bytes::<Timestamp>(&postcard::to_stdvec(&wrong).unwrap()).is_err());
    }
}

fn times() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN.seconds(), Timestamp::MAX.seconds());
    let nanoseconds = prop_oneof![Just(0), (0..1000_u32).prop_map(|n| n * 1_000_000), 0..1_000_000_000_u32];
    let seconds = prop_oneof![first..=last, -100_000..2_000_000_000_i64];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Timestamp::from_unix(seconds, nanoseconds).unwrap())
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(time in times()) {
        prop_assert_eq!(Timestamp::parse(time.to_string().as_bytes(), clock()), Some(time));
    }

    #[test]
    fn times_are_in_the_order_in_which_they_are_shown(a in times(), b in times()) {
        let whole = |time: Timestamp| time.floor(Duration::from_secs(1)).to_string();
        if whole(a) != whole(b) {
            prop_assert_eq!(a.cmp(&b), whole(a).cmp(&whole(b)));
        }
    }

    #[test]
    fn spans_lead_there_and_back(time in times(), width in 1..10_u64.pow(15)) {
        let width = Duration::from_nanos(width);
        let begin = time.floor(width);
        prop_assert!(begin <= time);
        if begin > Timestamp::MIN {
            prop_assert_eq!(begin.floor(width), begin);
            prop_assert!(begin.checked_add(width).is_none_or(|end| end > time));
            if let Some(end) = begin.checked_add(width) {
                prop_assert_eq!(end.checked_sub(width), Some(begin));
                prop_assert_eq!(end.floor(width), end);
            }
        }
    }

    #[test]
    fn numbers_are_read_as_decimals(seconds in 1_000_000_000..9_999_999_999_i64, nanoseconds in 0..1_000_000_000_u32) {
        let time = Timestamp::from_unix(seconds, nanoseconds);
        let parse = |text: String| Timestamp::parse(text.as_bytes(), clock());
        prop_assert_eq!(parse(format!("{seconds}.{nanoseconds:09}")), time);
        prop_assert_eq!(parse(format!("{seconds}{:03}.{:06}", nanoseconds / 1_000_000, nanoseconds % 1_000_000)), time);
        prop_assert_eq!(parse(format!("{seconds}{:06}.{:03}", nanoseconds / 1000, nanoseconds % 1000)), time);
        if seconds < 9_223_372_036 {
            prop_assert_eq!(parse(format!("{seconds}{nanoseconds:09}")), time);
        }
    }

    #[test]
    fn forms_agree(time in times(), offset in -1439..1440_i64) {
        let time = time.floor(Duration::from_secs(1));
        let Some(local) = Timestamp::from_unix(time.seconds() + offset * 60, 0) else { return Ok(()) };
        let (text, date) = (local.to_string(), local.date());
        let clock_text = &text[11..19];
        let sign = if offset < 0 { '-' } else { '+' };
        let zone = format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60);
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][date.month as usize - 1];
        for written in [
            format!("{}T{clock_text}{zone}", &text[..10]),
            format!("{:02}/{month}/{:04}:{clock_text} {zone}", date.day, date.year),
            format!("{} {month} {:04} {clock_text} {zone}", date.day, date.year),
        ] {
            prop_assert_eq!(Timestamp::parse(written.as_bytes(), clock()), Some(time), "{}", written);
        }
    }

    #[test]
    fn no_bytes_do_harm(
        text in prop::collection::vec(prop::sample::select(&b"0123456789-/:.,+ TZzOctJan\xff"[..]), 0..40),
        now in times(),
    ) {
        if let Some(time) = Timestamp::parse(&text, Clock::at(now)) {
            prop_assert_eq!(Timestamp::parse(time.to_string().as_bytes(), Clock::at(now)), Some(time));
        }
        let _ = parse_when(&String::from_utf8_lossy(&text), Clock::at(now));
    }
}
