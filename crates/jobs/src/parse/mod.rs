//! Lines of logs: which format they have, and the fields that somebody wants of them.

mod access;
mod auto;
mod format;
mod json;
mod line_parser;
mod logfmt;
mod names;
mod regex;
mod request;
mod syslog;
mod unescape;
mod value;

#[cfg(test)]
mod tests;

pub use format::LineFormat;
pub use line_parser::{LineParser, TimeField};

/// Why a line is not of a format.
type Reason = std::borrow::Cow<'static, str>;
