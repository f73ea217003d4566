//! Writes fields of CSV.

use memchr::memchr3;

use super::Dialect;

/// Writes a text: in quotes if it would be read as something else without them.
#[inline]
pub fn write_text(text: &[u8], dialect: Dialect, out: &mut Vec<u8>) {
    let Dialect { delimiter, quote } = dialect;
    // Short fields are the rule, and a call costs more than they do.
    let is_odd = |byte: &u8| *byte == delimiter || *byte == quote || *byte == b'\n' || *byte == b'\r';
    let needs_quotes = match text.len() {
        0 => true,
        1..32 => text.iter().any(is_odd),
        _ => memchr3(delimiter, quote, b'\n', text).is_some() || text.contains(&b'\r'),
    };
    if !needs_quotes {
        out.extend_from_slice(text);
        return;
    }
    out.push(quote);
    for part in text.split_inclusive(|byte| *byte == quote) {
        out.extend_from_slice(part);
        if part.last() == Some(&quote) {
            out.push(quote);
        }
    }
    out.push(quote);
}
