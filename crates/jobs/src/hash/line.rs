//! One line of a list of checksums: writing it, and reading what coreutils, OpenSSL, b3sum and xxhsum write.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::algorithm::Algorithm;
use super::digest::Digest;
use super::escape::{needs_escape, unescape, write_escaped};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineStyle {
    /// The checksum of all lines.
    pub algorithm: Algorithm,
    /// `SHA256 (path) = digest` instead of `digest  path`.
    pub tag: bool,
    /// End with NUL and escape nothing.
    pub zero: bool,
}

impl LineStyle {
    /// Writes the line of one file, with the bytes of its name as they are.
    pub fn write(self, out: &mut dyn Write, path: &Path, digest: &Digest) -> io::Result<()> {
        let name = path.as_os_str().as_bytes();
        let escape = !self.zero && needs_escape(name);
        if escape {
            out.write_all(b"\\")?;
        }
        if self.tag {
            write!(out, "{} (", self.algorithm.tag())?;
        } else {
            write!(out, "{}{digest}  ", self.algorithm.prefix())?;
        }
        if escape {
            write_escaped(out, name)?;
        } else {
            out.write_all(name)?;
        }
        if self.tag {
            write!(out, ") = {digest}")?;
        }
        out.write_all(if self.zero { b"\0" } else { b"\n" })
    }
}

/// What a line says: this file has that digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLine {
    /// The file, named from the current folder.
    pub path: PathBuf,
    /// The checksum meant.
    pub algorithm: Algorithm,
    /// Its value.
    pub digest: Digest,
}

/// Reads the lines of all lists of one run.
#[derive(Debug, Default)]
pub struct LineParser {
    algorithm: Option<Algorithm>,
    /// Whether untagged lines have one blank and no mode character before the name (an old BSD form). The first line
    /// decides for all, as in coreutils: otherwise a renamed file with a leading blank could stand in for another.
    reversed: Option<bool>,
}

impl LineParser {
    /// A parser that takes untagged lines for this algorithm, or goes by the digest's length.
    pub fn new(algorithm: Option<Algorithm>) -> LineParser {
        LineParser { algorithm, reversed: None }
    }

    /// Parses a line without its line end; none if it is improperly formatted.
    pub fn parse(&mut self, line: &[u8]) -> Option<CheckLine> {
        // Not a list by lines but one by NULs: coreutils would check its first name and be silent about all others.
        if line.contains(&0) {
            return None;
        }
        let line = skip_blanks(line);
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (algorithm, digest, name) = match Algorithm::strip_tag(line) {
            Some((algorithm, rest)) => tagged(algorithm, rest)?,
            None => self.untagged(line)?,
        };
        let name = if escaped { unescape(name)? } else { name.to_vec() };
        Some(CheckLine { path: OsString::from_vec(name).into(), algorithm, digest })
    }

    fn untagged<'a>(&mut self, line: &'a [u8]) -> Option<(Algorithm, Digest, &'a [u8])> {
        let (digits, rest) = line.split_at(line.iter().position(is_blank)?);
        let (algorithm, digits) = match digits.strip_prefix(Algorithm::Xxh3.prefix().as_bytes()) {
            Some(digits) => (Some(Algorithm::Xxh3), digits),
            None => (self.algorithm, digits),
        };
        let algorithm = algorithm.or_else(|| Algorithm::from_digest_bytes(digits.len() / 2))?;
        let digest = digest_of(algorithm, digits)?;
        match &rest[1..] {
            [] => None,
            [b' ' | b'*', name @ ..] if !name.is_empty() && self.reversed != Some(true) => {
                self.reversed = Some(false);
                Some((algorithm, digest, name))
            }
            [b' ' | b'*', _, ..] => Some((algorithm, digest, &rest[1..])),
            _ if self.reversed == Some(false) => None,
            name => {
                self.reversed = Some(true);
                Some((algorithm, digest, name))
            }
        }
    }
}

/// Parses what follows `TAG (`. The name ends at the last parenthesis: it may hold some itself.
fn tagged(algorithm: Algorithm, line: &[u8]) -> Option<(Algorithm, Digest, &[u8])> {
    let (name, rest) = line.split_at(line.iter().rposition(|&byte| byte == b')')?);
    let digits = skip_blanks(skip_blanks(&rest[1..]).strip_prefix(b"=")?);
    Some((algorithm, digest_of(algorithm, digits)?, name))
}

fn digest_of(algorithm: Algorithm, digits: &[u8]) -> Option<Digest> {
    if digits.len() == 2 * algorithm.digest_bytes() { Digest::from_hex(digits) } else { None }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_blank(byte)).count();
    &line[blanks..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn parsed(line: &str) -> Option<(String, Algorithm)> {
        let line = LineParser::new(None).parse(line.as_bytes())?;
        Some((line.path.to_str().unwrap().into(), line.algorithm))
    }

    #[test]
    fn the_length_tells_the_algorithm_of_untagged_lines() {
        for algorithm in Algorithm::ALL {
            let line = format!("{}  a", "0".repeat(2 * algorithm.digest_bytes()));
            let expected = if algorithm == Algorithm::Blake3 { Algorithm::Sha256 } else { algorithm };
            assert_eq!(parsed(&line), Some(("a".into(), expected)));
        }
        assert_eq!(parsed(&format!("{MD5}0  a")), None);
        assert_eq!(parsed(&format!("XXH3_{}  a", &MD5[16..])), Some(("a".into(), Algorithm::Xxh3)));
        assert_eq!(parsed(&format!("XXH3_{MD5}  a")), None);
    }

    #[test]
    fn a_given_algorithm_holds_for_untagged_lines_only() {
        let mut parser = LineParser::new(Some(Algorithm::Sha1));
        assert_eq!(parser.parse(format!("{MD5}  a").as_bytes()), None);
        assert!(parser.parse(format!("MD5 (a) = {MD5}").as_bytes()).is_some());
    }

    #[test]
    fn names_keep_every_byte() {
        assert_eq!(parsed(&format!("{MD5}   a ")).unwrap().0, " a ");
        assert_eq!(parsed(&format!("MD5 ( a) = () ) = {MD5}")).unwrap().0, " a) = () ");
        assert_eq!(parsed(&format!("{MD5}  a\0{MD5}  b")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn written_lines_are_read(name in prop::collection::vec(prop_oneof![1u8..=255, Just(b'\\'), Just(b'\n'), Just(b' '), Just(b')')], 1..20), tag: bool, which in 0usize..6) {
            let algorithm = Algorithm::ALL[which];
            let digest = Digest::new(&vec![0xa5; algorithm.digest_bytes()]);
            let path = PathBuf::from(OsString::from_vec(name));
            let mut line = Vec::new();
            LineStyle { algorithm, tag, zero: false }.write(&mut line, &path, &digest).unwrap();
            prop_assert_eq!(line.pop(), Some(b'\n'));
            let read = LineParser::new(Some(algorithm)).parse(&line);
            prop_assert_eq!(read, Some(CheckLine { path, algorithm, digest }));
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..80), start in 0usize..6) {
            let start = ["", "\\", "MD5 (", "XXH3_", "900150983cd24fb0d6963f7d28e17f72 ", "MD5 (a) ="][start];
            LineParser::new(None).parse(&[start.as_bytes(), &line].concat());
        }
    }
}
