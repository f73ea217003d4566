//! Columns by the way to them: out of structs, and out of dictionaries.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};

/// The column at a path, or of the name that the path is in one piece; none if it is not there.
///
/// # Errors
/// When a field of a struct cannot stand alone.
pub fn at_path(batch: &RecordBatch, path: &[String]) -> Result<Option<ArrayRef>, String> {
    let Some((first, within)) = path.split_first() else { return Ok(None) };
    let Some(mut column) = batch.column_by_name(first).cloned() else {
        return Ok(batch.column_by_name(&path.join(".")).cloned());
    };
    for name in within {
        let outer = column;
        let Some(inner) = outer.as_struct_opt().and_then(|object| object.column_by_name(name)) else { return Ok(None) };
        // A null has no fields.
        column = match NullBuffer::union(outer.nulls(), inner.logical_nulls().as_ref()) {
            Some(nulls) if outer.null_count() > 0 && *inner.data_type() != DataType::Null => {
                let data = inner.to_data().into_builder().nulls(Some(nulls)).build();
                make_array(data.map_err(|error| error.to_string())?)
            }
            _ => inner.clone(),
        };
    }
    Ok(Some(column))
}

/// The field at a path, as [`at_path`] finds its column.
pub fn field_at<'s>(schema: &'s Schema, path: &[String]) -> Option<&'s Field> {
    let (first, within) = path.split_first()?;
    let Ok(mut field) = schema.field_with_name(first) else { return schema.field_with_name(&path.join(".")).ok() };
    for name in within {
        let DataType::Struct(members) = field.data_type() else { return None };
        field = members.iter().find(|member| member.name() == name)?;
    }
    Some(field)
}

/// Says in a field that its whole numbers are written with a point.
const WHOLE: (&str, &str) = ("procession.whole", "1.0");

/// Notes in a field of floating point that its whole numbers have a point as text.
pub fn point(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(WHOLE.0.to_string(), WHOLE.1.to_string());
    field.with_metadata(metadata)
}

/// Whether that is noted.
pub fn is_pointed(field: &Field) -> bool {
    field.metadata().get(WHOLE.0).is_some_and(|whole| whole == WHOLE.1)
}
