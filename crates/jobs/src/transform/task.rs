//! The input and the result of one task: some rows of one input.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::raw_path::RawPath;

/// Some rows to transform.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransformTask {
    /// Number of the input.
    pub(super) input: usize,
    /// A hash of the layout: a journal's result for another one is of no use.
    pub(super) layout: [u8; 16],
    /// Where the rows begin in the input: bytes before them, in a format of columns rows.
    pub(super) begin: u64,
    pub(super) source: Source,
    /// Nothing was before them.
    pub(super) is_first: bool,
    /// Nothing follows them.
    pub(super) is_last: bool,
}

/// Where the bytes of some rows are.
#[derive(Debug, Serialize, Deserialize)]
pub enum Source {
    /// At `begin` of a file.
    Range {
        /// The file to open.
        path: RawPath,
        /// How many they are.
        bytes: u64,
    },
    /// Here.
    Block(ByteBuf),
    /// In a file of columns.
    Span {
        /// The file to open.
        path: RawPath,
        /// Number of the group of rows, and how many rows of it come before.
        group: u32,
        skip: u64,
        /// How many they are.
        rows: u64,
    },
}

/// The rows of one task in their new format.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TransformDone {
    /// What is written.
    pub(super) out: ByteBuf,
    /// Of a format of columns, what would stand behind it in a file of its own.
    pub(super) end: ByteBuf,
    /// Rows that were read, written and bad.
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) skipped: u64,
    /// Line feeds in the input.
    pub(super) lines: u64,
    /// Where each row ends in `out`, if the job has a limit.
    pub(super) ends: Vec<u64>,
    /// The first bad rows.
    pub(super) bad: Vec<Bad>,
    /// What no row behind was read for.
    pub(super) stop: Option<Bad>,
    /// Whether that is but a bad row, and others could be read.
    pub(super) can_go_on: bool,
    /// Bad rows as they are.
    pub(super) quarantined: ByteBuf,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// Offset in the input, in bytes, or in rows of a format of columns.
    pub(super) at: u64,
    /// Number of the line among those of the task, from 0.
    pub(super) line: u64,
    /// In words.
    pub(super) reason: String,
}
