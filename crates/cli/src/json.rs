//! JSON for people and programs: indented, and nothing in it that a terminal would act on.

use std::io::{self, Write};

use procession_jobs::Streamed;

/// Writes a value. Control characters that JSON lets stand bare (DEL, and U+0080 to U+009F) are escaped too: to terminals
/// U+009B is what begins a command.
///
/// # Errors
/// Those of `out`.
pub fn write_json(out: &mut dyn Write, value: &Streamed<'_>) -> io::Result<()> {
    serde_json::to_writer_pretty(Harmless(&mut *out), value)?;
    writeln!(out)
}

/// Takes whole characters, for serde_json writes pieces of `str`. Control characters that are not escaped yet stand in
/// strings only, but for the line feed.
struct Harmless<'w>(&'w mut dyn Write);

impl Write for Harmless<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut rest = text;
        while let Some((at, code, length)) = control(rest) {
            self.0.write_all(&rest[..at])?;
            write!(self.0, "\\u{code:04x}")?;
            rest = &rest[at + length..];
        }
        self.0.write_all(rest)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The first one: its place, its code and its length in UTF-8.
fn control(text: &[u8]) -> Option<(usize, u8, usize)> {
    text.iter().enumerate().find_map(|(at, byte)| match (byte, text.get(at + 1)) {
        (0x7f, _) => Some((at, 0x7f, 1)),
        (0xc2, Some(code @ 0x80..=0x9f)) => Some((at, *code, 2)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_as_others_write_it_but_for_control_characters() {
        let value =
            json!({"a\u{7f}": ["\u{1b}[1m\u{9b}2J \u{e4}\u{85}", 1.5, null, {}, []], "b": {"c": "plain \" \\"}});
        let mut out = Vec::new();
        write_json(&mut out, &value.clone().into()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
        assert!(text.contains("\\u001b[1m\\u009b2J \u{e4}\\u0085"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        let plain = json!({"a": [1, {"b": "\u{a0}\u{442}"}], "d": {}});
        let mut out = Vec::new();
        write_json(&mut out, &plain.clone().into()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&plain).unwrap() + "\n");
    }
}
