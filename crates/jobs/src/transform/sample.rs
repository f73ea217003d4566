//! The first rows of an input: which columns there are, and of what type.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::data::columnar::Shape;
use crate::data::csv::{Dialect, RowBorders, Rows};
use crate::data::json::{Scan, is_number, members};
use crate::data::{Cell, Raw, Type};

use super::layout::Form;

/// Bytes and rows that are looked at.
pub const SAMPLE_BYTES: usize = 4 << 20;
pub const SAMPLE_ROWS: usize = 10_000;
/// More columns are hardly meant.
const MAX_COLUMNS: usize = 100_000;

/// The begin of an input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    pub(super) form: Form,
    pub(super) text: ByteBuf,
    /// Whether that is all of it.
    pub(super) is_all: bool,
    /// Whether the first row of CSV names the columns.
    pub(super) has_header: bool,
}

/// What is known of an input's columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Their names; those of CSV without a header are empty.
    pub(super) names: Vec<String>,
    /// Of CSV, the type that all values have; none if there are no values.
    pub(super) types: Vec<Option<Type>>,
    /// Bytes and lines of the header.
    pub(super) header_bytes: u64,
    pub(super) header_lines: u64,
    /// Of a format of columns, all that is known.
    pub(super) shape: Option<Shape>,
}

/// Looks at the first rows of an input.
///
/// # Errors
/// What is wrong with the header of CSV. What is wrong with rows is told when they are read.
pub fn sample(ask: Ask) -> Result<Sample, String> {
    match ask.form {
        Form::Csv(dialect) => sample_csv(&ask, dialect),
        Form::Array => {
            let mut names = Names::default();
            let mut scan = Scan::new(&ask.text);
            scan.space();
            scan.take(b'[');
            for _ in 0..SAMPLE_ROWS {
                scan.space();
                let Ok(value) = scan.value(1) else { break };
                names.add(&value);
                scan.space();
                if !scan.take(b',') {
                    break;
                }
            }
            Ok(names.finish())
        }
        Form::Lines => {
            let mut names = Names::default();
            for line in ask.text.split(|byte| *byte == b'\n').take(SAMPLE_ROWS) {
                let mut scan = Scan::new(line);
                scan.space();
                if let Ok(value) = scan.value(0) {
                    names.add(&value);
                }
            }
            Ok(names.finish())
        }
        Form::Columnar(_) => Ok(Sample::default()),
    }
}

/// The names in objects, in the order in which they first come.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    known: std::collections::HashSet<String>,
}

impl Names {
    fn add(&mut self, value: &Raw<'_>) {
        let Raw::Nested(object) = value else { return };
        if !object.starts_with(b"{") {
            return;
        }
        // It was checked just now.
        let _ = members(object, |name, _, _| {
            let Cell::Text(name) = name.cell() else { return };
            if self.names.len() < MAX_COLUMNS && !self.known.contains(&*name) {
                self.known.insert(name.clone().into_owned());
                self.names.push(name.into_owned());
            }
        });
    }

    fn finish(self) -> Sample {
        Sample { names: self.names, ..Sample::default() }
    }
}

fn sample_csv(ask: &Ask, dialect: Dialect) -> Result<Sample, String> {
    let mut text = &ask.text[..];
    let mut found = Sample::default();
    let mut fields = Vec::new();
    let mut first = Rows::new(text, dialect, 0);
    match first.next(&mut fields) {
        None if ask.has_header => return Err("it has no header (--no-header)".to_string()),
        None => return Ok(found),
        Some((_, Err(reason))) => return Err(format!("line 1: {reason}")),
        Some((_, Ok(()))) if !ask.is_all && RowBorders::new(dialect).find(text, 1).is_none() => {
            return Err(format!("its first row is longer than {} MiB", SAMPLE_BYTES >> 20));
        }
        Some((_, Ok(()))) => {}
    }
    if fields.len() > MAX_COLUMNS {
        return Err(format!("its first row has more than {MAX_COLUMNS} fields"));
    }
    if ask.has_header {
        for field in &fields {
            let name = field.text().unwrap_or_default();
            let name = std::str::from_utf8(&name).map_err(|_| "line 1: invalid UTF-8".to_string())?;
            found.names.push(name.to_string());
        }
        let (header, rest) = text.split_at(first.at());
        found.header_bytes = header.len() as u64;
        found.header_lines = memchr::memchr_iter(b'\n', header).count() as u64;
        text = rest;
    } else {
        found.names = vec![String::new(); fields.len()];
    }
    let columns = found.names.len();
    found.types = vec![None; columns];
    let mut rows = Rows::new(text, dialect, columns);
    for _ in 0..SAMPLE_ROWS {
        let Some((_, read)) = rows.next(&mut fields) else { break };
        // The last one may be cut off.
        let is_whole = ask.is_all || rows.at() < text.len();
        let is_text = fields.iter().all(|field| field.text().is_none_or(|text| std::str::from_utf8(&text).is_ok()));
        if read.is_err() || !is_whole || fields.len() != columns || !is_text {
            continue;
        }
        for (known, field) in found.types.iter_mut().zip(&fields) {
            let Some(text) = field.text() else { continue };
            let of_value = match &*text {
                b"true" | b"false" => Type::Bool,
                text if is_number(text) => Type::Number,
                _ => Type::Text,
            };
            *known = Some(if known.is_some_and(|known| known != of_value) { Type::Text } else { of_value });
        }
    }
    Ok(found)
}
