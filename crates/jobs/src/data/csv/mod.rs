//! CSV by RFC 4180: rows, read strictly, and fields, written so that null and empty text differ.

mod border;
mod dialect;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use border::RowBorders;
pub use dialect::Dialect;
pub use read::{Rows, undouble};
pub use write::write_text;
