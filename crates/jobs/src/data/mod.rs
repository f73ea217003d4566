//! Rows of data: what a value is, and how a field is named.

mod cell;
mod path;

pub use cell::Cell;
pub(crate) use path::read_quoted;
pub use path::{FieldPath, PathError};
