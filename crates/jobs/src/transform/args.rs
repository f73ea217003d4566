//! The command line of `procession transform`.

use std::path::PathBuf;

use crate::data::Format;

/// Turn rows of data from one format into another, exactly.
///
/// Formats are told by the names: .json (one array of objects), .ndjson or .jsonl (an object a line), .csv, .tsv, .parquet,
/// .arrow or .feather (Arrow's IPC file); with .gz or .zst behind it text is compressed. Text is decompressed whatever it is
/// called. Values keep their text: numbers of any size, leading zeros, time zones. Several inputs follow one another in one
/// output, in their order.
///
/// In CSV an empty field is null and "" an empty text; arrays and objects are JSON text. From CSV to JSON a column is of
/// numbers, or of true and false, if its first 10,000 rows are; a later value that is none stays text (--schema decides
/// for all rows). Of a name that comes twice in an object the last value counts.
///
/// Columns of Parquet and Arrow have a type. From text it is the narrowest that gives all values of the first 10,000 rows back
/// as they are written: int, float, bool, json (kept as text; --schema COL:json on the way back makes it JSON again), else text; a
/// later value that it cannot hold is a bad row. From columns to columns types stay. In text, instants are RFC 3339 with their offset (UTC for named zones), bytes base64, lists
/// and structs JSON, numbers that JSON lacks the texts NaN, inf and -inf. Parquet is compressed with Snappy.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TransformArgs {
    /// Files, or `-` for standard input.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Format of the inputs [default: as their names tell]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub from: Option<Format>,

    /// Format of the output [default: as its name tells]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: Option<Format>,

    /// The columns of the output, in this order: FIELD, or NAME=FIELD to rename it; `host.name` is the field `name` of the
    /// object `host`, and odd names stand in backquotes [default: all; from JSON to CSV those of the first 10,000 rows]
    #[arg(long, value_name = "[NAME=]FIELD,...", allow_hyphen_values = true)]
    pub select: Option<String>,

    /// Only rows for which EXPR is true: `status >= 500 and host.name is not null` (docs/expressions.md).
    #[arg(long = "where", value_name = "EXPR", allow_hyphen_values = true)]
    pub condition: Option<String>,

    /// Give the column COL, which may be a new one, the value of EXPR (repeatable): `ms=took * 1000`. EXPR sees the fields of
    /// the input.
    #[arg(long, value_name = "COL=EXPR", allow_hyphen_values = true)]
    pub set: Vec<String>,

    /// Stop after N rows of output.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub limit: Option<u64>,

    /// Types of columns of the output: text, number, bool, json, int, float, decimal(DIGITS,PLACES), timestamp (RFC 3339, kept as
    /// microseconds of UTC) or date. A row that does not fit is a bad row.
    #[arg(long, value_name = "COL:TYPE,...")]
    pub schema: Vec<String>,

    /// The character between two fields of CSV, as `;` or \t: of the input if that is CSV, else of the output [default: a comma]
    #[arg(long, value_name = "C", value_parser = parse_byte, allow_hyphen_values = true)]
    pub delimiter: Option<u8>,

    /// The character around fields of CSV, of the same side as --delimiter [default: a double quote]
    #[arg(long, value_name = "C", value_parser = parse_byte)]
    pub quote: Option<u8>,

    /// The CSV input has no header: its columns are c1, c2, ... or as --header-names says
    #[arg(long)]
    pub no_header: bool,

    /// Names of the columns of the CSV input, in place of those of its header
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub header_names: Option<Vec<String>>,

    /// What to do with a row that is malformed or does not fit: stop with an error and no output, skip it, or
    /// quarantine=FILE to write it there, under the header of its input if that is CSV, and its place and the reason to
    /// FILE.reasons. An array that stops being JSON in the middle always ends the job
    #[arg(long, value_name = "ACTION", default_value = "stop", value_parser = parse_bad_row)]
    pub on_bad_row: OnBadRow,
}

/// What is done with a row that is malformed or does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnBadRow {
    /// The job ends.
    #[default]
    Stop,
    /// It is counted.
    Skip,
    /// It is counted, and written to a file.
    Quarantine(PathBuf),
}

fn parse_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err("must be one ASCII character, or \\t for a tab".to_string()),
    }
}

fn parse_bad_row(text: &str) -> Result<OnBadRow, String> {
    match text.split_once('=') {
        None if text == "stop" => Ok(OnBadRow::Stop),
        None if text == "skip" => Ok(OnBadRow::Skip),
        Some(("quarantine", file)) if !file.is_empty() => Ok(OnBadRow::Quarantine(file.into())),
        _ => Err("must be stop, skip or quarantine=FILE".to_string()),
    }
}
