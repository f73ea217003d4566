//! Times of lines: points of time in all the forms that logs have them, and spans.

mod civil;
mod clock;
mod digits;
mod forms;
mod iso;
mod span;
mod timestamp;

pub use clock::Clock;
pub use span::{parse_span, parse_when};
pub use timestamp::Timestamp;
