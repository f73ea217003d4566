//! Times of lines: points of time in all the forms that logs have them, and spans.

mod bsd;
mod civil;
mod clock;
mod digits;
mod epoch;
mod forms;
mod iso;
mod month;
mod span;
mod timestamp;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use span::{parse_span, parse_when};
pub use timestamp::Timestamp;

pub(crate) use bsd::read as read_bsd;
pub(crate) use civil::Date;
pub(crate) use digits::{fraction, offset, two};
pub(crate) use iso::read as read_iso;
