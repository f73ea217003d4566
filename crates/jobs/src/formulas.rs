//! The expressions of `--where` and `--set`, on the slots of a row.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::data::{Cell, FieldPath, Raw};
use crate::expr::{Expr, Fields};

/// What is worked out for each row.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Formulas {
    condition: Option<String>,
    /// The value of each goes to the slot behind those of the fields.
    sets: Vec<String>,
    /// The fields of the slots.
    paths: Vec<String>,
    #[serde(skip)]
    parsed: OnceLock<Result<Parsed, String>>,
}

#[derive(Debug)]
struct Parsed {
    condition: Option<Bound>,
    sets: Vec<Bound>,
}

/// An expression, and the slot of each of its fields.
#[derive(Debug)]
struct Bound {
    expr: Expr,
    slots: Vec<usize>,
}

/// The slots of a row as an expression's fields.
struct Seen<'r, 'a> {
    row: &'r [Raw<'a>],
    slots: &'r [usize],
}

impl Fields for Seen<'_, '_> {
    fn field(&self, n: usize) -> Cell<'_> {
        self.slots.get(n).and_then(|slot| self.row.get(*slot)).map_or(Cell::Null, Raw::cell)
    }
}

impl Formulas {
    /// A condition, and expressions for the slots behind those of `paths`, which name all the fields that are used.
    pub fn new(condition: Option<String>, sets: Vec<String>, paths: &[FieldPath]) -> Formulas {
        let paths = paths.iter().map(ToString::to_string).collect();
        Formulas { condition, sets, paths, parsed: OnceLock::new() }
    }

    /// The slots of the fields that are used.
    ///
    /// # Errors
    /// When an expression cannot be read.
    pub fn used(&self) -> Result<Vec<usize>, String> {
        let parsed = self.parsed.get_or_init(|| self.parse()).as_ref().map_err(Clone::clone)?;
        Ok(parsed.condition.iter().chain(&parsed.sets).flat_map(|bound| bound.slots.iter().copied()).collect())
    }

    /// Whether there is nothing to work out.
    pub fn is_empty(&self) -> bool {
        self.condition.is_none() && self.sets.is_empty()
    }

    /// Works out the values of a row; false if it is not wanted.
    ///
    /// # Errors
    /// What an expression cannot make of the row.
    pub fn run(&self, row: &mut [Raw<'_>]) -> Result<bool, String> {
        let parsed = self.parsed.get_or_init(|| self.parse()).as_ref().map_err(Clone::clone)?;
        if let Some(Bound { expr, slots }) = &parsed.condition
            && !expr.is_true(&Seen { row, slots }).map_err(|error| format!("--where: {error}"))?
        {
            return Ok(false);
        }
        for (n, Bound { expr, slots }) in parsed.sets.iter().enumerate() {
            let seen = Seen { row, slots };
            let value = expr.eval(&seen).map_err(|error| format!("--set: {error}"))?.into_owned();
            if let Some(slot) = row.get_mut(self.paths.len() + n) {
                *slot = Raw::Made(value);
            }
        }
        Ok(true)
    }

    fn parse(&self) -> Result<Parsed, String> {
        let bind = |text: &String| {
            let expr = Expr::parse(text).map_err(|error| error.to_string())?;
            let slot = |path: &FieldPath| self.paths.iter().position(|known| *known == path.to_string());
            let slots = expr.fields().iter().map(|path| slot(path).unwrap_or(usize::MAX)).collect();
            Ok(Bound { expr, slots })
        };
        let condition = self.condition.as_ref().map(bind).transpose()?;
        Ok(Parsed { condition, sets: self.sets.iter().map(bind).collect::<Result<_, String>>()? })
    }
}
