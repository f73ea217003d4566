//! Writes a row in the format of the output.

use std::borrow::Cow;

use crate::data::csv::{self, Dialect};
use crate::data::json;
use crate::data::{Cell, Raw, Type, Value, write_json};

use super::layout::{Column, Form, Kind, Layout, Rows};

/// Characters of a value that a message shows.
const SHOWN_CHARS: usize = 40;

/// Writes the slots of a row, which is `whole` in its input, behind what `out` has; for JSON without what separates rows.
///
/// # Errors
/// When a value does not fit its column. Then `out` has a part of the row.
pub fn write_row(
    layout: &Layout,
    input: Form,
    whole: &[u8],
    slots: &[Raw<'_>],
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    match (&layout.rows, layout.to) {
        (Rows::Whole(sets), _) if sets.is_empty() => {
            out.extend_from_slice(&json::minify(whole));
            Ok(())
        }
        (Rows::Whole(sets), _) => write_whole(sets, whole, slots, out),
        (Rows::Columns(columns), Form::Csv(dialect)) => write_csv_row(columns, dialect, input, slots, out),
        (Rows::Columns(columns), _) => {
            let names = layout.names.get_or_init(|| columns.iter().map(|column| quoted(&column.name)).collect());
            for (n, (column, name)) in columns.iter().zip(names).enumerate() {
                out.push(if n == 0 { b'{' } else { b',' });
                out.extend_from_slice(name);
                out.push(b':');
                write_json(fitted(column, input, slots)?.as_ref(), out);
            }
            out.push(b'}');
            Ok(())
        }
    }
}

/// The header of CSV.
pub fn header(columns: &[Column], dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, column) in columns.iter().enumerate() {
        if n > 0 {
            out.push(dialect.delimiter);
        }
        csv::write_text(column.name.as_bytes(), dialect, &mut out);
    }
    out.push(b'\n');
    out
}

fn quoted(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json::write_string(name.as_bytes(), &mut out);
    out
}

#[inline]
fn write_csv_row(
    columns: &[Column],
    dialect: Dialect,
    input: Form,
    slots: &[Raw<'_>],
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    for (n, column) in columns.iter().enumerate() {
        if n > 0 {
            out.push(dialect.delimiter);
        }
        match (column.kind, slots.get(column.slot)) {
            (Kind::Any | Kind::Like(_) | Kind::Same, Some(value)) => write_csv(value, dialect, out),
            _ => write_csv(fitted(column, input, slots)?.as_ref(), dialect, out),
        }
    }
    Ok(())
}

/// An object with some members replaced, or behind all others.
fn write_whole(
    sets: &[(String, usize)],
    whole: &[u8],
    slots: &[Raw<'_>],
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    let mut is_set = vec![false; sets.len()];
    let begin = out.len();
    let mut separator = b'{';
    let value = |n: usize| slots.get(sets[n].1).unwrap_or(&Raw::Null);
    json::members(whole, |name, as_it_is, raw| {
        let text = name.text().unwrap_or_default();
        let set = sets.iter().position(|(name, _)| name.as_bytes() == &*text);
        if set.is_some_and(|n| is_set[n]) {
            return;
        }
        out.push(separator);
        separator = b',';
        out.extend_from_slice(as_it_is);
        out.push(b':');
        if let Some(n) = set {
            is_set[n] = true;
        }
        match set {
            Some(n) => write_json(value(n), out),
            None => write_json(&raw, out),
        }
    })
    .map_err(|fault| fault.reason)?;
    for n in (0..sets.len()).filter(|n| !is_set[*n]) {
        out.push(if out.len() == begin { b'{' } else { b',' });
        json::write_string(sets[n].0.as_bytes(), out);
        out.push(b':');
        write_json(value(n), out);
    }
    out.push(b'}');
    Ok(())
}

/// The value of a column, as its type wants it.
fn fitted<'s, 'a>(column: &Column, input: Form, slots: &'s [Raw<'a>]) -> Result<Cow<'s, Raw<'a>>, Cow<'static, str>> {
    let value = slots.get(column.slot).unwrap_or(&Raw::Null);
    let (Kind::Like(wanted) | Kind::Only(wanted)) = column.kind else { return Ok(Cow::Borrowed(value)) };
    // JSON says itself what is a text.
    if column.kind == Kind::Like(wanted) && !input.is_csv() {
        return Ok(Cow::Borrowed(value));
    }
    match (fit(value, wanted, input), column.kind) {
        (Some(value), _) => Ok(Cow::Owned(value)),
        (None, Kind::Only(_)) => Err(format!("{} (--schema)", misfit_words(column, wanted, value)).into()),
        (None, _) => Ok(Cow::Borrowed(value)),
    }
}

/// That a value does not fit the type of its column, with the begin of the value.
#[cold]
pub fn misfit_words(column: &Column, wanted: Type, value: &Raw<'_>) -> String {
    let text = value.text().map(Cow::into_owned).unwrap_or_else(|| {
        let mut json = Vec::new();
        write_json(value, &mut json);
        json
    });
    let text = String::from_utf8_lossy(&text);
    let dots = if text.chars().nth(SHOWN_CHARS).is_some() { "..." } else { "" };
    let begin: String = text.chars().take(SHOWN_CHARS).collect();
    format!("`{}` is not {}, but `{begin}{dots}`", column.name, wanted.noun())
}

/// The value as one of that type, if it is one; its text stays as it is.
fn fit<'a>(value: &Raw<'a>, wanted: Type, input: Form) -> Option<Raw<'a>> {
    let made = |text: Cow<'a, [u8]>, cell: fn(Cow<'a, str>) -> Cell<'a>| match text {
        Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(|text| Raw::Made(cell(text.into()))),
        Cow::Owned(text) => String::from_utf8(text).ok().map(|text| Raw::Made(cell(text.into()))),
    };
    match (wanted, value) {
        (_, Raw::Null | Raw::Made(Cell::Null)) => Some(Raw::Null),
        (Type::Number, Raw::Number(_) | Raw::Made(Cell::Number(_))) => Some(value.clone()),
        // Most fields of CSV: that a row is UTF-8 was found when it was read.
        (Type::Number, Raw::Text(text)) => json::is_number(text).then_some(Raw::Number(text)),
        (Type::Number, _) => made(value.text().filter(|text| json::is_number(text))?, Cell::Number),
        (Type::Text, Raw::Text(_) | Raw::Escaped(_) | Raw::Doubled(..) | Raw::Made(Cell::Text(_))) => {
            Some(value.clone())
        }
        _ => match (Value::of(value, wanted, false, input.origin())?, value.text()) {
            (Value::Bool(truth), _) => Some(Raw::Bool(truth)),
            (Value::Int(_) | Value::Float(_) | Value::Decimal(_), Some(text)) => made(text, Cell::Number),
            (Value::Text(json), _) if wanted == Type::Json => Some(Raw::Made(Cell::Nested(json.into_owned().into()))),
            (Value::Text(shown), None) => Some(Raw::Made(Cell::Text(shown.into_owned().into()))),
            _ => Some(value.clone()),
        },
    }
}

/// Writes a value as a field of CSV.
#[inline]
fn write_csv(value: &Raw<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    match value {
        Raw::Null | Raw::Made(Cell::Null) => {}
        Raw::Bool(value) | Raw::Made(Cell::Bool(value)) => out.extend_from_slice(word(*value)),
        Raw::Number(text) => out.extend_from_slice(text),
        Raw::Text(text) => csv::write_text(text, dialect, out),
        Raw::Escaped(text) => csv::write_text(&json::unescape(text), dialect, out),
        Raw::Doubled(text, quote) => csv::write_text(&csv::undouble(text, *quote), dialect, out),
        Raw::Nested(text) => csv::write_text(&json::minify(text), dialect, out),
        Raw::Made(Cell::Number(text)) => out.extend_from_slice(text.as_bytes()),
        Raw::Made(Cell::Text(text)) => csv::write_text(text.as_bytes(), dialect, out),
        Raw::Made(Cell::Nested(text)) => csv::write_text(&json::minify(text.as_bytes()), dialect, out),
    }
}

fn word(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}
