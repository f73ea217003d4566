//! The functions that an expression can call, and those of them that are not about texts.

use std::cmp::Ordering;

use super::Fields;
use super::compare::{Comparison, compare};
use super::decimal::Decimal;
use super::digits::json_number;
use super::error::EvalError;
use super::eval::{operand, truth, value};
use super::text;
use super::tree::Node;
use super::value::Value;
use crate::data::Cell;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Abs,
    Ceil,
    Coalesce,
    Concat,
    Contains,
    EndsWith,
    Floor,
    If,
    Length,
    Lower,
    Max,
    Min,
    Number,
    RegexExtract,
    RegexReplace,
    Replace,
    Round,
    SplitPart,
    StartsWith,
    Substr,
    Text,
    Trim,
    Upper,
}

/// All functions: how they are called, and with how many arguments, from and to.
const FUNCTIONS: [(&str, Function, usize, usize); 23] = [
    ("abs", Function::Abs, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("coalesce", Function::Coalesce, 1, usize::MAX),
    ("concat", Function::Concat, 1, usize::MAX),
    ("contains", Function::Contains, 2, 2),
    ("ends_with", Function::EndsWith, 2, 2),
    ("floor", Function::Floor, 1, 1),
    ("if", Function::If, 3, 3),
    ("length", Function::Length, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("max", Function::Max, 1, usize::MAX),
    ("min", Function::Min, 1, usize::MAX),
    ("number", Function::Number, 1, 1),
    ("regex_extract", Function::RegexExtract, 2, 3),
    ("regex_replace", Function::RegexReplace, 3, 3),
    ("replace", Function::Replace, 3, 3),
    ("round", Function::Round, 1, 2),
    ("split_part", Function::SplitPart, 3, 3),
    ("starts_with", Function::StartsWith, 2, 2),
    ("substr", Function::Substr, 2, 3),
    ("text", Function::Text, 1, 1),
    ("trim", Function::Trim, 1, 1),
    ("upper", Function::Upper, 1, 1),
];

/// The function of a name, in whatever case, with the least and the greatest number of its arguments.
///
/// # Errors
/// When there is none; with the names that there are.
pub fn find(name: &str) -> Result<(Function, usize, usize), String> {
    let found = FUNCTIONS.into_iter().find(|(own, ..)| own.eq_ignore_ascii_case(name));
    found.map(|(_, function, least, most)| (function, least, most)).ok_or_else(|| {
        let names = FUNCTIONS.map(|(name, ..)| name).join(", ");
        format!("expected one of the functions {names}")
    })
}

/// What `function` yields. Its arguments are as many as [`find`] says.
pub fn call<'a>(function: Function, args: &'a [Node], row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    match function {
        Function::Abs => of_number(args, row, "abs", |number| Some(number.abs())),
        Function::Ceil => of_number(args, row, "ceil", Decimal::ceil),
        Function::Floor => of_number(args, row, "floor", Decimal::floor),
        Function::Round => {
            let Some(digits) = integer(args, 1, row, "round")?.or((args.len() < 2).then_some(0)) else {
                return Ok(Value::NULL);
            };
            of_number(args, row, "round", |number| number.rounded(digits))
        }
        Function::Coalesce => {
            for arg in args {
                let value = value(arg, row)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Value::NULL)
        }
        Function::If => {
            let is_true = args.first().map_or(Ok(None), |condition| truth(condition, row))? == Some(true);
            arg(args, if is_true { 1 } else { 2 }, row)
        }
        Function::Max => outermost(args, row, "max", Ordering::Greater),
        Function::Min => outermost(args, row, "min", Ordering::Less),
        Function::Number => Ok(match arg(args, 0, row)? {
            Value::Cell(Cell::Text(text)) => match json_number(&text) {
                Some(number) => Value::Cell(Cell::Number(number.into_owned().into())),
                None => Value::NULL,
            },
            Value::Cell(Cell::Bool(_) | Cell::Nested(_)) => Value::NULL,
            number => number,
        }),
        Function::Text => Ok(arg(args, 0, row)?.into_text().map_or(Value::NULL, Value::text)),
        _ => text::call(function, args, row),
    }
}

/// The value of argument number `n`; null if there is none.
pub fn arg<'a>(args: &'a [Node], n: usize, row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    args.get(n).map_or(Ok(Value::NULL), |node| value(node, row))
}

/// Argument number `n` as a whole number; [`None`] if it is null, or there is none.
pub fn integer(args: &[Node], n: usize, row: &dyn Fields, name: &str) -> Result<Option<i64>, EvalError> {
    let Some(node) = args.get(n) else { return Ok(None) };
    let value = operand(node, row)?;
    match value.to_number(name)? {
        Some(number) => number.to_integer().map(Some).ok_or_else(|| value.unfit(name, "a whole number in range")),
        None => Ok(None),
    }
}

fn of_number<'a>(
    args: &'a [Node],
    row: &'a dyn Fields,
    name: &str,
    calculate: impl Fn(Decimal) -> Option<Decimal>,
) -> Result<Value<'a>, EvalError> {
    let Some(node) = args.first() else { return Ok(Value::NULL) };
    let value = operand(node, row)?;
    match value.to_number(name)? {
        Some(number) => calculate(number).map(Value::Number).ok_or_else(|| value.unfit(name, "in range")),
        None => Ok(Value::NULL),
    }
}

/// The argument that stands in `order` to all others; null is passed over.
fn outermost<'a>(args: &'a [Node], row: &'a dyn Fields, name: &str, order: Ordering) -> Result<Value<'a>, EvalError> {
    let mut best = Value::NULL;
    for arg in args {
        let next = value(arg, row)?;
        match compare(&next, &best) {
            Comparison::Unknown if best.is_null() => best = next,
            Comparison::Unknown => (),
            Comparison::Ordered(found) if found == order => best = next,
            Comparison::Ordered(_) => (),
            Comparison::Different => return Err(next.unfit(name, "to be compared with the other arguments")),
        }
    }
    Ok(best)
}
