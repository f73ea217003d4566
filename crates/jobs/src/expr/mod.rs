//! Expressions over the fields of a row: what `--where` and `--set` say. For users: docs/expressions.md.
//!
//! ```text
//! text -> lexer: tokens -> parser (operators by level, calls): a tree with regexes compiled and constants calculated
//!      -> eval: a value for a row
//! ```
//!
//! The grammar, loosest first; `{}` is repeated, `[]` may be absent, and words may be written in capitals:
//!
//! ```text
//! or         = and {"or" and}
//! and        = not {"and" not}
//! not        = "not" not | comparison
//! comparison = concat [("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") concat
//!                     | ("=~" | "!~" | ["not"] "matches" | ["not"] "like") constant text
//!                     | "is" ["not"] "null" | ["not"] "in" "(" or {"," or} ")"]
//! concat     = sum {"||" sum}
//! sum        = product {("+" | "-") product}
//! product    = negation {("*" | "/" | "%") negation}
//! negation   = "-" negation | value
//! value      = "(" or ")" | function "(" or {"," or} ")" | number | text | "null" | "true" | "false" | field
//! text       = "'" any "'" | '"' any '"', the quote doubled where it is meant
//! field      = name {"." name}, as a FieldPath
//! ```

mod arithmetic;
mod calls;
mod compare;
mod decimal;
mod digits;
mod error;
mod eval;
mod functions;
mod lexer;
mod operator;
mod parser;
mod regex;
mod text;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use compare::compare_numbers;
pub(crate) use decimal::Decimal;
pub use error::{EvalError, ParseError};

use crate::data::{Cell, FieldPath};
use tree::Node;

/// A row, as an expression sees it.
pub trait Fields {
    /// The value of the field that is number `n` in [`Expr::fields`]; null if the row lacks it.
    fn field(&self, n: usize) -> Cell<'_>;
}

impl Fields for Vec<Cell<'_>> {
    fn field(&self, n: usize) -> Cell<'_> {
        self.get(n).map_or(Cell::Null, Cell::borrowed)
    }
}

/// An expression, ready to be evaluated for row after row.
///
/// Nothing that is read and nothing that a row has makes it panic, and no text that it makes is longer than 64 MiB.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::data::Cell;
/// use procession_jobs::expr::Expr;
///
/// let expr = Expr::parse("status >= 500 and host.name like 'web-%'")?;
/// assert_eq!(expr.fields()[1].parts(), ["host", "name"]);
///
/// let row = vec![Cell::Number("503".into()), Cell::Text("web-1".into())];
/// assert_eq!(expr.is_true(&row), Ok(true));
///
/// let total = Expr::parse("price * 1.1")?;
/// assert_eq!(total.eval(&vec![Cell::Text("0.30".into())]), Ok(Cell::Number("0.33".into())));
/// # Ok::<(), procession_jobs::expr::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Expr {
    root: Node,
    fields: Vec<FieldPath>,
}

impl Expr {
    /// Reads an expression: compiles its regexes, and calculates what is the same for every row.
    ///
    /// # Errors
    /// What is wrong with it, and where. Parentheses and operators may stand 200 deep within each other.
    pub fn parse(text: &str) -> Result<Expr, ParseError> {
        let (root, fields) = parser::parse(text)?;
        Ok(Expr { root, fields })
    }

    /// The fields that it names, each once: field number 0, 1 and so on.
    pub fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    /// Its value for a row, which may borrow from the row and from the expression.
    ///
    /// # Errors
    /// When it has none: a text that is no number is added, a number is divided by zero.
    pub fn eval<'a>(&'a self, row: &'a dyn Fields) -> Result<Cell<'a>, EvalError> {
        Ok(eval::value(&self.root, row)?.into_cell())
    }

    /// Whether it is true for a row; null counts as false.
    ///
    /// # Errors
    /// When it has no value, as [`Expr::eval`], or one that is neither true nor false.
    pub fn is_true(&self, row: &dyn Fields) -> Result<bool, EvalError> {
        Ok(eval::truth(&self.root, row)? == Some(true))
    }
}
