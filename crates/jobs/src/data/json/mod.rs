//! JSON, strictly by RFC 8259: rows of objects, and texts.

mod border;
mod object;
mod scan;
mod shape;
mod text;

#[cfg(test)]
mod tests;

pub use border::ArrayBorders;
pub use object::{Wanted, members};
pub use scan::{Fault, Scan, is_number};
pub use shape::Shape;
pub use text::{minify, unescape, write_string};
