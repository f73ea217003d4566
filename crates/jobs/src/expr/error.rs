//! What is wrong with an expression, or with a row under it.

use std::fmt;

use crate::PlanError;

/// How much of an expression is shown before and behind the place of an error, in characters.
const SHOWN_BEFORE: usize = 60;
const SHOWN_BEHIND: usize = 20;

/// Why a text is no expression, and where: shown in three lines, the last with a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    message: String,
    expression: String,
    offset: usize,
}

impl ParseError {
    /// Something is wrong at byte `offset` of `expression`.
    pub(super) fn new(expression: &str, offset: usize, message: impl fmt::Display) -> ParseError {
        let offset = (0..=offset).rev().find(|at| expression.is_char_boundary(*at)).unwrap_or(0);
        ParseError { message: message.to_string(), expression: expression.into(), offset }
    }

    /// What is wrong, in one line, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the expression, in characters from 1 on.
    pub fn position(&self) -> usize {
        self.before().chars().count() + 1
    }

    /// The error of a flag whose value the expression is.
    pub fn of_flag(&self, flag: &str) -> PlanError {
        let message = format_args!("{flag}: {} at character {}", self.message, self.position());
        PlanError::new(message).with_excerpt(self.excerpt())
    }

    /// The line of the expression, and one with a caret under the place.
    fn excerpt(&self) -> [String; 2] {
        // One line of it is shown, and a control character takes no place of its own.
        let visible = |letter: char| if letter.is_control() { ' ' } else { letter };
        let skipped = (self.position() - 1).saturating_sub(SHOWN_BEFORE);
        let before: String = self.before().chars().skip(skipped).map(visible).collect();
        let behind: String = self.expression[self.offset..].chars().take(SHOWN_BEHIND).map(visible).collect();
        let caret = format!("  {:width$}^", "", width = before.chars().count());
        [format!("  {before}{}", behind.trim_end()), caret]
    }

    fn before(&self) -> &str {
        &self.expression[..self.offset]
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [line, caret] = self.excerpt();
        write!(f, "{} at character {}\n{line}\n{caret}", self.message, self.position())
    }
}

impl std::error::Error for ParseError {}

/// Why an expression has no value for a row, in one line: a text that is no number, a division by zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError(Box<str>);

impl EvalError {
    pub(super) fn new(message: impl fmt::Display) -> EvalError {
        EvalError(message.to_string().into())
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EvalError {}
