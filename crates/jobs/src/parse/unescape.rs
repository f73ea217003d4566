//! Escapes of access logs and of logfmt.
//!
//! Their writers escape the backslash itself (nginx as `\x5C`), so all that any of them may write is read everywhere:
//! nginx has `\xhh`, Apache that and those of C, logfmt those of JSON or of Go.

use memchr::memchr;

/// The bytes that a text stands for. What is no escape stands for itself.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = escape(rest, &mut out).unwrap_or_else(|| {
            out.push(b'\\');
            1
        });
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
    out
}

/// Writes what the escape at the begin of `text` stands for; returns its length.
fn escape(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let byte = match *text.get(1)? {
        itself @ (b'"' | b'\\' | b'/' | b'\'') => itself,
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'x' => {
            out.push(u8::try_from(hexadecimal(text.get(2..4)?)?).ok()?);
            return Some(4);
        }
        b'u' => return unit(text, out),
        b'U' => {
            push(out, hexadecimal(text.get(2..10)?)?);
            return Some(10);
        }
        _ => return None,
    };
    out.push(byte);
    Some(2)
}

/// `\uhhhh`, or two of them that are a surrogate pair.
fn unit(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let first = hexadecimal(text.get(2..6)?)?;
    let second = text.get(6..12).filter(|second| second.starts_with(b"\\u")).and_then(|text| hexadecimal(&text[2..]));
    if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, second) {
        push(out, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return Some(12);
    }
    push(out, first);
    Some(6)
}

fn push(out: &mut Vec<u8>, code: u32) {
    let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        for (text, expected) in [
            (r"plain", &b"plain"[..]),
            (r#"\x22a\x5C\xc3\xA4"#, "\"a\\\u{e4}".as_bytes()),
            (r"\xff", b"\xff"),
            (r#"a\"b\\n\n\t\r\b\f\v\a\/\'"#, b"a\"b\\n\n\t\r\x08\x0c\x0b\x07/'"),
            (r"\u00e4\ud83d\ude00\U0001F600", "\u{e4}\u{1f600}\u{1f600}".as_bytes()),
            (r"\ud83d\u0041\ude00", "\u{fffd}A\u{fffd}".as_bytes()),
            (r"\UFFFFFFFF", "\u{fffd}".as_bytes()),
            (r"C:\dir \x2 \xg0 \u12 \u+123", br"C:\dir \x2 \xg0 \u12 \u+123"),
            (r"end\", br"end\"),
            (r"\x", br"\x"),
        ] {
            assert_eq!(unescape(text.as_bytes()), expected, "{text}");
        }
    }
}
