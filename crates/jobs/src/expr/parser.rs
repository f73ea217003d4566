//! Builds the tree of an expression from its tokens.
//!
//! Operators are read by precedence, so that a pair of parentheses costs few frames of the stack.

use std::collections::HashMap;

use super::error::ParseError;
use super::lexer::{Token, tokens};
use super::operator::{Level, Operator, operator};
use super::regex::from_like;
use super::tree::{ArithmeticOp, Node};
use crate::data::{Cell, FieldPath};

/// How deep parentheses, operators and calls may stand within each other.
const MAX_DEPTH: usize = 200;
/// Words that are no names of fields, but between backquotes.
const WORDS: [&str; 10] = ["and", "or", "not", "in", "is", "like", "matches", "null", "true", "false"];

/// Reads an expression; returns its tree and the fields that it names.
pub fn parse(text: &str) -> Result<(Node, Vec<FieldPath>), ParseError> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0, fields: HashMap::new() };
    let node = parser.binary(Level::Or)?;
    if *parser.peek() != Token::End {
        return Err(parser.expected("an operator, or the end"));
    }
    let mut fields: Vec<(FieldPath, usize)> = parser.fields.into_iter().collect();
    fields.sort_by_key(|(_, number)| *number);
    Ok((node, fields.into_iter().map(|(path, _)| path).collect()))
}

/// What is left to be read, and what was found in it.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<(Token<'a>, usize)>,
    pub(super) at: usize,
    depth: usize,
    fields: HashMap<FieldPath, usize>,
}

impl<'a> Parser<'a> {
    /// Reads operators of `lowest` level and above, and what they stand between.
    pub(super) fn binary(&mut self, lowest: Level) -> Result<Node, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(
                self.error(format_args!("expected no more than {MAX_DEPTH} levels of parentheses and operators"))
            );
        }
        let mut left = self.prefix(lowest)?;
        let mut is_compared = false;
        while let Some((operator, level)) = operator(self.peek())
            && level >= lowest
        {
            if level == Level::Comparison && std::mem::replace(&mut is_compared, true) {
                return Err(self.error("expected `and`, `or`, or parentheses around one of two comparisons"));
            }
            left = self.operation(left, operator)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// Reads an operator and what stands behind it.
    fn operation(&mut self, left: Node, operator: Operator) -> Result<Node, ParseError> {
        if operator == Operator::Word {
            return self.word_operation(left);
        }
        self.advance();
        let node = match operator {
            Operator::Or => chain(left, self.binary(Level::And)?, Node::Or, |node| match node {
                Node::Or(parts) => Ok(parts),
                other => Err(other),
            }),
            Operator::And => chain(left, self.binary(Level::Not)?, Node::And, |node| match node {
                Node::And(parts) => Ok(parts),
                other => Err(other),
            }),
            Operator::Concat => chain(left, self.binary(Level::Sum)?, Node::Concat, |node| match node {
                Node::Concat(parts) => Ok(parts),
                other => Err(other),
            }),
            Operator::Compare(op) => Node::Compare(op, Box::new([left, self.binary(Level::Concat)?])),
            Operator::Matches { is_negated } => {
                let matches = Node::Matches(Box::new(left), Box::new(self.regex(Level::Concat)?)).folded();
                if is_negated { Node::Not(Box::new(matches)) } else { matches }
            }
            Operator::Arithmetic(op) => {
                let is_sum = matches!(op, ArithmeticOp::Plus | ArithmeticOp::Minus);
                let right = self.binary(if is_sum { Level::Product } else { Level::Negation })?;
                match left {
                    Node::Arithmetic(first, mut rest) => {
                        rest.push((op, right));
                        Node::Arithmetic(first, rest)
                    }
                    first => Node::Arithmetic(Box::new(first), vec![(op, right)]),
                }
            }
            Operator::Word => left,
        };
        Ok(node.folded())
    }

    /// Reads `is [not] null`, `[not] in (...)`, `[not] like TEXT`, `not matches REGEX`.
    fn word_operation(&mut self, left: Node) -> Result<Node, ParseError> {
        let left = Box::new(left);
        let (node, is_negated) = if self.takes_word("is") {
            let is_negated = self.takes_word("not");
            if !self.takes_word("null") {
                return Err(self.expected("`null`"));
            }
            (Node::IsNull(left), is_negated)
        } else {
            let is_negated = self.takes_word("not");
            let node = if self.takes_word("in") {
                self.takes_symbol("(")?;
                Node::In(left, self.list()?)
            } else if self.takes_word("like") {
                let at = self.offset();
                let pattern = from_like(&self.constant_text("a text, the same for every row", Level::Concat)?);
                Node::Matches(left, Box::new(self.compiled(&pattern, at)?))
            } else if self.takes_word("matches") {
                Node::Matches(left, Box::new(self.regex(Level::Concat)?))
            } else {
                return Err(self.expected("`in`, `like` or `matches`"));
            };
            (node, is_negated)
        };
        let node = node.folded();
        Ok(if is_negated { Node::Not(Box::new(node)).folded() } else { node })
    }

    /// Reads a value, with what stands before it.
    fn prefix(&mut self, lowest: Level) -> Result<Node, ParseError> {
        if lowest <= Level::Not && self.takes_word("not") {
            return Ok(Node::Not(Box::new(self.binary(Level::Not)?)).folded());
        }
        match self.peek().clone() {
            Token::Number(number) => {
                self.advance();
                Ok(Node::number(number.into()))
            }
            Token::Text(text) => {
                self.advance();
                Ok(Node::Constant(Cell::Text(text.into())))
            }
            Token::Symbol("(") => {
                self.advance();
                let node = self.binary(Level::Or)?;
                self.takes_symbol(")")?;
                Ok(node)
            }
            Token::Symbol("-") => {
                self.advance();
                if let Token::Number(number) = *self.peek() {
                    self.advance();
                    return Ok(Node::number(format!("-{number}")));
                }
                Ok(Node::Negate(Box::new(self.binary(Level::Negation)?)).folded())
            }
            Token::Name(path, word) => self.name(path, word),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads a field, a call, or a word that is a value.
    fn name(&mut self, path: FieldPath, word: &str) -> Result<Node, ParseError> {
        if self.tokens.get(self.at + 1).is_some_and(|(next, _)| *next == Token::Symbol("(")) && !is_word(word) {
            return self.call(word);
        }
        let node = match word.to_ascii_lowercase().as_str() {
            "null" => Node::Constant(Cell::Null),
            "true" => Node::Constant(Cell::Bool(true)),
            "false" => Node::Constant(Cell::Bool(false)),
            _ if is_word(word) => {
                return Err(
                    self.expected(format_args!("a value (a field of this name is written `{word}`, in backquotes)"))
                );
            }
            _ => {
                let number = self.fields.len();
                Node::Field(*self.fields.entry(path).or_insert(number))
            }
        };
        self.advance();
        Ok(node)
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Name(_, word) if word.eq_ignore_ascii_case(wanted));
        if is_next {
            self.advance();
        }
        is_next
    }

    pub(super) fn takes_symbol(&mut self, wanted: &'static str) -> Result<(), ParseError> {
        if *self.peek() != Token::Symbol(wanted) {
            return Err(self.expected(format_args!("`{wanted}`")));
        }
        self.advance();
        Ok(())
    }

    pub(super) fn peek(&self) -> &Token<'a> {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |(_, at)| *at)
    }

    pub(super) fn expected(&self, what: impl std::fmt::Display) -> ParseError {
        self.error(format_args!("expected {what}"))
    }

    pub(super) fn error(&self, message: impl std::fmt::Display) -> ParseError {
        ParseError::new(self.text, self.offset(), message)
    }
}

fn is_word(name: &str) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// A list of `left` and `right`, or `left` with one part more if it is such a list.
fn chain(left: Node, right: Node, list: fn(Vec<Node>) -> Node, parts_of: fn(Node) -> Result<Vec<Node>, Node>) -> Node {
    let mut parts = parts_of(left).unwrap_or_else(|left| vec![left]);
    parts.push(right);
    list(parts)
}
