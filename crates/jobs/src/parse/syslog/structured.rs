//! Structured data of RFC 5424, section 6.3: `[id name="value" name="value"][id]`.

use memchr::{memchr, memchr3};

/// Goes over the elements at the begin of `text`, of which there must be one, and tells each parameter: the element's id,
/// the name, and the value with its escapes. Returns their length, or [`None`] if they are malformed.
pub fn walk<'a>(text: &'a [u8], mut parameter: impl FnMut(&'a [u8], &'a [u8], &'a [u8])) -> Option<usize> {
    let mut rest = text;
    while let Some(element) = rest.strip_prefix(b"[") {
        let id;
        (id, rest) = name(element)?;
        while let Some(behind) = rest.strip_prefix(b" ") {
            let (name, behind) = name(behind)?;
            let (value, behind) = value(behind.strip_prefix(b"=\"")?)?;
            parameter(id, name, value);
            rest = behind;
        }
        rest = rest.strip_prefix(b"]")?;
    }
    (rest.len() < text.len()).then_some(text.len() - rest.len())
}

/// The name at the begin of a text, and what follows.
fn name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_name = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let length = text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len());
    (length > 0).then(|| text.split_at(length))
}

/// What stands before the closing quote, and behind it. `"`, `]` and the backslash are escaped within.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr3(b'"', b'\\', b']', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += if matches!(text.get(at + 1), Some(b'"' | b'\\' | b']')) { 2 } else { 1 },
            // Bare it is against the rules, but clear: it is in quotes.
            _ => at += 1,
        }
    }
}

/// The value without escapes, if it has any. A backslash before any other character stands for itself.
pub fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    memchr(b'\\', value)?;
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = (byte == b'\\').then(|| bytes.next_if(|next| matches!(next, b'"' | b'\\' | b']'))).flatten();
        out.push(escaped.unwrap_or(byte));
    }
    Some(out)
}
