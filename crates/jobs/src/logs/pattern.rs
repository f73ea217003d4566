//! What `-e` says: a regex, and the name its lines are counted under.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::PlanError;

/// A named regex, not yet compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The column of the report.
    pub name: String,
    /// The regex as the user wrote it.
    pub regex: String,
}

impl Pattern {
    /// Reads `[NAME=]REGEX`.
    fn parse(value: &str) -> Pattern {
        let (name, regex) = match value.split_once('=') {
            Some(("", regex)) => (regex, regex),
            Some((name, regex)) if is_name(name) => (name, regex),
            _ => (value, value),
        };
        Pattern { name: name.into(), regex: regex.into() }
    }
}

/// Reads the values of all `-e`.
///
/// # Errors
/// When two have the same name.
pub fn parse_all(values: &[String]) -> Result<Vec<Pattern>, PlanError> {
    let patterns: Vec<Pattern> = values.iter().map(|value| Pattern::parse(value)).collect();
    let mut names = HashSet::new();
    match patterns.iter().find(|pattern| !names.insert(pattern.name.as_str())) {
        None => Ok(patterns),
        Some(twice) => Err(PlanError::new(format_args!(
            "failed to read `-e`: two patterns are named `{}`; give one another name with -e NAME=REGEX",
            twice.name
        ))),
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_the_first_equals_sign() {
        for (value, name, regex) in [
            ("ERROR", "ERROR", "ERROR"),
            ("err=ERROR", "err", "ERROR"),
            ("_a-1=x=y", "_a-1", "x=y"),
            ("=x=y", "x=y", "x=y"),
            ("", "", ""),
            ("=", "", ""),
            ("==", "=", "="),
            ("a=", "a", ""),
            ("1a=b", "1a=b", "1a=b"),
            ("a b=c", "a b=c", "a b=c"),
            ("\u{e4}=c", "\u{e4}=c", "\u{e4}=c"),
        ] {
            assert_eq!(Pattern::parse(value), Pattern { name: name.into(), regex: regex.into() }, "{value}");
        }
    }

    #[test]
    fn names_are_unique() {
        let parse = |values: &[&str]| parse_all(&values.iter().map(|value| value.to_string()).collect::<Vec<_>>());
        assert_eq!(parse(&["a=x", "b=x"]).unwrap().len(), 2);
        let message = parse(&["a=x", "a=y"]).unwrap_err().to_string();
        assert!(message.contains("-e") && message.contains("`a`"), "{message}");
        assert!(parse(&["x", "=x"]).is_err());
    }
}
