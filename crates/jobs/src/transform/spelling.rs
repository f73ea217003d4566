//! How the arguments spell columns and types.

use crate::PlanError;
use crate::data::{FieldPath, Type};

/// The columns of `--select`: name in the output, and field.
///
/// # Errors
/// What cannot be read, and where.
pub fn parse_select(text: &str) -> Result<Vec<(String, FieldPath)>, PlanError> {
    let mut columns: Vec<(String, FieldPath)> = Vec::new();
    let mut rest = text;
    loop {
        let at = text.len() - rest.len();
        let wrong = |error: &dyn std::fmt::Display| {
            PlanError::new(format_args!(
                "cannot read the columns `{text}` from byte {at} on: {error} (--select)",
                at = at + 1
            ))
        };
        let (first, behind) = FieldPath::read(rest.trim_start()).map_err(|error| wrong(&error))?;
        let (path, behind) = match behind.trim_start().strip_prefix('=') {
            Some(field) => FieldPath::read(field.trim_start()).map_err(|error| wrong(&error))?,
            None => (first.clone(), behind),
        };
        let name = first.parts().join(".");
        if columns.iter().any(|(known, _)| *known == name) {
            return Err(wrong(&format_args!("the column `{name}` comes twice; NAME=FIELD gives it another name")));
        }
        columns.push((name, path));
        rest = behind.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Ok(columns),
            None => return Err(wrong(&"expected a comma; odd names stand in backquotes")),
        }
    }
}

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
