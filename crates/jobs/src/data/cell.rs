//! One value of a row, kept as it stands in the input.

use std::borrow::Cow;

/// One value of a row, as it stands in the input: exact, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cell<'a> {
    /// No value: JSON's null, an empty field of CSV, a field that the row lacks.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number by its text, which [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-6) allows.
    Number(Cow<'a, str>),
    /// A text, without quotes and escapes.
    Text(Cow<'a, str>),
    /// An array or an object, as JSON text.
    Nested(Cow<'a, str>),
}

impl Cell<'_> {
    /// The same value, lent.
    pub fn borrowed(&self) -> Cell<'_> {
        match self {
            Cell::Null => Cell::Null,
            Cell::Bool(value) => Cell::Bool(*value),
            Cell::Number(text) => Cell::Number(Cow::Borrowed(text)),
            Cell::Text(text) => Cell::Text(Cow::Borrowed(text)),
            Cell::Nested(json) => Cell::Nested(Cow::Borrowed(json)),
        }
    }

    /// The same value, independent of the row.
    pub fn into_owned(self) -> Cell<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Cell::Null => Cell::Null,
            Cell::Bool(value) => Cell::Bool(value),
            Cell::Number(text) => Cell::Number(own(text)),
            Cell::Text(text) => Cell::Text(own(text)),
            Cell::Nested(json) => Cell::Nested(own(json)),
        }
    }
}
