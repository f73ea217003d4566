//! Times of [RFC 3164, section 4.1.2](https://www.rfc-editor.org/rfc/rfc3164#section-4.1.2): `Oct 11 22:14:15`. They have
//! no year.

use super::civil::Date;
use super::digits::two;
use super::iso::{at, time_of_day};
use super::month::month;
use super::{Clock, Timestamp};

/// A day of some year, and a time on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    month: u32,
    day: u32,
    seconds: i64,
    nanoseconds: u32,
}

/// Reads one at the begin of a text, with or without a fraction; returns what follows. Days below 10 have a space or a
/// zero before them.
#[inline]
pub fn read(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let ([m1, m2, m3, b' ', d1, d2, b' '], rest) = text.split_first_chunk::<7>()? else { return None };
    let month = month([*m1, *m2, *m3])?;
    let day = two([if *d1 == b' ' { b'0' } else { *d1 }, *d2])?;
    // A leap year has all the days that there are.
    if rest.get(5) != Some(&b':') || !(Date { year: 2000, month, day }).exists() {
        return None;
    }
    let (seconds, nanoseconds, rest) = time_of_day(rest)?;
    Some((Stamp { month, day, seconds, nanoseconds }, rest))
}

impl Stamp {
    /// The time in UTC, in the latest year in which it is not more than a day after now: a log does not come from the
    /// future, but for a clock or a time zone that is ahead. February 29 is in a leap year.
    pub fn resolve(self, clock: Clock) -> Option<Timestamp> {
        let latest = clock.now().checked_add(std::time::Duration::from_secs(86_400)).unwrap_or(Timestamp::MAX);
        let year = latest.date().year;
        // There are leap years every eight years at least.
        (year - 8..=year).rev().find_map(|year| {
            let date = Date { year, month: self.month, day: self.day };
            at(date, self.seconds, self.nanoseconds, 0).filter(|time| *time <= latest)
        })
    }
}
