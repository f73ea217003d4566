//! Lines of each format, as their documents have them and as they come.

mod access;
mod auto;
mod parser;
mod properties;
mod syslog;
mod text;

use super::{LineFormat, LineParser};
use crate::data::json::Shape;
use crate::data::{Cell, FieldPath, Raw};

/// A parser for the fields that `names` names, between spaces.
fn parser(format: &str, names: &str) -> LineParser {
    let fields: Vec<FieldPath> = names.split_whitespace().map(|name| name.parse().unwrap()).collect();
    LineParser::new(&format.parse::<LineFormat>().unwrap(), &fields, None).unwrap()
}

/// The fields of a line, each as it is shown.
fn read(format: &str, names: &str, line: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
    let parser = parser(format, names);
    let mut slots = vec![Raw::Null; parser.slots()];
    parser.read(line.as_ref(), &mut slots, &mut Shape::default()).map_err(|reason| reason.to_string())?;
    Ok(slots.iter().map(shown).collect())
}

/// What a line has in the fields: numbers are shown as `#1`.
#[track_caller]
fn assert_fields(format: &str, line: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let values = read(format, &names.join(" "), line.as_ref());
    let shown_line = String::from_utf8_lossy(line.as_ref());
    let values = values.unwrap_or_else(|reason| panic!("{reason}: {shown_line}"));
    let found: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
    assert_eq!(found, expected, "{shown_line}");
}

fn shown(value: &Raw<'_>) -> String {
    match value.cell() {
        Cell::Null => "NULL".into(),
        Cell::Bool(value) => format!("#{value}"),
        Cell::Number(text) => format!("#{text}"),
        Cell::Text(text) => text.into(),
        Cell::Nested(text) => format!("#{text}"),
    }
}
