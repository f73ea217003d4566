//! The forms in which logs have times, told by how they begin.

use super::{Clock, Timestamp};
use super::{bsd, epoch, iso, month};

impl Timestamp {
    /// The time that a value of a log is; [`None`] if it is none. A time without an offset is one of UTC. These are known:
    ///
    /// - `2026-11-22T10:00:00.123456789+01:00`, by [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), and with a space for
    ///   the `T`, slashes for the hyphens, a comma before the fraction, a space before the offset, `+0100`, `+01`, ` UTC`,
    ///   without an offset, without seconds, or a date alone, which is its begin
    /// - `22/Nov/2026:10:00:00 +0100`, of access logs
    /// - `Nov 22 10:00:00`, of syslog: in the latest year in which it is not more than a day after the clock's now
    /// - `Sun, 22 Nov 2026 10:00:00 +0100`, of mail (RFC 5322) and HTTP
    /// - numbers since 1970: seconds, milliseconds, microseconds or nanoseconds by their magnitude (up to 11, 14, 17 and 19
    ///   digits), with or without a fraction
    ///
    /// A leap second (`:60`) is taken as the second that follows it. Of a fraction nine digits count.
    #[inline]
    pub fn parse(value: &[u8], clock: Clock) -> Option<Timestamp> {
        match value {
            [_, _, _, _, b'-' | b'/', ..] => iso::read(value),
            [_, _, b'/', ..] => month::read_access(value),
            [b'A'..=b'Z', _, _, b' ', ..] => match bsd::read(value)? {
                (stamp, b"") => stamp.resolve(clock),
                _ => None,
            },
            [b'A'..=b'Z', _, _, b',', ..] | [_, b' ', ..] | [_, _, b' ', ..] => month::read_mail(value),
            _ => epoch::read(value),
        }
    }
}
