//! Formats that keep rows by their columns: Parquet and Arrow's IPC file. All that is read of their bytes, also where they
//! begin and end, is read in workers.

mod arrow_file;
mod column;
mod cut;
mod guard;
mod join;
mod nested;
mod parquet_file;
mod piece;
mod plain;
mod render;
mod shape;
mod values;
mod weight;

use std::collections::HashSet;
use std::fmt;

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

pub use column::{Roots, is_pointed, point};
pub use cut::cut;
pub use join::{Join, join};
pub use piece::{Frame, Piece, PieceWriter};
pub use plain::plain;
pub use render::Rendered;
pub use shape::{Group, Shape, look};
pub use weight::pieces;

use crate::regular::Regular;

/// Rows are written out, one by one or as a part of a column, as long as they have no more bytes than this, or are but one.
pub const BATCH_BYTES: u64 = 16 << 20;

/// A format of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Columnar {
    /// [Apache Parquet](https://parquet.apache.org/docs/file-format/)
    Parquet,
    /// The file format of [Arrow IPC](https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format)
    Arrow,
}

impl fmt::Display for Columnar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Columnar::Parquet => "Parquet",
            Columnar::Arrow => "Arrow IPC",
        })
    }
}

/// Some rows of one group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The group's number.
    pub group: u32,
    /// Rows of it before these.
    pub skip: u64,
    /// How many they are.
    pub rows: u64,
}

/// Reads some rows of an open file: the columns with these names, as far as the file has them, in batches of up to so many
/// rows. Texts that many rows share are in memory once, as views ([`plain`]) or in a dictionary. `each` returns whether it wants
/// more.
///
/// # Errors
/// When the file does not have what its end says, and those of `each`.
pub fn read(
    file: Regular,
    format: Columnar,
    span: Span,
    names: &HashSet<String>,
    batch_rows: usize,
    each: &mut dyn FnMut(&arrow_array::RecordBatch) -> Result<bool, String>,
) -> Result<(), String> {
    match format {
        Columnar::Parquet => parquet_file::read(file, span, names, batch_rows, each),
        Columnar::Arrow => arrow_file::read(file, span, names, batch_rows, each),
    }
}

/// A schema as bytes, which the program passes on and never looks into.
fn pack_schema(schema: &Schema) -> ByteBuf {
    let mut tracker = DictionaryTracker::new(false);
    let mut encoder = IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker);
    ByteBuf::from(encoder.schema_to_fb(schema).finished_data())
}

/// The schema in such bytes.
///
/// # Errors
/// When they are none.
pub fn unpack_schema(bytes: &[u8]) -> Result<Schema, String> {
    let schema = arrow_ipc::root_as_schema(bytes).map_err(|error| error.to_string())?;
    arrow_ipc::convert::try_fb_to_schema(schema).map_err(|error| error.to_string())
}
