//! How two purposes differ, in words.

/// Longer purposes are shown in part.
const SHOWN_CHARS: usize = 200;
/// What is shown of what is the same in both, before the first difference.
const BEFORE_CHARS: usize = 40;

/// Why a journal of one purpose is none for another: both, around the first difference if they are long.
pub(super) fn describe_other(theirs: &str, ours: &str) -> String {
    let same = theirs.chars().zip(ours.chars()).take_while(|(a, b)| a == b).count();
    format!("it was made for another purpose, `{}`, not for `{}`", excerpt(theirs, same), excerpt(ours, same))
}

fn excerpt(text: &str, same: usize) -> String {
    let chars = text.chars().count();
    if chars <= SHOWN_CHARS {
        return text.to_string();
    }
    let start = same.saturating_sub(BEFORE_CHARS).min(chars - SHOWN_CHARS);
    let shown: String = text.chars().skip(start).take(SHOWN_CHARS).collect();
    let before = if start > 0 { "..." } else { "" };
    let after = if start + SHOWN_CHARS < chars { "..." } else { "" };
    format!("{before}{shown}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_purposes_are_shown_where_they_differ() {
        assert_eq!(describe_other("a", "b"), "it was made for another purpose, `a`, not for `b`");
        let (theirs, ours) = (format!("{}x{}", "é".repeat(1000), "-".repeat(1000)), format!("{}y", "é".repeat(1000)));
        let told = describe_other(&theirs, &ours);
        assert!(told.contains("éx--") && told.contains("éy`") && told.contains("---...`"), "{told}");
        assert!(told.chars().count() < 500, "{told}");
    }
}
