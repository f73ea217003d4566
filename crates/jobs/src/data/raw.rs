//! One value as it stands in the bytes of an input: nothing is copied before it is written.

use std::borrow::Cow;

use super::{Cell, csv, json};

/// A value of a row that is still in the input's own form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Raw<'a> {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number of JSON.
    Number(&'a [u8]),
    /// A text that stands for itself.
    Text(&'a [u8]),
    /// The inside of a JSON string with escapes in it.
    Escaped(&'a [u8]),
    /// The inside of a quoted CSV field with doubled quotes in it, and the quote.
    Doubled(&'a [u8], u8),
    /// An array or an object of JSON.
    Nested(&'a [u8]),
    /// What an expression has made.
    Made(Cell<'a>),
}

impl<'a> Raw<'a> {
    /// The text without quotes and escapes, if it is one.
    pub fn text(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Raw::Text(text) => Some(Cow::Borrowed(text)),
            Raw::Escaped(text) => Some(Cow::Owned(json::unescape(text))),
            Raw::Doubled(text, quote) => Some(Cow::Owned(csv::undouble(text, *quote))),
            Raw::Made(Cell::Text(Cow::Borrowed(text))) => Some(Cow::Borrowed(text.as_bytes())),
            Raw::Made(Cell::Text(Cow::Owned(text))) => Some(Cow::Owned(text.clone().into_bytes())),
            _ => None,
        }
    }

    /// The same as expressions see it. Bytes that are no UTF-8 were refused before.
    pub fn cell(&self) -> Cell<'_> {
        let lent = |text: &'a [u8]| String::from_utf8_lossy(text);
        match self {
            Raw::Null => Cell::Null,
            Raw::Bool(value) => Cell::Bool(*value),
            Raw::Number(text) => Cell::Number(lent(text)),
            Raw::Text(text) => Cell::Text(lent(text)),
            Raw::Nested(text) => Cell::Nested(lent(text)),
            Raw::Made(cell) => cell.borrowed(),
            Raw::Escaped(_) | Raw::Doubled(..) => {
                let text = self.text().unwrap_or_default().into_owned();
                Cell::Text(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
            }
        }
    }
}

/// Writes a value as JSON.
#[inline]
pub fn write_json(value: &Raw<'_>, out: &mut Vec<u8>) {
    match value {
        Raw::Null | Raw::Made(Cell::Null) => out.extend_from_slice(b"null"),
        Raw::Bool(value) | Raw::Made(Cell::Bool(value)) => out.extend_from_slice(word(*value)),
        Raw::Number(text) => out.extend_from_slice(text),
        Raw::Text(text) => json::write_string(text, out),
        Raw::Escaped(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Raw::Doubled(text, quote) => json::write_string(&csv::undouble(text, *quote), out),
        Raw::Nested(text) => out.extend_from_slice(&json::minify(text)),
        Raw::Made(Cell::Number(text)) => out.extend_from_slice(text.as_bytes()),
        Raw::Made(Cell::Text(text)) => json::write_string(text.as_bytes(), out),
        Raw::Made(Cell::Nested(text)) => out.extend_from_slice(&json::minify(text.as_bytes())),
    }
}

fn word(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}
