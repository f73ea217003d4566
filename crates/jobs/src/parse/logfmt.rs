//! Lines of logfmt: `level=info msg="a text" retried`.
//!
//! By the [grammar of kr/logfmt](https://pkg.go.dev/github.com/kr/logfmt), which calls all that is no key and no value
//! garbage and passes over it. A value without quotes goes on to the next space, so that `url=/?a=b` is one.

use super::Reason;
use super::names::Names;
use super::value::{escaped, number_or_text, put, quoted};
use crate::data::{FieldPath, Raw};

/// Why a line is none of logfmt.
pub const NO_PAIR: &str = "no logfmt: there is no `key=`";

/// Reads lines of keys and values.
#[derive(Debug)]
pub struct LogfmtLines(Names);

impl LogfmtLines {
    /// Takes the fields at `paths`, each to the slot of its number.
    pub fn new(paths: &[FieldPath]) -> LogfmtLines {
        LogfmtLines(Names::new(paths))
    }

    /// Reads a line into `slots`, which are empty. Of a key that comes twice the last value counts.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>]) -> Result<(), Reason> {
        let mut has_pair = false;
        let mut rest = line;
        while let Some(begin) = rest.iter().position(|byte| is_key(*byte)) {
            let length = rest[begin..].iter().position(|byte| !is_key(*byte)).unwrap_or(rest.len() - begin);
            let (key, behind) = rest[begin..].split_at(length);
            let value;
            (value, rest) = match behind.strip_prefix(b"=") {
                None => (Value::Absent, behind),
                Some(behind) => {
                    has_pair = true;
                    read_value(behind)?
                }
            };
            for slot in self.0.slots(key) {
                put(slots, slot, value.raw());
            }
        }
        if has_pair { Ok(()) } else { Err(NO_PAIR.into()) }
    }
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Absent,
    Bare(&'a [u8]),
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A key alone is true; what has no quotes is what it would be in JSON, or else a text.
    fn raw(self) -> Raw<'a> {
        match self {
            Value::Absent | Value::Bare(b"true") => Raw::Bool(true),
            Value::Bare(b"false") => Raw::Bool(false),
            Value::Bare(b"null") => Raw::Null,
            Value::Bare(text) => number_or_text(text),
            Value::Quoted(text) => escaped(text),
        }
    }
}

/// Reads a value; returns what follows it.
#[inline]
fn read_value(text: &[u8]) -> Result<(Value<'_>, &[u8]), Reason> {
    if let Some(inside) = text.strip_prefix(b"\"") {
        let (inside, rest) = quoted(inside).ok_or("no logfmt: a quote is not closed")?;
        return Ok((Value::Quoted(inside), rest));
    }
    let length = text.iter().position(|byte| *byte <= b' ').unwrap_or(text.len());
    let (value, rest) = text.split_at(length);
    Ok((Value::Bare(value), rest))
}

#[inline]
fn is_key(byte: u8) -> bool {
    byte > b' ' && byte != b'=' && byte != b'"'
}
