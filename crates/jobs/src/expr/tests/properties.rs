//! What holds for any expression and any row.

use proptest::prelude::*;

use super::super::digits::json_number;
use super::{cell, eval};
use crate::data::Cell;
use crate::expr::Expr;

/// What `like` means, tried at every place.
fn is_like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skipped| is_like(&text[skipped..], rest)),
        Some((first, rest)) => {
            text.split_first().is_some_and(|(letter, text)| (*first == '_' || first == letter) && is_like(text, rest))
        }
    }
}

/// An expression of truths with every pair of parentheses, the same with few, and what it is for a row.
#[derive(Debug, Clone)]
struct Sample {
    full: String,
    short: String,
    /// 1 for `or`, 2 for `and`, 3 for `not`, 4 for a comparison.
    level: u8,
    value: Option<bool>,
}

impl Sample {
    fn of(text: String, level: u8, value: Option<bool>) -> Sample {
        Sample { full: format!("({text})"), short: text, level, value }
    }

    fn short_at(&self, level: u8) -> String {
        if self.level < level { format!("({})", self.short) } else { self.short.clone() }
    }

    fn join(word: &str, level: u8, left: Sample, right: Sample, value: Option<bool>) -> Sample {
        Sample {
            full: format!("({} {word} {})", left.full, right.full),
            short: format!("{} {word} {}", left.short_at(level), right.short_at(level + 1)),
            level,
            value,
        }
    }
}

/// Comparisons of three fields, whose values are 0 and 1 and null.
fn samples() -> impl Strategy<Value = Sample> {
    const VALUES: [Option<i32>; 3] = [Some(0), Some(1), None];
    let compared = (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(left, op, right)| {
        let names = ["zero", "one", "nothing"];
        let both = VALUES[left].zip(VALUES[right]);
        let (op, value) = [
            ("=", both.map(|(left, right)| left == right)),
            ("<", both.map(|(left, right)| left < right)),
            ("!=", both.map(|(left, right)| left != right)),
        ][op];
        Sample::of(format!("{} {op} {}", names[left], names[right]), 4, value)
    });
    compared.prop_recursive(6, 40, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| {
                let value = match (left.value, right.value) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                };
                Sample::join("or", 1, left, right, value)
            }),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| {
                let value = match (left.value, right.value) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                };
                Sample::join("and", 2, left, right, value)
            }),
            inner.prop_map(|part| Sample {
                full: format!("(not {})", part.full),
                short: format!("not {}", part.short_at(3)),
                level: 3,
                value: part.value.map(|value| !value),
            }),
        ]
    })
}

proptest! {
    #[test]
    fn operators_bind_as_in_sql(sample in samples()) {
        let row = [("zero", "0"), ("one", "1"), ("nothing", "null")];
        let expected = sample.value.map_or("null".to_string(), |value| value.to_string());
        prop_assert_eq!(eval(&sample.full, &row), Ok(expected.clone()));
        prop_assert_eq!(eval(&sample.short, &row), Ok(expected.clone()));
        // The same of constants, which are calculated while the expression is read.
        let constant = sample.short.replace("zero", "0").replace("one", "1").replace("nothing", "null");
        prop_assert_eq!(eval(&constant, &[]), Ok(expected));
    }

    #[test]
    fn like_matches_the_whole_text(text in "[ab.\n]{0,6}", pattern in "[ab.%%_\n]{0,5}") {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = is_like(&letters(&text), &letters(&pattern)).to_string();
        prop_assert_eq!(eval(&format!("a like '{pattern}'"), &[("a", &format!("'{text}'"))]), Ok(expected));
    }

    #[test]
    fn what_is_read_is_evaluated(
        tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..14),
        values in prop::collection::vec(prop::sample::select(CELLS), 3),
    ) {
        let text = tokens.join(" ");
        let expr = match Expr::parse(&text) {
            Ok(expr) => expr,
            Err(error) => {
                prop_assert!(error.position() <= text.chars().count() + 1 && error.to_string().lines().count() == 3);
                return Ok(());
            }
        };
        let row: Vec<Cell<'_>> = values.into_iter().map(cell).collect();
        match expr.eval(&row) {
            Ok(Cell::Bool(value)) => prop_assert_eq!(expr.is_true(&row), Ok(value)),
            Ok(Cell::Null) => prop_assert_eq!(expr.is_true(&row), Ok(false)),
            Ok(Cell::Number(text)) => prop_assert!(json_number(&text).is_some_and(|same| same == text)),
            Ok(_) => (),
            Err(error) => prop_assert!(!error.to_string().contains('\n') && expr.is_true(&row).is_err()),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Err(error) = Expr::parse(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 3);
        }
    }
}

const TOKENS: &[&str] = &[
    "a",
    "b",
    "c.d",
    "`e f`",
    "1",
    "0",
    "2.5",
    "1e99",
    "'x'",
    "'7'",
    "''",
    "null",
    "true",
    "false",
    "and",
    "or",
    "not",
    "is null",
    "in (1, a)",
    "like '%x'",
    "=",
    "<",
    ">=",
    "!=",
    "=~ '^x'",
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "(",
    ")",
    ",",
    "length(",
    "if(",
    "substr(",
    "round(",
    "max(",
    "replace(",
    "split_part(",
    "number(",
    "regex_replace(a, 'x', '$0$0')",
];
const CELLS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-7",
    "1.50",
    "-0",
    "1E+5",
    "1e-400",
    "18446744073709551617",
    "'x'",
    "''",
    "'12'",
    "'\u{e4}\u{1f600}'",
    "[1, \"x\"]",
];
