//! Strings of JSON, read and written; and JSON without white space.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The text that the inside of a checked string stands for.
pub fn unescape(inside: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).copied().unwrap_or_default();
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let mut code = unit(rest);
                rest = rest.get(4..).unwrap_or_default();
                if (0xd800..0xdc00).contains(&code) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (unit(rest.get(2..).unwrap_or_default()) & 0x3ff);
                    rest = rest.get(6..).unwrap_or_default();
                }
                let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            itself => text.push(itself),
        }
    }
    text.extend_from_slice(rest);
    text
}

/// The number that four hexadecimal digits are.
fn unit(digits: &[u8]) -> u32 {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    digits.iter().take(4).fold(0, |unit, byte| unit * 16 + digit(byte))
}

/// Writes a text as a string.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut begin = 0;
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| **byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&text[begin..at]);
        begin = at + 1;
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text[begin..]);
    out.push(b'"');
}

/// Checked JSON without the white space between its parts.
pub fn minify(json: &[u8]) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    if !json.iter().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(quote) = memchr(b'"', rest) {
        out.extend(rest[..quote].iter().filter(|byte| !is_space(byte)));
        let mut end = quote + 1;
        while let Some(at) = rest.get(end..).and_then(|inside| memchr2(b'"', b'\\', inside)) {
            end += at;
            if rest[end] == b'"' {
                break;
            }
            end += 2;
        }
        end = (end + 1).min(rest.len());
        out.extend_from_slice(&rest[quote..end]);
        rest = &rest[end..];
    }
    out.extend(rest.iter().filter(|byte| !is_space(byte)));
    Cow::Owned(out)
}
