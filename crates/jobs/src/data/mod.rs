//! Rows of data: what a value is, how a field is named, how the formats are read and written.

mod cell;
mod columns;
pub(crate) mod csv;
mod cut;
mod format;
pub(crate) mod json;
mod path;
mod raw;

pub use cell::Cell;
pub use format::{Compression, Format};
pub(crate) use path::read_quoted;
pub use path::{FieldPath, PathError};

pub(crate) use columns::read_columns;
pub(crate) use cut::{Chunks, Cut, MAX_ROW_BYTES, Source};
pub(crate) use raw::Raw;
