//! Decides which types the columns of an output have that is written by columns.

use std::collections::HashMap;

use crate::PlanError;
use crate::data::columnar::Shape;
use crate::data::{FieldPath, Possible, Type};

use super::frame::ColumnType;
use super::layout::{Column, Form, Kind, Layout};
use super::sample::Sample;

/// Settles the types that `--schema` does not give: that of the inputs if all have one, else what the values tell.
///
/// # Errors
/// When the inputs have different types, or some have none.
pub fn settle(
    columns: &mut [Column],
    inputs: &[(Form, String, Sample)],
    paths: &[FieldPath],
    found: &[Possible],
    schema: &[(String, Type)],
) -> Result<(), PlanError> {
    let types: Vec<(&str, Types<'_>)> = inputs
        .iter()
        .filter_map(|(_, input, sample)| sample.shape.as_ref().map(|shape| (input.as_str(), Types::new(shape))))
        .collect();
    for (n, column) in columns.iter_mut().enumerate() {
        let given = schema.iter().rev().find(|(name, _)| *name == column.name);
        let wanted = found.get(n).map_or(Type::Text, |possible| possible.wanted());
        column.kind = Kind::Like(wanted);
        if let Some((name, Type::Number)) = given {
            // Before values were looked at, all are text.
            if !found.is_empty() && !matches!(wanted, Type::Int | Type::Float | Type::PointedFloat) {
                return Err(PlanError::new(format_args!(
                    "the numbers of `{name}` are neither integers of 64 bits nor in floating point as they are written \
                     (--schema {name}:decimal(38,9), or {name}:text)"
                )));
            }
            column.kind = Kind::Only(wanted);
        }
        let Some(path) = paths.get(column.slot).filter(|_| given.is_none()) else { continue };
        let mut first: Option<(&str, &str)> = None;
        for (input, types) in &types {
            let Some(known) = types.at(path) else { continue };
            let (other, has_type) = *first.get_or_insert((input, known));
            if has_type != known {
                return Err(PlanError::new(format_args!(
                    "the column `{0}` has the type {has_type} in `{other}`, and {known} in `{input}` (--schema {0}:TYPE)",
                    column.name
                )));
            }
        }
        let Some((input, known)) = first else { continue };
        if let Some((_, other, _)) = inputs.iter().find(|(form, ..)| form.columnar().is_none()) {
            return Err(PlanError::new(format_args!(
                "the column `{0}` has the type {known} in `{input}`, and none in `{other}` (--schema {0}:TYPE)",
                column.name
            )));
        }
        column.kind = Kind::Same;
    }
    Ok(())
}

/// The types of all fields of a file, in words, by their paths.
pub struct Types<'s>(HashMap<&'s str, &'s str>);

impl<'s> Types<'s> {
    /// Those of a file; of two with one path the first counts.
    pub fn new(shape: &'s Shape) -> Types<'s> {
        Types(shape.fields.iter().rev().map(|(path, known)| (path.as_str(), known.as_str())).collect())
    }

    /// The type at a path, or of the name that the path is in one piece.
    pub fn at(&self, path: &FieldPath) -> Option<&'s str> {
        let find = |path: &FieldPath| self.0.get(path.to_string().as_str()).copied();
        find(path).or_else(|| find(&FieldPath::of(vec![path.parts().join(".")])))
    }
}

impl Layout {
    /// Whether the values have to be looked at before the types of all columns are known.
    pub fn needs_types(&self, schema: &[(String, Type)]) -> bool {
        let is_number = |column: &Column| schema.iter().any(|(name, of)| *name == column.name && *of == Type::Number);
        let is_open = |column: &Column| matches!(column.kind, Kind::Like(_)) || is_number(column);
        self.to.columnar().is_some() && self.columns().iter().any(is_open)
    }

    /// The name of each column, and what decides about its type.
    pub fn column_types(&self) -> Vec<(String, ColumnType)> {
        let of = |column: &Column| match column.kind {
            Kind::Like(known) | Kind::Only(known) => ColumnType::Of(known),
            Kind::Any => ColumnType::Of(Type::Text),
            Kind::Same => ColumnType::Same(self.paths.get(column.slot).cloned().unwrap_or_default()),
        };
        self.columns().iter().map(|column| (column.name.clone(), of(column))).collect()
    }
}
