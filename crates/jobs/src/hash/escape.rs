//! File names in lists of checksums, escaped as coreutils does.

use std::io::{self, Write};

/// Whether a line with this name starts with a backslash and has the name escaped.
pub fn needs_escape(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
}

/// Writes a name with backslash, newline and carriage return escaped; all other bytes as they are.
pub fn write_escaped(out: &mut dyn Write, name: &[u8]) -> io::Result<()> {
    for part in name.split_inclusive(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        match part {
            [plain @ .., b'\\'] => out.write_all(plain).and_then(|()| out.write_all(b"\\\\"))?,
            [plain @ .., b'\n'] => out.write_all(plain).and_then(|()| out.write_all(b"\\n"))?,
            [plain @ .., b'\r'] => out.write_all(plain).and_then(|()| out.write_all(b"\\r"))?,
            plain => out.write_all(plain)?,
        }
    }
    Ok(())
}

/// The name that an escaped one stands for; none if it is not the work of [`write_escaped`].
pub fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn escaping_is_undone(name in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'\n'), Just(b'\r'), Just(b'n')], 0..40)) {
            let mut escaped = Vec::new();
            write_escaped(&mut escaped, &name).unwrap();
            prop_assert!(!escaped.contains(&b'\n') && !escaped.contains(&b'\r'));
            prop_assert_eq!(needs_escape(&name), escaped != name);
            prop_assert_eq!(unescape(&escaped), Some(name));
        }
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for wrong in [&b"a\\"[..], b"\\t", b"\\\\\\", b"\\N"] {
            assert_eq!(unescape(wrong), None);
        }
    }
}
