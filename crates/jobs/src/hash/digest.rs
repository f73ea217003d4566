//! A digest: its bytes, and their hexadecimal form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The bytes of a digest, most significant first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "serde_bytes")] Box<[u8]>);

impl Digest {
    /// A digest of these bytes.
    pub fn new(bytes: &[u8]) -> Digest {
        Digest(bytes.into())
    }

    /// The digest that these hexadecimal digits of either case stand for.
    pub fn from_hex(digits: &[u8]) -> Option<Digest> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let bytes: Option<Box<[u8]>> =
            pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect();
        bytes.map(Digest)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At once instead of digit by digit: this is a large part of writing the report of many small files.
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = nibbles.map(|nibble| DIGITS[usize::from(nibble)]).collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_of_both_cases_are_read() {
        assert_eq!(Digest::from_hex(b"00fFAb").unwrap().as_bytes(), [0, 0xff, 0xab]);
        assert_eq!(Digest::new(&[0, 0xff, 0xab]).to_string(), "00ffab");
        for wrong in [&b"0"[..], b"0g", b"+1", b"\xff\xff"] {
            assert_eq!(Digest::from_hex(wrong), None);
        }
    }
}
