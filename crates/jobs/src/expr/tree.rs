//! The tree of an expression, with regexes compiled and constants calculated.

use regex_automata::meta::Regex;

use super::compare::CompareOp;
use super::decimal::Decimal;
use super::eval::value;
use super::functions::Function;
use super::value::Value;
use super::{Fields, regex::Replacement};
use crate::data::Cell;

/// A part of an expression. What can be written as a long chain is a list, so that no tree is deeper than what was
/// written in parentheses.
#[derive(Debug)]
pub enum Node {
    Constant(Cell<'static>),
    /// A constant number: its value, and as it is written.
    Number(Decimal, String),
    /// A field, by its number.
    Field(usize),
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Compare(CompareOp, Box<[Node; 2]>),
    IsNull(Box<Node>),
    /// Whether the first equals one of the others.
    In(Box<Node>, Vec<Node>),
    Matches(Box<Node>, Box<Regex>),
    Negate(Box<Node>),
    /// Calculated from left to right.
    Arithmetic(Box<Node>, Vec<(ArithmeticOp, Node)>),
    Concat(Vec<Node>),
    Call(Function, Vec<Node>),
    Replace(Box<Node>, Box<Replacement>),
    /// The text of a group of the regex.
    Extract(Box<Node>, Box<Regex>, usize),
}

/// `+`, `-`, `*`, `/`, `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArithmeticOp {
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

impl Node {
    /// A number of any length, by its text.
    pub fn number(text: String) -> Node {
        match Decimal::parse(&text) {
            Some(zero) if zero.is_zero() && text.starts_with('-') => Node::Number(zero, zero.to_string()),
            Some(number) => Node::Number(number, text),
            None => Node::Constant(Cell::Number(text.into())),
        }
    }

    /// The node, or its value if that is the same for every row. What fails is left for the rows to meet.
    pub fn folded(self) -> Node {
        if !self.has_constant_parts() {
            return self;
        }
        match value(&self, &NoFields) {
            Ok(Value::Number(number)) => Node::Number(number, number.to_string()),
            Ok(Value::Cell(cell)) => Node::Constant(cell.into_owned()),
            Err(_) => self,
        }
    }

    /// The text that it is for every row, if it is one.
    pub fn constant_text(&self) -> Option<&str> {
        match self {
            Node::Constant(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Node::Constant(_) | Node::Number(..))
    }

    fn has_constant_parts(&self) -> bool {
        match self {
            Node::Constant(_) | Node::Number(..) | Node::Field(_) => false,
            Node::Not(part) | Node::IsNull(part) | Node::Negate(part) => part.is_constant(),
            Node::Matches(part, _) | Node::Replace(part, _) | Node::Extract(part, ..) => part.is_constant(),
            Node::Compare(_, parts) => parts.iter().all(Node::is_constant),
            Node::In(first, parts) => first.is_constant() && parts.iter().all(Node::is_constant),
            Node::Arithmetic(first, rest) => first.is_constant() && rest.iter().all(|(_, part)| part.is_constant()),
            Node::Or(parts) | Node::And(parts) | Node::Concat(parts) | Node::Call(_, parts) => {
                parts.iter().all(Node::is_constant)
            }
        }
    }
}

/// A row for what names no field.
struct NoFields;

impl Fields for NoFields {
    fn field(&self, _n: usize) -> Cell<'_> {
        Cell::Null
    }
}
