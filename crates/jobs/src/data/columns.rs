//! A list of columns as the user writes it: `ts=timestamp,value,host.name`.

use super::FieldPath;

/// Reads `[NAME=]FIELD,...`: the name of each column, which is that of its field if no other is given, and its field.
///
/// # Errors
/// What is wrong with it, and where; also if two columns have one name.
pub fn read_columns(text: &str) -> Result<Vec<(String, FieldPath)>, String> {
    let mut columns: Vec<(String, FieldPath)> = Vec::new();
    let mut rest = text;
    loop {
        let at = text.len() - rest.len() + 1;
        let wrong =
            |error: &dyn std::fmt::Display| format!("cannot read the columns `{text}` from byte {at} on: {error}");
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
