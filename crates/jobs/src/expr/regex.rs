//! Regexes of an expression: compiled once, each for one text at a time.

use std::borrow::Cow;

use regex_automata::meta::Regex;
use regex_automata::util::interpolate;
use regex_syntax::ast;
use regex_syntax::hir::translate::TranslatorBuilder;

use super::error::EvalError;
use super::text::{add, check_length};

/// Compiles a regex.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(regex: &str) -> Result<Regex, String> {
    let at = |place: &ast::Position| format!("at character {}", regex[..place.offset].chars().count() + 1);
    let syntax = ast::parse::Parser::new()
        .parse(regex)
        .map_err(|cause| format!("{} {} of the regex", cause.kind(), at(&cause.span().start)))?;
    let hir = TranslatorBuilder::new()
        .build()
        .translate(regex, &syntax)
        .map_err(|cause| format!("{} {} of the regex", cause.kind(), at(&cause.span().start)))?;
    Regex::builder().build_from_hir(&hir).map_err(|cause| match cause.size_limit() {
        Some(limit) => format!("the regex is larger than {} MiB when compiled", limit >> 20),
        None => cause.to_string(),
    })
}

/// The regex of a `like`: `%` is any text, `_` any character, and all of the text must match.
pub fn from_like(pattern: &str) -> String {
    // Any text at an end is what a search passes over by itself, and faster.
    let inner = pattern.trim_start_matches('%');
    let begin = if inner.len() < pattern.len() { "" } else { r"\A" };
    let core = inner.trim_end_matches('%');
    let end = if core.len() < inner.len() || inner.is_empty() && !pattern.is_empty() { "" } else { r"\z" };
    let mut regex = format!("(?s){begin}");
    for letter in core.chars() {
        match letter {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            letter => regex.push_str(&regex_syntax::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    regex + end
}

/// What matches a regex, and what stands in its place: `$1`, `${name}` are groups, `$$` is a dollar sign.
#[derive(Debug)]
pub struct Replacement {
    pub regex: Regex,
    pub with: String,
}

impl Replacement {
    /// Replaces every match.
    ///
    /// # Errors
    /// When the text becomes too long.
    pub fn apply<'a>(&self, text: Cow<'a, str>) -> Result<Cow<'a, str>, EvalError> {
        let (mut replaced, mut end) = (String::new(), 0);
        for captures in self.regex.captures_iter(&*text) {
            let Some(found) = captures.get_match() else { break };
            add(&mut replaced, &text[end..found.start()])?;
            let group = |n: usize, to: &mut String| {
                // What is too long already is refused below.
                if let Some(span) = captures.get_group(n).filter(|_| check_length(to.len()).is_ok()) {
                    to.push_str(&text[span.range()]);
                }
            };
            let number = |name: &str| captures.group_info().to_index(found.pattern(), name);
            interpolate::string(&self.with, group, number, &mut replaced);
            check_length(replaced.len())?;
            end = found.end();
        }
        if end == 0 && replaced.is_empty() {
            return Ok(text);
        }
        add(&mut replaced, &text[end..])?;
        Ok(replaced.into())
    }
}

/// What group `n` of the first match is; [`None`] without a match, or where the group is no part of it.
pub fn extract<'a>(regex: &Regex, n: usize, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
    let span = if n == 0 {
        regex.find(&*text)?.span()
    } else {
        let mut captures = regex.create_captures();
        regex.captures(&*text, &mut captures);
        captures.get_group(n)?
    };
    Some(match text {
        Cow::Borrowed(text) => text[span.range()].into(),
        Cow::Owned(text) => text[span.range()].to_string().into(),
    })
}
