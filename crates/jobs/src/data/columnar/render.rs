//! The values of a column as rows of text see them.

use arrow_array::Array;

use super::values::{Kind, writer};
use crate::data::Raw;

/// The values of some rows of a column, as text.
#[derive(Debug)]
pub struct Rendered {
    text: Vec<u8>,
    /// What each value is, and where it ends.
    values: Vec<(Kind, usize)>,
}

impl Rendered {
    /// Renders a column; `is_pointed` if whole numbers of floating point have a point.
    ///
    /// # Errors
    /// When its type has no text.
    pub fn new(column: &dyn Array, is_pointed: bool) -> Result<Rendered, String> {
        let write = writer(column, is_pointed)?;
        let mut rendered = Rendered { text: Vec::new(), values: Vec::with_capacity(column.len()) };
        for row in 0..column.len() {
            let kind = write(row, &mut rendered.text);
            rendered.values.push((kind, rendered.text.len()));
        }
        Ok(rendered)
    }

    /// The value of a row.
    pub fn get(&self, row: usize) -> Raw<'_> {
        let Some((kind, end)) = self.values.get(row) else { return Raw::Null };
        let begin = row.checked_sub(1).and_then(|before| self.values.get(before)).map_or(0, |(_, end)| *end);
        let text = self.text.get(begin..*end).unwrap_or_default();
        match kind {
            Kind::Null => Raw::Null,
            Kind::Bool(value) => Raw::Bool(*value),
            Kind::Number => Raw::Number(text),
            Kind::Text => Raw::Text(text),
            Kind::Nested => Raw::Nested(text),
        }
    }
}
