//! The operators, and how closely they bind.

use super::compare::CompareOp;
use super::lexer::Token;
use super::tree::ArithmeticOp;

/// How closely operators bind, from loose to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Or,
    And,
    Not,
    Comparison,
    Concat,
    Sum,
    Product,
    Negation,
}

/// An operator between two values, or behind one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Compare(CompareOp),
    /// `=~`, `matches`; or `!~`.
    Matches {
        is_negated: bool,
    },
    /// `is`, `in`, `like`, or `not` before one of the last.
    Word,
    Concat,
    Arithmetic(ArithmeticOp),
}

/// The operator that a token is, or begins, and its level.
pub fn operator(token: &Token<'_>) -> Option<(Operator, Level)> {
    let compare = |op| (Operator::Compare(op), Level::Comparison);
    Some(match token {
        Token::Name(_, word) => match word.to_ascii_lowercase().as_str() {
            "or" => (Operator::Or, Level::Or),
            "and" => (Operator::And, Level::And),
            "matches" => (Operator::Matches { is_negated: false }, Level::Comparison),
            "is" | "in" | "like" | "not" => (Operator::Word, Level::Comparison),
            _ => return None,
        },
        Token::Symbol(symbol) => match *symbol {
            "=" | "==" => compare(CompareOp::Equal),
            "!=" | "<>" => compare(CompareOp::NotEqual),
            "<" => compare(CompareOp::Less),
            "<=" => compare(CompareOp::LessOrEqual),
            ">" => compare(CompareOp::Greater),
            ">=" => compare(CompareOp::GreaterOrEqual),
            "=~" => (Operator::Matches { is_negated: false }, Level::Comparison),
            "!~" => (Operator::Matches { is_negated: true }, Level::Comparison),
            "||" => (Operator::Concat, Level::Concat),
            "+" => (Operator::Arithmetic(ArithmeticOp::Plus), Level::Sum),
            "-" => (Operator::Arithmetic(ArithmeticOp::Minus), Level::Sum),
            "*" => (Operator::Arithmetic(ArithmeticOp::Times), Level::Product),
            "/" => (Operator::Arithmetic(ArithmeticOp::Divide), Level::Product),
            "%" => (Operator::Arithmetic(ArithmeticOp::Remainder), Level::Product),
            _ => return None,
        },
        _ => return None,
    })
}
