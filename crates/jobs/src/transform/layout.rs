//! What rows look like on their way: the fields that are read, and the columns that are written.

use std::sync::{Mutex, OnceLock};

use serde::{Deserialize, Serialize};

use crate::data::columnar::{Columnar, Frame};
use crate::data::csv::Dialect;
use crate::data::json::Wanted;
use crate::data::{Compression, Format, Origin, Type};

use crate::formulas::Formulas;

/// What every task needs to know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Layout {
    /// How each input is read, by its number.
    pub(super) inputs: Vec<Input>,
    /// The fields that are read of JSON. The slots of a row are first those fields, then the values of `--set`.
    pub(super) wanted: Wanted,
    /// The names on the way to each field that is read.
    pub(super) paths: Vec<Vec<String>>,
    /// What is written of a row.
    pub(super) rows: Rows,
    /// Whether a name in a JSON object that is no field is an error.
    pub(super) is_closed: bool,
    pub(super) to: Form,
    /// What stands before the rows of a format of columns.
    pub(super) frame: Frame,
    pub(super) packed: Option<Compression>,
    pub(super) limit: Option<u64>,
    /// Whether the first bad row of a chunk ends it.
    pub(super) stops: bool,
    /// Whether bad rows are returned.
    pub(super) keeps_bad: bool,
    pub(super) formulas: Formulas,
    /// Memory for the bytes of a chunk, which the next task uses again.
    #[serde(skip)]
    pub(super) scratch: Mutex<Vec<u8>>,
    #[serde(skip)]
    pub(super) names: OnceLock<Vec<Vec<u8>>>,
}

impl Layout {
    /// How many values a row has.
    pub(super) fn slots(&self) -> usize {
        let sets = match &self.rows {
            Rows::Whole(sets) => sets.iter().map(|(_, slot)| slot + 1).max(),
            Rows::Columns(columns) => columns.iter().map(|column| column.slot + 1).max(),
        };
        self.paths.len().max(sets.unwrap_or(0))
    }

    /// What is written of a row, if it is not the row as a whole.
    pub(super) fn columns(&self) -> &[Column] {
        if let Rows::Columns(columns) = &self.rows { columns } else { &[] }
    }

    /// A hash of all that decides about the result of a task.
    pub(super) fn hash(&self) -> [u8; 16] {
        let hash = *blake3::hash(format!("{self:?}").as_bytes()).as_bytes();
        std::array::from_fn(|n| hash[n])
    }
}

/// How an input is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub(super) form: Form,
    /// The slot of each field of CSV, if it is wanted.
    pub(super) slots: Vec<Option<usize>>,
}

/// A format, and its characters if it is CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Form {
    /// One array.
    #[default]
    Array,
    /// A value a line.
    Lines,
    /// CSV or TSV.
    Csv(Dialect),
    /// A format of columns.
    Columnar(Columnar),
}

impl Form {
    /// A format, with other characters than its usual ones if they are given.
    pub fn new(format: Format, delimiter: Option<u8>, quote: Option<u8>) -> Form {
        let usual = match format {
            Format::Json => return Form::Array,
            Format::Ndjson => return Form::Lines,
            Format::Csv => Dialect::CSV,
            Format::Tsv => Dialect::TSV,
            Format::Parquet => return Form::Columnar(Columnar::Parquet),
            Format::Arrow => return Form::Columnar(Columnar::Arrow),
        };
        Form::Csv(Dialect { delimiter: delimiter.unwrap_or(usual.delimiter), quote: quote.unwrap_or(usual.quote) })
    }

    /// Whether it is CSV.
    pub fn is_csv(self) -> bool {
        matches!(self, Form::Csv(_))
    }

    /// Whether rows are objects of JSON.
    pub fn is_json(self) -> bool {
        matches!(self, Form::Array | Form::Lines)
    }

    /// What its values are.
    pub fn origin(self) -> Origin {
        match self {
            Form::Array | Form::Lines => Origin::Json,
            Form::Csv(_) => Origin::Text,
            Form::Columnar(_) => Origin::Columns,
        }
    }

    /// The format, if it is one of columns.
    pub fn columnar(self) -> Option<Columnar> {
        if let Form::Columnar(format) = self { Some(format) } else { None }
    }
}

/// What is written of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// The object as it is, but for the members that `--set` gives: name, and slot.
    Whole(Vec<(String, usize)>),
    /// Its values in columns.
    Columns(Vec<Column>),
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::Columns(Vec::new())
    }
}

/// A column of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub(super) name: String,
    pub(super) slot: usize,
    pub(super) kind: Kind,
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// Whatever they are.
    #[default]
    Any,
    /// Of this type where they fit.
    Like(Type),
    /// Of this type, or the row is bad.
    Only(Type),
    /// From columns to columns: as they are, of the type that they have in the input.
    Same,
}
