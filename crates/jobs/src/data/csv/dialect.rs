//! What separates and quotes the fields of CSV.

use serde::{Deserialize, Serialize};

/// The characters of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between two fields.
    pub delimiter: u8,
    /// Around a field.
    pub quote: u8,
}

impl Dialect {
    /// That of RFC 4180.
    pub const CSV: Dialect = Dialect { delimiter: b',', quote: b'"' };
    /// The same with tabs.
    pub const TSV: Dialect = Dialect { delimiter: b'\t', quote: b'"' };

    /// Whether rows can be told apart with it.
    pub fn is_usable(self) -> bool {
        // Numbers are written without quotes.
        let is_odd = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\n\r.+-".contains(&byte);
        self.delimiter != self.quote && is_odd(self.delimiter) && is_odd(self.quote)
    }
}
