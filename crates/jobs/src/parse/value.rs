//! Values as they stand in lines that are not JSON.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::unescape::unescape;
use crate::data::json::is_number;
use crate::data::{Cell, Raw};

/// Puts a value into its slot.
#[inline]
pub fn put<'a>(slots: &mut [Raw<'a>], slot: usize, value: Raw<'a>) {
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}

/// A number if it is one of JSON, else a text.
#[inline]
pub fn number_or_text(text: &[u8]) -> Raw<'_> {
    if is_number(text) { Raw::Number(text) } else { Raw::Text(text) }
}

/// A text with escapes.
#[inline]
pub fn escaped(text: &[u8]) -> Raw<'_> {
    match memchr(b'\\', text) {
        None => Raw::Text(text),
        Some(_) => made(unescape(text)),
    }
}

/// A text that stands nowhere in the line.
#[cold]
pub fn made(text: Vec<u8>) -> Raw<'static> {
    let text = String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Raw::Made(Cell::Text(Cow::Owned(text)))
}

/// What stands before the first quote that has no backslash before it, and what behind: the inside of a quoted text whose
/// first quote was read, and what follows it.
#[inline]
pub fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
}
