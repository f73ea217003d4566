//! Counts lines by the values of their fields, in bounded memory.
//!
//! ```text
//! worker: key of a line -> table of groups -> runs, in one order -> program: store (memory, then a file)
//!         -> all runs are merged, key by key -> the groups with the most lines
//! ```

mod key;
mod merge;
mod run;
mod store;
mod table;
mod top;

#[cfg(test)]
mod tests;

use super::stats::Stats;

pub use key::{KeyPart, MAX_KEY_BYTES, push_part, read_key};
pub use store::{MEMORY_BYTES, Store};
pub use table::Table;
pub use top::{Row, Top};

/// The lines with one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// How many.
    pub lines: u64,
    /// Of the fields of `--stats`.
    pub stats: Box<[Stats]>,
}

impl Group {
    /// No lines, and so many fields.
    pub fn new(stats: usize) -> Group {
        Group { lines: 0, stats: vec![Stats::default(); stats].into() }
    }

    /// Adds other lines with this key.
    pub fn merge(&mut self, other: &Group) {
        self.lines = self.lines.saturating_add(other.lines);
        for (stats, others) in self.stats.iter_mut().zip(&other.stats) {
            stats.merge(others);
        }
    }
}
