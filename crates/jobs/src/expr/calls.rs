//! Reads calls of functions, lists, and what must be the same for every row: regexes.

use regex_automata::meta::Regex;

use super::error::ParseError;
use super::functions::{self, Function};
use super::lexer::Token;
use super::operator::Level;
use super::parser::Parser;
use super::regex::{Replacement, compile};
use super::tree::Node;

impl Parser<'_> {
    /// Reads a call of a function, from its name on.
    pub(super) fn call(&mut self, name: &str) -> Result<Node, ParseError> {
        let at = self.offset();
        let (function, least, most) = functions::find(name).map_err(|message| self.error(message))?;
        self.advance();
        self.takes_symbol("(")?;
        let is_regex = matches!(function, Function::RegexExtract | Function::RegexReplace);
        if is_regex {
            return self.regex_call(function);
        }
        let args = self.list()?;
        if args.len() < least || args.len() > most {
            let count = match most {
                usize::MAX => format!("{least} or more"),
                most if most == least => format!("{least}"),
                most => format!("{least} or {most}"),
            };
            let message = format!("expected {count} arguments of `{name}`, and there are {}", args.len());
            return Err(ParseError::new(self.text, at, message));
        }
        Ok(Node::Call(function, args).folded())
    }

    /// Reads the arguments of `regex_replace` and `regex_extract`.
    fn regex_call(&mut self, function: Function) -> Result<Node, ParseError> {
        let text = Box::new(self.binary(Level::Or)?);
        self.takes_symbol(",")?;
        let regex = Box::new(self.regex(Level::Or)?);
        let node = if function == Function::RegexReplace {
            self.takes_symbol(",")?;
            let with = self.constant_text("a text, the same for every row", Level::Or)?;
            Node::Replace(text, Box::new(Replacement { regex: *regex, with }))
        } else {
            let mut group = 0;
            if *self.peek() == Token::Symbol(",") {
                self.advance();
                group = match *self.peek() {
                    Token::Number(number) => number.parse().ok().filter(|group| *group < regex.captures_len()),
                    _ => None,
                }
                .ok_or_else(|| self.expected("the number of a group of the regex"))?;
                self.advance();
            }
            Node::Extract(text, regex, group)
        };
        self.takes_symbol(")")?;
        Ok(node.folded())
    }

    /// Reads values up to a closing parenthesis.
    pub(super) fn list(&mut self) -> Result<Vec<Node>, ParseError> {
        let mut values = vec![self.binary(Level::Or)?];
        while *self.peek() == Token::Symbol(",") {
            self.advance();
            values.push(self.binary(Level::Or)?);
        }
        if *self.peek() != Token::Symbol(")") {
            return Err(self.expected("`,` or `)`"));
        }
        self.advance();
        Ok(values)
    }

    /// Reads a text and compiles it.
    pub(super) fn regex(&mut self, lowest: Level) -> Result<Regex, ParseError> {
        let at = self.offset();
        let pattern = self.constant_text("a regex as a text, the same for every row", lowest)?;
        self.compiled(&pattern, at)
    }

    /// Compiles the regex that stands at byte `at`.
    pub(super) fn compiled(&self, pattern: &str, at: usize) -> Result<Regex, ParseError> {
        compile(pattern).map_err(|cause| ParseError::new(self.text, at, cause))
    }

    /// Reads an expression that is one text, whatever the row.
    pub(super) fn constant_text(&mut self, what: &str, lowest: Level) -> Result<String, ParseError> {
        let at = self.at;
        let node = self.binary(lowest)?;
        let text = node.constant_text().map(str::to_string);
        text.ok_or_else(|| {
            self.at = at;
            self.expected(what)
        })
    }
}
