//! Times in which the month has its English name: access logs, and mail.

use super::Timestamp;
use super::civil::Date;
use super::digits::{offset, two};
use super::iso::{at, time_of_day};

/// The number of a month by three letters: `Jan` is 1.
#[inline]
pub fn month(name: [u8; 3]) -> Option<u32> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// Reads `10/Oct/2000:13:55:36 -0700`, as nginx' and Apache's access logs have it.
#[inline]
pub fn read_access(text: &[u8]) -> Option<Timestamp> {
    let ([d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':'], rest) = text.split_first_chunk::<12>()? else {
        return None;
    };
    let year = i64::from(two([*y1, *y2])? * 100 + two([*y3, *y4])?);
    let date = Date { year, month: month([*m1, *m2, *m3])?, day: two([*d1, *d2])? };
    let (seconds, nanoseconds, rest) = time_of_day(rest)?;
    at(date, seconds, nanoseconds, offset(rest.strip_prefix(b" ")?)?)
}

/// Reads `Sun, 22 Nov 2026 10:00:00 +0100` ([RFC 5322, section 3.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.3),
/// before that RFC 2822; HTTP's dates are of this form too). The name of the day may be missing; it is not compared with
/// the date.
pub fn read_mail(text: &[u8]) -> Option<Timestamp> {
    let text = match text {
        [first, _, _, b',', b' ', rest @ ..] if first.is_ascii_alphabetic() => rest,
        _ => text,
    };
    let (day, rest) = match text {
        [d1, b' ', rest @ ..] => (two([b'0', *d1])?, rest),
        [d1, d2, b' ', rest @ ..] => (two([*d1, *d2])?, rest),
        _ => return None,
    };
    let ([m1, m2, m3, b' ', y1, y2, y3, y4, b' '], rest) = rest.split_first_chunk::<9>()? else { return None };
    let year = i64::from(two([*y1, *y2])? * 100 + two([*y3, *y4])?);
    let date = Date { year, month: month([*m1, *m2, *m3])?, day };
    let (seconds, nanoseconds, rest) = time_of_day(rest)?;
    at(date, seconds, nanoseconds, offset(rest.strip_prefix(b" ")?)?)
}
