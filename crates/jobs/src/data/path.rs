//! How a field of a row is named: `status`, `host.name`, `` `user agent` ``.

use std::fmt;

/// The way to a field: one name, or the names of objects within objects and then the field's own.
///
/// In text, names are joined by dots. A name of letters, digits, `_`, `@` and `$` stands as it is, any other between
/// backquotes, in which a backquote is doubled: `` headers.`user agent` ``. The first name begins with a digit only
/// between backquotes.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::data::FieldPath;
///
/// let path: FieldPath = "headers.`user agent`".parse().unwrap();
/// assert_eq!(path.parts(), ["headers", "user agent"]);
/// assert_eq!(path.to_string(), "headers.`user agent`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<String>);

/// Why a text is no [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// How many bytes of the text are in order.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl FieldPath {
    /// The names, from the outermost to the field's own: at least one.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// The path of these names, of which there must be one.
    pub(crate) fn of(parts: Vec<String>) -> FieldPath {
        FieldPath(parts)
    }

    /// Reads a path at the begin of `text`; returns it with what follows it.
    ///
    /// # Errors
    /// When there is no name, at the begin or behind a dot, or a backquote is not closed.
    pub fn read(text: &str) -> Result<(FieldPath, &str), PathError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        loop {
            let error = |reason| PathError { offset: text.len() - rest.len(), reason };
            if let Some(quoted) = rest.strip_prefix('`') {
                let (name, behind) = read_quoted(quoted, '`').ok_or_else(|| error("a backquote is not closed"))?;
                parts.push(name);
                rest = behind;
            } else {
                let is_first = parts.is_empty();
                let end = rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len());
                if end == 0 || is_first && rest.starts_with(|letter: char| letter.is_numeric()) {
                    return Err(error("expected the name of a field"));
                }
                parts.push(rest[..end].to_string());
                rest = &rest[end..];
            }
            match rest.strip_prefix('.') {
                Some(behind) => rest = behind,
                None => return Ok((FieldPath(parts), rest)),
            }
        }
    }
}

/// Reads up to the closing `quote`, which is doubled where it is meant; returns what is quoted and what follows.
pub fn read_quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut quoted, mut rest) = (String::new(), text);
    loop {
        let (part, behind) = rest.split_once(quote)?;
        quoted.push_str(part);
        match behind.strip_prefix(quote) {
            Some(behind) => rest = behind,
            None => return Some((quoted, behind)),
        }
        quoted.push(quote);
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '@' | '$')
}

impl std::str::FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<FieldPath, PathError> {
        match FieldPath::read(text)? {
            (path, "") => Ok(path),
            (_, rest) => Err(PathError {
                offset: text.len() - rest.len(),
                reason: "the name of a field ends here; one with other characters stands between backquotes",
            }),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            let begins_a_number = n == 0 && part.starts_with(|letter: char| letter.is_numeric());
            if !part.is_empty() && part.chars().all(is_plain) && !begins_a_number {
                f.write_str(part)?;
            } else {
                write!(f, "`{}`", part.replace('`', "``"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.reason, self.offset + 1)
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_joined_by_dots_and_quoted_where_odd() {
        for (text, parts, rest) in [
            ("status", &["status"][..], ""),
            ("host.name = 1", &["host", "name"], " = 1"),
            ("@timestamp,", &["@timestamp"], ","),
            ("items.0.$ref", &["items", "0", "$ref"], ""),
            ("`a.b`.c", &["a.b", "c"], ""),
            ("`a``b`", &["a`b"], ""),
            ("``", &[""], ""),
            ("gr\u{f6}\u{df}e-1", &["gr\u{f6}\u{df}e"], "-1"),
        ] {
            let (path, behind) = FieldPath::read(text).unwrap();
            assert_eq!(
                (path.parts(), behind),
                (&parts.iter().map(|part| part.to_string()).collect::<Vec<_>>()[..], rest)
            );
        }
        for (text, offset) in [("", 0), ("1a", 0), ("a.", 2), ("a..b", 2), ("a.`b", 2), ("-", 0), ("a b", 1)] {
            assert_eq!(text.parse::<FieldPath>().unwrap_err().offset, offset, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(parts in prop::collection::vec("[a-c0-1.`@ \u{e4}]{0,4}", 1..4)) {
            let path = FieldPath(parts);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}
