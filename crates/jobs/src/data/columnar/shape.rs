//! What the end of a file tells: its columns, and how many rows lie where.

use std::collections::HashSet;
use std::path::Path;

use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Columnar, arrow_file, pack_schema, parquet_file};
use crate::data::FieldPath;
use crate::describe;
use crate::regular::Regular;

/// More columns are hardly meant.
const MAX_FIELDS: usize = 10_000;

/// What is known of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The names of its columns.
    pub names: Vec<String>,
    /// The way to each column and to each field of a struct, as [`FieldPath`] shows it, and its type in words.
    pub fields: Vec<(String, String)>,
    /// For workers.
    pub schema: ByteBuf,
    pub groups: Vec<Group>,
}

/// Rows that lie together: a row group of Parquet, a record batch of Arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub rows: u64,
    /// What they are in the file, and in memory as far as that is known.
    pub bytes: u64,
    pub memory_bytes: u64,
    /// About what its texts and bytes are if each is written out, also those that many rows share; 0 if nothing tells.
    pub value_bytes: u64,
}

/// Reads the end of a file.
///
/// # Errors
/// In words, when it is not one of that format.
pub fn look(path: &Path, format: Columnar) -> Result<Shape, String> {
    let file = Regular::open(path).map_err(|cause| describe(&cause))?;
    let read = match format {
        Columnar::Parquet => parquet_file::look(file),
        Columnar::Arrow => arrow_file::look(file),
    };
    read.and_then(|(schema, groups)| Shape::new(&schema, groups))
}

impl Shape {
    fn new(schema: &Schema, groups: Vec<Group>) -> Result<Shape, String> {
        let mut shape = Shape { schema: pack_schema(schema), groups, ..Shape::default() };
        if schema.fields().is_empty() {
            return Err("it has no columns".to_string());
        }
        let mut known = HashSet::new();
        for field in schema.fields() {
            if !known.insert(field.name()) {
                return Err(format!("two of its columns are called `{}`", field.name()));
            }
            shape.names.push(field.name().clone());
            shape.add(&mut Vec::new(), field)?;
        }
        Ok(shape)
    }

    fn add(&mut self, within: &mut Vec<String>, field: &Field) -> Result<(), String> {
        if self.fields.len() >= MAX_FIELDS {
            return Err(format!("it has more than {MAX_FIELDS} columns"));
        }
        within.push(field.name().clone());
        self.fields.push((FieldPath::of(within.clone()).to_string(), field.data_type().to_string()));
        if let DataType::Struct(members) = field.data_type() {
            for member in members {
                self.add(within, member)?;
            }
        }
        within.pop();
        Ok(())
    }
}
