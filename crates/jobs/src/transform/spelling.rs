//! How the arguments spell types.

use crate::PlanError;
use crate::data::Type;

/// Types at the commas between them, of which a type may have others within it.
pub fn split_types(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |letter| {
        depth = match letter {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        letter == ',' && depth == 0
    })
}

/// A column of `--schema` and its type.
///
/// # Errors
/// When it is none.
pub fn parse_type(text: &str) -> Result<(String, Type), PlanError> {
    let parsed = text.rsplit_once(':').and_then(|(name, word)| Some((name.to_string(), Type::parse(word)?)));
    parsed.ok_or_else(|| {
        PlanError::new(format_args!(
            "`{text}` is no COL:TYPE: text, number, bool, json, int, float, decimal(18,2), timestamp or date (--schema)"
        ))
    })
}
