//! The functions of texts. A place in a text is a number of characters (Unicode scalar values), from 1 on.

use std::borrow::Cow;

use super::Fields;
use super::decimal::Decimal;
use super::error::EvalError;
use super::functions::{Function, arg, integer};
use super::tree::Node;
use super::value::Value;

/// No text that an expression makes is longer. A few replacements within replacements could else fill any memory.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// Appends a part.
///
/// # Errors
/// When the text becomes too long.
pub fn add(text: &mut String, part: &str) -> Result<(), EvalError> {
    check_length(text.len().saturating_add(part.len()))?;
    text.push_str(part);
    Ok(())
}

pub fn check_length(size_bytes: usize) -> Result<(), EvalError> {
    if size_bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(EvalError::new(format_args!("a text becomes longer than {} MiB", MAX_TEXT_BYTES >> 20)))
}

/// What a function of texts yields: null if one of the texts is null, but for `concat`.
pub fn call<'a>(function: Function, args: &'a [Node], row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    if function == Function::Concat {
        let mut text = String::new();
        for n in 0..args.len() {
            add(&mut text, &arg(args, n, row)?.into_text().unwrap_or_default())?;
        }
        return Ok(Value::text(text));
    }
    let Some(text) = arg(args, 0, row)?.into_text() else { return Ok(Value::NULL) };
    let second = || Ok(arg(args, 1, row)?.into_text());
    let is = |test: fn(&str, &str) -> bool| Ok(Value::truth(second()?.map(|second| test(&text, &second))));
    match function {
        Function::Contains => is(|text, part| text.contains(part)),
        Function::StartsWith => is(|text, part| text.starts_with(part)),
        Function::EndsWith => is(|text, part| text.ends_with(part)),
        Function::Length => {
            let length = text.chars().count();
            Ok(i64::try_from(length).map_or(Value::NULL, |length| Value::Number(Decimal::from(length))))
        }
        Function::Lower if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) => {
            Ok(Value::text(text))
        }
        Function::Upper if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase()) => {
            Ok(Value::text(text))
        }
        Function::Lower => Ok(Value::text(text.to_lowercase())),
        Function::Upper => Ok(Value::text(text.to_uppercase())),
        Function::Trim => Ok(Value::text(part(text, |text| text.trim()))),
        Function::Replace => match (second()?, arg(args, 2, row)?.into_text()) {
            (Some(from), Some(to)) => Ok(Value::text(replace(text, &from, &to)?)),
            _ => Ok(Value::NULL),
        },
        Function::Substr => {
            let (start, length) = (integer(args, 1, row, "substr")?, integer(args, 2, row, "substr")?);
            match (start, length) {
                (None, _) => Ok(Value::NULL),
                (_, None) if args.len() > 2 => Ok(Value::NULL),
                (Some(0), _) => Err(EvalError::new("substr: places are counted from 1, or from -1 at the end")),
                (_, Some(..0)) => Err(EvalError::new("substr: the length is less than 0")),
                (Some(start), length) => Ok(Value::text(part(text, |text| substr(text, start, length)))),
            }
        }
        Function::SplitPart => match (second()?, integer(args, 2, row, "split_part")?) {
            (_, Some(0)) => Err(EvalError::new("split_part: parts are counted from 1, or from -1 at the end")),
            (Some(between), Some(n)) => Ok(Value::text(part(text, |text| split_part(text, &between, n)))),
            _ => Ok(Value::NULL),
        },
        // The others are no functions of texts, and what needs a regex has a node of its own.
        _ => Ok(Value::NULL),
    }
}

/// A part of a text, lent as the text is.
fn part<'a>(text: Cow<'a, str>, of: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => of(text).into(),
        Cow::Owned(text) => of(&text).to_string().into(),
    }
}

fn replace<'a>(text: Cow<'a, str>, from: &str, to: &str) -> Result<Cow<'a, str>, EvalError> {
    if from.is_empty() || !text.contains(from) {
        return Ok(text);
    }
    let (mut replaced, mut rest) = (String::new(), &*text);
    while let Some((before, behind)) = rest.split_once(from) {
        add(&mut replaced, before)?;
        add(&mut replaced, to)?;
        rest = behind;
    }
    add(&mut replaced, rest)?;
    Ok(replaced.into())
}

/// `length` characters from character `start` on (-1 is the last one), or all that there are. Characters before the first
/// count, as in SQL: the last but one of a single character is none.
fn substr(text: &str, start: i64, length: Option<i64>) -> &str {
    let places = |count: i64| usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let (skipped, missing) = if start > 0 {
        (places(start - 1), 0)
    } else {
        let count = text.chars().count();
        (count.saturating_sub(places(start)), places(start).saturating_sub(count))
    };
    let text = from_character(text, skipped).1;
    length.map_or(text, |length| from_character(text, places(length).saturating_sub(missing)).0)
}

/// The text before and from character number `n`, which is 0 for the first.
fn from_character(text: &str, n: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(n).map_or(text.len(), |(at, _)| at))
}

/// Part number `n` of those between which `between` stands; -1 is the last. Empty if there are not so many.
fn split_part<'a>(text: &'a str, between: &str, n: i64) -> &'a str {
    let index = usize::try_from(n.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let found = match (between, n) {
        ("", 1 | -1) => Some(text),
        ("", _) => None,
        (_, 1..) => text.split(between).nth(index),
        _ => text.rsplit(between).nth(index),
    };
    found.unwrap_or_default()
}
