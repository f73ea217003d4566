//! The schema of an output that is written by columns, made in a worker of what the inputs say.

use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::data::Type;
use crate::data::columnar::{Columnar, Frame, Roots, point, unpack_schema};

/// The columns of the output.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrameAsk {
    pub(super) format: Columnar,
    pub(super) columns: Vec<(String, ColumnType)>,
    /// Of the inputs.
    pub(super) schemas: Vec<ByteBuf>,
}

/// What decides about the type of a column.
#[derive(Debug, Serialize, Deserialize)]
pub enum ColumnType {
    Of(Type),
    /// That of a field of the inputs.
    Same(Vec<String>),
}

/// Makes the schema.
///
/// # Errors
/// When the format cannot hold a column.
pub fn frame(ask: FrameAsk) -> Result<Frame, String> {
    let schemas = ask.schemas.iter().map(|schema| unpack_schema(schema)).collect::<Result<Vec<_>, _>>()?;
    let roots: Vec<Roots<'_>> = schemas.iter().map(Roots::new).collect();
    let mut fields = Vec::new();
    for (name, wanted) in ask.columns {
        fields.push(match wanted {
            ColumnType::Of(wanted) => {
                let field = Field::new(name, data_type(wanted), true);
                if wanted == Type::PointedFloat { point(field) } else { field }
            }
            ColumnType::Same(path) => {
                let found = roots.iter().find_map(|roots| roots.field(&path));
                let found = found.ok_or_else(|| format!("no input has the column `{name}`"))?;
                let mut wanted = found.data_type();
                while let DataType::Dictionary(_, values) = wanted {
                    wanted = values;
                }
                if ask.format == Columnar::Arrow && has_dictionary(wanted) {
                    return Err(format!(
                        "the column `{name}` has the type {wanted}, whose dictionary lies within it (--schema {name}:json)"
                    ));
                }
                Field::new(name, wanted.clone(), true).with_metadata(found.metadata().clone())
            }
        });
    }
    for field in &fields {
        Frame::new(&Schema::new(vec![field.clone()]), ask.format).map_err(|reason| {
            let (name, known) = (field.name(), field.data_type());
            format!(
                "{} cannot hold the column `{name}` of the type {known}: {reason} (--schema {name}:text)",
                ask.format
            )
        })?;
    }
    Frame::new(&Schema::new(fields), ask.format)
}

fn data_type(wanted: Type) -> DataType {
    match wanted {
        Type::Text | Type::Number | Type::Json => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int64,
        Type::Float | Type::PointedFloat => DataType::Float64,
        Type::Decimal(digits, scale) => DataType::Decimal128(digits, i8::try_from(scale).unwrap_or(i8::MAX)),
        Type::Timestamp => DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into())),
        Type::Date => DataType::Date32,
    }
}

fn has_dictionary(wanted: &DataType) -> bool {
    match wanted {
        DataType::Dictionary(..) => true,
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _)
        | DataType::RunEndEncoded(_, inner) => has_dictionary(inner.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field.data_type())),
        _ => false,
    }
}
