//! Lists, structs, maps and dictionaries as JSON.

use arrow_array::cast::AsArray;
use arrow_array::{Array, downcast_dictionary_array};
use arrow_schema::DataType;

use super::values::{Kind, Write1, writer_at};
use crate::data::json::write_string;

/// How deep arrays may lie in each other: with the row around them, no deeper than JSON may.
const MAX_DEPTH: usize = 100;

/// The writer for the values of an array that has others within it, and lies in so many.
///
/// # Errors
/// When its type has no text.
pub fn writer(array: &dyn Array, depth: usize) -> Result<Write1<'_>, String> {
    if depth >= MAX_DEPTH {
        return Err(format!("lists and structs lie more than {MAX_DEPTH} deep in each other"));
    }
    let depth = depth + 1;
    Ok(match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            list(writer_at(lists.values(), depth)?, |row| {
                let offsets = lists.value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            })
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            list(writer_at(lists.values(), depth)?, |row| {
                let offsets = lists.value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            })
        }
        DataType::FixedSizeList(..) => {
            let lists = array.as_fixed_size_list();
            let length = lists.value_length() as usize;
            list(writer_at(lists.values(), depth)?, move |row| {
                let begin = lists.value_offset_at(row);
                begin..begin + length
            })
        }
        DataType::Struct(_) => {
            let object = array.as_struct();
            let mut members = Vec::new();
            for (field, column) in object.fields().iter().zip(object.columns()) {
                members.push((quoted(field.name()), writer_at(column, depth)?));
            }
            Box::new(move |row, out| {
                out.push(b'{');
                for (n, (name, write)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                    out.push(b':');
                    write_json(write, row, out);
                }
                out.push(b'}');
                Kind::Nested
            })
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            let (names, values) = (writer_at(maps.keys(), depth)?, writer_at(maps.values(), depth)?);
            Box::new(move |row, out| {
                let offsets = maps.value_offsets();
                out.push(b'{');
                for entry in offsets[row] as usize..offsets[row + 1] as usize {
                    if out.last() != Some(&b'{') {
                        out.push(b',');
                    }
                    let begin = out.len();
                    if let Kind::Bool(value) = names(entry, out) {
                        out.extend_from_slice(value.to_string().as_bytes());
                    }
                    let name = out.split_off(begin);
                    write_string(&name, out);
                    out.push(b':');
                    write_json(&values, entry, out);
                }
                out.push(b'}');
                Kind::Nested
            })
        }
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => {
                let write = writer_at(array.values().as_ref(), depth)?;
                Box::new(move |row, out: &mut Vec<u8>| array.key(row).map_or(Kind::Null, |key| write(key, out)))
            }
            other => return Err(format!("values of the type {other} have no text"))
        ),
        other => return Err(format!("values of the type {other} have no text")),
    })
}

fn list<'a>(write: Write1<'a>, range: impl Fn(usize) -> std::ops::Range<usize> + 'a) -> Write1<'a> {
    Box::new(move |row, out| {
        out.push(b'[');
        for (n, item) in range(row).enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write_json(&write, item, out);
        }
        out.push(b']');
        Kind::Nested
    })
}

fn write_json(write: &Write1<'_>, row: usize, out: &mut Vec<u8>) {
    let begin = out.len();
    match write(row, out) {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Kind::Number | Kind::Nested => {}
        Kind::Text => {
            let text = out.split_off(begin);
            write_string(&text, out);
        }
    }
}

fn quoted(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_string(name.as_bytes(), &mut out);
    out
}
