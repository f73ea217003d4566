//! The forms in which logs have times, told by how they begin.

use super::iso;
use super::{Clock, Timestamp};

impl Timestamp {
    /// The time that a value of a log is.
    pub fn parse(value: &[u8], _clock: Clock) -> Option<Timestamp> {
        iso::read(value)
    }
}
