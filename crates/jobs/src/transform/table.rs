//! Rows on their way into a format of columns.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use crate::data::columnar::{Columnar, Piece, PieceWriter};
use crate::data::{Raw, Type, Value};

use super::layout::{Column, Form, Kind, Layout};
use super::write::misfit_words;

/// The columns of some rows.
pub struct Table {
    schema: Arc<Schema>,
    /// The values of each column that is not passed on as it is, since the last batch.
    columns: Vec<Option<Values>>,
    writer: PieceWriter,
}

/// The values of a column.
enum Values {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    Instants(TimestampMicrosecondBuilder),
    Days(Date32Builder),
}

impl Table {
    /// For rows of this layout.
    ///
    /// # Errors
    /// When it has no schema.
    pub fn new(layout: &Layout, format: Columnar) -> Result<Table, String> {
        let schema = layout.frame.schema()?;
        if schema.fields().len() != layout.columns().len() {
            return Err("the schema has other columns than the output".to_string());
        }
        let fields = layout.columns().iter().zip(schema.fields());
        let columns = fields.map(|(column, field)| (column.kind != Kind::Same).then(|| Values::new(field.data_type())));
        let writer = PieceWriter::new(&layout.frame, format)?;
        Ok(Table { columns: columns.collect(), schema, writer })
    }

    /// Takes in a row, all of it or nothing.
    ///
    /// # Errors
    /// When a value does not fit its column.
    pub fn add(&mut self, columns: &[Column], form: Form, slots: &[Raw<'_>]) -> Result<(), String> {
        let mut row = Vec::with_capacity(columns.len());
        for column in columns {
            let raw = slots.get(column.slot).unwrap_or(&Raw::Null);
            row.push(match column.kind {
                Kind::Same => Value::Null,
                Kind::Any => Value::of(raw, Type::Text, true, form.origin()).unwrap_or(Value::Null),
                Kind::Like(wanted) => {
                    Value::of(raw, wanted, true, form.origin()).ok_or_else(|| misfit(column, wanted, raw))?
                }
                Kind::Only(wanted) => Value::of(raw, wanted, false, form.origin())
                    .ok_or_else(|| format!("{} (--schema)", misfit_words(column, wanted, raw)))?,
            });
        }
        for (values, value) in self.columns.iter_mut().zip(row) {
            if let Some(values) = values {
                values.push(value);
            }
        }
        Ok(())
    }

    /// Ends a batch of rows; `same` gives the column of a slot, of that type, that is passed on as it is.
    ///
    /// # Errors
    /// When those columns are not of the types or the length that they should be.
    pub fn end_batch(
        &mut self,
        columns: &[Column],
        same: &mut dyn FnMut(usize, &DataType) -> Result<ArrayRef, String>,
    ) -> Result<(), String> {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for ((column, values), field) in columns.iter().zip(&mut self.columns).zip(self.schema.fields()) {
            arrays.push(match values {
                Some(values) => values.finish(),
                None => same(column.slot, field.data_type())?,
            });
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| error.to_string())?;
        if batch.num_rows() > 0 {
            self.writer.add(&batch)?;
        }
        Ok(())
    }

    /// About the bytes of the batches so far.
    pub fn bytes(&self) -> usize {
        self.writer.bytes()
    }

    /// The rows as a part of a file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(mut self) -> Result<Piece, String> {
        // Rows of a text are one batch; those of a format of columns were ended already.
        let arrays: Option<Vec<ArrayRef>> =
            self.columns.iter_mut().map(|values| values.as_mut().map(Values::finish)).collect();
        if let Some(arrays) = arrays.filter(|arrays| arrays.first().is_some_and(|array| !array.is_empty())) {
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| error.to_string())?;
            self.writer.add(&batch)?;
        }
        self.writer.finish()
    }
}

/// What does not fit a type that nobody has asked for.
#[cold]
fn misfit(column: &Column, wanted: Type, raw: &Raw<'_>) -> String {
    let name = &column.name;
    let other = match wanted {
        Type::Int | Type::Float | Type::PointedFloat => format!(", or {name}:decimal(18,2) if it has that many digits"),
        _ => String::new(),
    };
    let words = misfit_words(column, wanted, raw);
    format!("{words}; the first rows are (--schema {name}:text takes any{other})")
}

impl Values {
    fn new(wanted: &DataType) -> Values {
        match wanted {
            DataType::Boolean => Values::Bool(BooleanBuilder::new()),
            DataType::Int64 => Values::Int(Int64Builder::new()),
            DataType::Float64 => Values::Float(Float64Builder::new()),
            DataType::Decimal128(..) => Values::Decimal(Decimal128Builder::new().with_data_type(wanted.clone())),
            DataType::Timestamp(..) => {
                Values::Instants(TimestampMicrosecondBuilder::new().with_data_type(wanted.clone()))
            }
            DataType::Date32 => Values::Days(Date32Builder::new()),
            _ => Values::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Values::Text(values), Value::Text(text)) => values.append_value(text),
            (Values::Bool(values), Value::Bool(value)) => values.append_value(value),
            (Values::Int(values), Value::Int(number)) => values.append_value(number),
            (Values::Float(values), Value::Float(number)) => values.append_value(number),
            (Values::Decimal(values), Value::Decimal(number)) => values.append_value(number),
            (Values::Instants(values), Value::Micros(number)) => values.append_value(number),
            (Values::Days(values), Value::Days(number)) => values.append_value(number),
            // A value was read as the type of its column: what is left is null.
            (Values::Text(values), _) => values.append_null(),
            (Values::Bool(values), _) => values.append_null(),
            (Values::Int(values), _) => values.append_null(),
            (Values::Float(values), _) => values.append_null(),
            (Values::Decimal(values), _) => values.append_null(),
            (Values::Instants(values), _) => values.append_null(),
            (Values::Days(values), _) => values.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Text(values) => Arc::new(values.finish()),
            Values::Bool(values) => Arc::new(values.finish()),
            Values::Int(values) => Arc::new(values.finish()),
            Values::Float(values) => Arc::new(values.finish()),
            Values::Decimal(values) => Arc::new(values.finish()),
            Values::Instants(values) => Arc::new(values.finish()),
            Values::Days(values) => Arc::new(values.finish()),
        }
    }
}
