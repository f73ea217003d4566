//! A point of time.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::civil::Date;

const DAY_SECONDS: i64 = 86_400;

/// A point of time, exact to the nanosecond, from the begin of the year 1 to the end of 9999 in UTC. Days have 86,400
/// seconds, as in POSIX.
///
/// It is shown by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC, with as many digits behind the second as it
/// needs: none, 3, 6 or 9.
///
/// # Examples
/// ```
/// # procession::init();
/// use std::time::Duration;
///
/// use procession_jobs::time::{Clock, Timestamp};
///
/// let time = Timestamp::parse(b"22/Nov/2026:10:01:02 +0100", Clock::system()).unwrap();
/// assert_eq!(time.to_string(), "2026-11-22T09:01:02Z");
/// assert_eq!(time.floor(Duration::from_secs(3600)).to_string(), "2026-11-22T09:00:00Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(i64, u32)", try_from = "(i64, u32)")]
pub struct Timestamp {
    /// Since 1970-01-01T00:00:00Z.
    seconds: i64,
    /// Behind that second.
    nanoseconds: u32,
}

impl Timestamp {
    /// The first one: 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp { seconds: -62_135_596_800, nanoseconds: 0 };
    /// The last one: 9999-12-31T23:59:59.999999999Z.
    pub const MAX: Timestamp = Timestamp { seconds: 253_402_300_799, nanoseconds: 999_999_999 };
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };

    /// The time that many seconds after 1970-01-01T00:00:00Z, and nanoseconds behind that second. [`None`] if it is out of
    /// range, or the nanoseconds are a second or more.
    #[inline]
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Option<Timestamp> {
        let time = Timestamp { seconds, nanoseconds };
        ((Timestamp::MIN..=Timestamp::MAX).contains(&time) && nanoseconds < 1_000_000_000).then_some(time)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z; before that they are negative.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The same a span later, if that is in range.
    pub fn checked_add(self, span: Duration) -> Option<Timestamp> {
        Timestamp::from_nanoseconds(self.nanoseconds().checked_add(i128::try_from(span.as_nanos()).ok()?)?)
    }

    /// The same a span earlier, if that is in range.
    pub fn checked_sub(self, span: Duration) -> Option<Timestamp> {
        Timestamp::from_nanoseconds(self.nanoseconds().checked_sub(i128::try_from(span.as_nanos()).ok()?)?)
    }

    /// The begin of the interval in which it lies, where intervals of `width` follow each other, and one begins at
    /// 1970-01-01T00:00:00Z: minutes, hours and days begin as in UTC, weeks on Thursdays. A width of nothing changes
    /// nothing; what would begin before the year 1 begins with it.
    pub fn floor(self, width: Duration) -> Timestamp {
        let seconds = match (i64::try_from(width.as_secs()), width.subsec_nanos()) {
            (Ok(0), 0) => return self,
            (Ok(seconds), 0) => {
                Some(Timestamp { seconds: self.seconds - self.seconds.rem_euclid(seconds), nanoseconds: 0 })
            }
            _ => {
                let (now, width) = (self.nanoseconds(), width.as_nanos() as i128);
                Timestamp::from_nanoseconds(now - now.rem_euclid(width))
            }
        };
        seconds.unwrap_or(Timestamp::MIN).max(Timestamp::MIN)
    }

    /// Since 1970-01-01T00:00:00Z.
    fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    pub(super) fn from_nanoseconds(nanoseconds: i128) -> Option<Timestamp> {
        let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
        Timestamp::from_unix(seconds, nanoseconds.rem_euclid(1_000_000_000) as u32)
    }

    /// Its day in UTC.
    pub(super) fn date(self) -> Date {
        Date::of(self.seconds.div_euclid(DAY_SECONDS))
    }
}

impl From<Timestamp> for (i64, u32) {
    fn from(time: Timestamp) -> (i64, u32) {
        (time.seconds, time.nanoseconds)
    }
}

impl TryFrom<(i64, u32)> for Timestamp {
    type Error = &'static str;

    fn try_from((seconds, nanoseconds): (i64, u32)) -> Result<Timestamp, &'static str> {
        Timestamp::from_unix(seconds, nanoseconds).ok_or("a time out of range")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = self.date();
        let second = self.seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.nanoseconds {
            0 => (),
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000)?,
            n if n % 1000 == 0 => write!(f, ".{:06}", n / 1000)?,
            n => write!(f, ".{n:09}")?,
        }
        f.write_str("Z")
    }
}
