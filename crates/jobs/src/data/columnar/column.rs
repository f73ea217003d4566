//! Columns by the way to them: out of structs, and out of dictionaries.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};

/// The columns of a schema by their names: there may be thousands.
pub struct Roots<'s> {
    schema: &'s Schema,
    /// The first column of each name.
    places: HashMap<&'s str, usize>,
}

impl<'s> Roots<'s> {
    /// Those of a schema.
    pub fn new(schema: &'s Schema) -> Roots<'s> {
        let mut places = HashMap::new();
        for (place, field) in schema.fields().iter().enumerate() {
            places.entry(field.name().as_str()).or_insert(place);
        }
        Roots { schema, places }
    }

    /// The place of the column that a path begins in, and what of the path lies within; or of that of the name which the path
    /// is in one piece.
    fn find<'p>(&self, path: &'p [String]) -> Option<(usize, &'p [String])> {
        let (first, within) = path.split_first()?;
        match self.places.get(first.as_str()) {
            Some(place) => Some((*place, within)),
            None => self.places.get(path.join(".").as_str()).map(|place| (*place, &[][..])),
        }
    }

    /// The column at a path in a batch of this schema; none if it is not there.
    ///
    /// # Errors
    /// When a field of a struct cannot stand alone.
    pub fn column(&self, batch: &RecordBatch, path: &[String]) -> Result<Option<ArrayRef>, String> {
        let Some((place, within)) = self.find(path) else { return Ok(None) };
        let Some(mut column) = batch.columns().get(place).cloned() else { return Ok(None) };
        for name in within {
            let outer = column;
            let Some(inner) = outer.as_struct_opt().and_then(|object| object.column_by_name(name)) else {
                return Ok(None);
            };
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

    /// The field at a path, as [`Roots::column`] finds its column.
    pub fn field(&self, path: &[String]) -> Option<&'s Field> {
        let (place, within) = self.find(path)?;
        let mut field: &Field = self.schema.fields().get(place)?;
        for name in within {
            let DataType::Struct(members) = field.data_type() else { return None };
            field = members.iter().find(|member| member.name() == name)?;
        }
        Some(field)
    }
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
