//! The key of a group: the values of its fields, as bytes that are equal if and only if the values are.
//!
//! A value is its kind and its text as it stands, so 200 and "200" differ, and so do 1.0 and 1. Keys in the order of their
//! bytes are in the order of their first values, then of their second ones.

use std::borrow::Cow;

use memchr::memchr;

use crate::data::json::minify;
use crate::data::{Cell, Raw};

/// A line with a longer key is not counted.
pub const MAX_KEY_BYTES: usize = 64 << 10;

const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const NUMBER: u8 = 4;
const TEXT: u8 = 5;
const NESTED: u8 = 6;
/// Ends a value. A zero within one is followed by [`MEANT`].
const END: [u8; 2] = [0, 1];
const MEANT: u8 = 2;

/// One value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The line has no such field, or null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as it stands in the line.
    Number(String),
    /// A text.
    Text(String),
    /// An array or an object, as JSON without spaces.
    Nested(String),
}

/// Appends a value to a key.
#[inline]
pub fn push_part(key: &mut Vec<u8>, value: &Raw<'_>) {
    match value {
        Raw::Null | Raw::Made(Cell::Null) => key.push(NULL),
        Raw::Bool(value) | Raw::Made(Cell::Bool(value)) => key.push(if *value { TRUE } else { FALSE }),
        Raw::Number(text) => push_text(key, NUMBER, text),
        Raw::Made(Cell::Number(text)) => push_text(key, NUMBER, text.as_bytes()),
        Raw::Nested(json) => push_text(key, NESTED, &minify(json)),
        Raw::Made(Cell::Nested(json)) => push_text(key, NESTED, &minify(json.as_bytes())),
        _ => push_text(key, TEXT, &value.text().unwrap_or_default()),
    }
}

#[inline]
fn push_text(key: &mut Vec<u8>, kind: u8, mut text: &[u8]) {
    key.push(kind);
    while let Some(at) = memchr(0, text) {
        key.extend_from_slice(&text[..=at]);
        key.push(MEANT);
        text = &text[at + 1..];
    }
    key.extend_from_slice(text);
    key.extend(END);
}

/// The values of a key, exactly `count`. Of bytes that are none, what can be read of them, and nulls.
pub fn read_key(mut key: &[u8], count: usize) -> Vec<KeyPart> {
    let mut parts = Vec::new();
    while let Some((kind, rest)) = key.split_first() {
        key = rest;
        let mut text = || String::from_utf8_lossy(&take_text(&mut key)).into_owned();
        parts.push(match *kind {
            FALSE => KeyPart::Bool(false),
            TRUE => KeyPart::Bool(true),
            NUMBER => KeyPart::Number(text()),
            TEXT => KeyPart::Text(text()),
            NESTED => KeyPart::Nested(text()),
            _ => KeyPart::Null,
        });
    }
    parts.resize(count, KeyPart::Null);
    parts
}

/// Takes the text at the front of a key.
fn take_text<'k>(key: &mut &'k [u8]) -> Cow<'k, [u8]> {
    let mut text: Cow<'k, [u8]> = Cow::Borrowed(&[]);
    loop {
        let at = memchr(0, key).unwrap_or(key.len());
        let is_meant = key.get(at + 1) == Some(&MEANT);
        let part = &key[..if is_meant { at + 1 } else { at }];
        match &mut text {
            Cow::Borrowed(text) if text.is_empty() => *text = part,
            text => text.to_mut().extend_from_slice(part),
        }
        *key = key.get(at + 2..).unwrap_or_default();
        if !is_meant {
            return text;
        }
    }
}
