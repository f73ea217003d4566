//! Rows of data: what a value is, how a field is named, how the formats are read and written.

mod calendar;
mod cell;
pub(crate) mod columnar;
mod columns;
pub(crate) mod csv;
mod cut;
pub(crate) mod digits;
mod format;
pub(crate) mod json;
mod path;
mod possible;
mod raw;
mod types;
mod value;

pub use cell::Cell;
pub use format::{Compression, Format};
pub(crate) use path::read_quoted;
pub use path::{FieldPath, PathError};

pub(crate) use calendar::{parse_day, parse_instant};
pub(crate) use columns::read_columns;
pub(crate) use cut::{Chunks, Cut, MAX_ROW_BYTES, Source};
pub(crate) use possible::Possible;
pub(crate) use raw::{Raw, write_json};
pub(crate) use types::Type;
pub(crate) use value::{Origin, Value};
