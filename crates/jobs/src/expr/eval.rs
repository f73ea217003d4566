//! The value of a tree for one row.

use super::compare::{CompareOp, Comparison, compare};
use super::decimal::Decimal;
use super::error::EvalError;
use super::regex::extract;
use super::text::add;
use super::tree::{ArithmeticOp, Node};
use super::value::Value;
use super::{Fields, functions};
use crate::data::Cell;

/// The value of `node` for `row`.
pub fn value<'a>(node: &'a Node, row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    match node {
        Node::Constant(cell) => Ok(Value::Cell(cell.borrowed())),
        Node::Number(_, text) => Ok(Value::Cell(Cell::Number(text.as_str().into()))),
        Node::Field(n) => Ok(Value::Cell(row.field(*n))),
        Node::Or(_)
        | Node::And(_)
        | Node::Not(_)
        | Node::Compare(..)
        | Node::IsNull(_)
        | Node::In(..)
        | Node::Matches(..) => Ok(Value::truth(truth(node, row)?)),
        Node::Negate(part) => {
            let number = operand(part, row)?.to_number("`-`")?;
            Ok(number.map_or(Value::NULL, |number| Value::Number(number.negated())))
        }
        Node::Arithmetic(first, rest) => arithmetic(first, rest, row),
        Node::Concat(parts) => concat(parts, row),
        Node::Call(function, args) => functions::call(*function, args, row),
        Node::Replace(part, replacement) => match value(part, row)?.into_text() {
            Some(text) => Ok(Value::text(replacement.apply(text)?)),
            None => Ok(Value::NULL),
        },
        Node::Extract(part, regex, group) => {
            let text = value(part, row)?.into_text();
            Ok(text.and_then(|text| extract(regex, *group, text)).map_or(Value::NULL, Value::text))
        }
    }
}

/// Whether `node` is true for `row`; [`None`] for null, as SQL has it.
pub fn truth(node: &Node, row: &dyn Fields) -> Result<Option<bool>, EvalError> {
    match node {
        Node::Or(parts) => any(parts, true, row),
        Node::And(parts) => any(parts, false, row),
        Node::Not(part) => Ok(truth(part, row)?.map(|is_true| !is_true)),
        Node::Compare(op, parts) => {
            let [left, right] = &**parts;
            Ok(op.holds(compare(&operand(left, row)?, &operand(right, row)?)))
        }
        Node::IsNull(part) => Ok(Some(value(part, row)?.is_null())),
        Node::In(first, parts) => is_in(&operand(first, row)?, parts, row),
        Node::Matches(part, regex) => Ok(value(part, row)?.into_text().map(|text| regex.is_match(&*text))),
        _ => value(node, row)?.to_truth(),
    }
}

/// The value of `node` for a comparison or a calculation: a constant number is not read from its text again.
pub fn operand<'a>(node: &'a Node, row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    match node {
        Node::Number(number, _) => Ok(Value::Number(*number)),
        node => value(node, row),
    }
}

/// `wanted` if one of the parts is, else null if one of them is null. The first that is `wanted` ends it.
fn any(parts: &[Node], wanted: bool, row: &dyn Fields) -> Result<Option<bool>, EvalError> {
    let mut has_null = false;
    for part in parts {
        match truth(part, row)? {
            Some(is_true) if is_true == wanted => return Ok(Some(wanted)),
            Some(_) => (),
            None => has_null = true,
        }
    }
    Ok((!has_null).then_some(!wanted))
}

fn is_in(first: &Value<'_>, parts: &[Node], row: &dyn Fields) -> Result<Option<bool>, EvalError> {
    let mut has_null = false;
    for part in parts {
        let comparison = compare(first, &operand(part, row)?);
        if CompareOp::Equal.holds(comparison) == Some(true) {
            return Ok(Some(true));
        }
        has_null |= comparison == Comparison::Unknown;
    }
    Ok((!has_null).then_some(false))
}

fn arithmetic<'a>(
    first: &'a Node,
    rest: &'a [(ArithmeticOp, Node)],
    row: &'a dyn Fields,
) -> Result<Value<'a>, EvalError> {
    // A part that is no number is an error, also beside one that is null: the row is wrong whatever else it lacks.
    let mut sum = None;
    for (n, (op, part)) in rest.iter().enumerate() {
        let sign = op.sign();
        if n == 0 {
            sum = operand(first, row)?.to_number(sign)?;
        }
        let number = operand(part, row)?.to_number(sign)?;
        sum = match (sum, number) {
            (Some(left), Some(right)) => Some(op.calculate(left, right)?),
            _ => None,
        };
    }
    Ok(sum.map_or(Value::NULL, Value::Number))
}

fn concat<'a>(parts: &'a [Node], row: &'a dyn Fields) -> Result<Value<'a>, EvalError> {
    let (mut text, mut has_null) = (String::new(), false);
    for part in parts {
        match value(part, row)?.into_text() {
            Some(part) => add(&mut text, &part)?,
            None => has_null = true,
        }
    }
    Ok(if has_null { Value::NULL } else { Value::text(text) })
}

impl ArithmeticOp {
    fn sign(self) -> &'static str {
        match self {
            ArithmeticOp::Plus => "`+`",
            ArithmeticOp::Minus => "`-`",
            ArithmeticOp::Times => "`*`",
            ArithmeticOp::Divide => "`/`",
            ArithmeticOp::Remainder => "`%`",
        }
    }

    fn calculate(self, left: Decimal, right: Decimal) -> Result<Decimal, EvalError> {
        if matches!(self, ArithmeticOp::Divide | ArithmeticOp::Remainder) && right.is_zero() {
            return Err(EvalError::new(format_args!("{}: `{left}` is divided by zero", self.sign())));
        }
        let result = match self {
            ArithmeticOp::Plus => left.plus(right),
            ArithmeticOp::Minus => left.minus(right),
            ArithmeticOp::Times => left.times(right),
            ArithmeticOp::Divide => left.divided_by(right),
            ArithmeticOp::Remainder => left.remainder(right),
        };
        result.ok_or_else(|| {
            EvalError::new(format_args!("{}: the result of `{left}` and `{right}` is out of range", self.sign()))
        })
    }
}
