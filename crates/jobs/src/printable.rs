//! Text that is safe to show: names and lines come from anyone, and a terminal obeys what is in them.

use std::borrow::Cow;

/// The text with its control characters escaped, but for tabs.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\n\u{1b}[31mb\t\u{9b} \u{e4}"), "a\\n\\u{1b}[31mb\t\\u{9b} \u{e4}");
        assert!(matches!(printable("plain"), Cow::Borrowed("plain")));
    }
}
