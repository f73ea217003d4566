//! The groups with the most lines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Group;
use crate::logs::stats::{Stats, Summary};

/// A group as it is shown.
#[derive(Debug)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its lines.
    pub lines: u64,
    /// Of the fields of `--stats`.
    pub stats: Vec<Summary>,
}

/// A number of groups at most. Of groups with equally many lines those with the lesser keys are kept.
#[derive(Debug)]
pub struct Top {
    size: usize,
    /// The last one first.
    kept: BinaryHeap<Entry>,
    groups: u64,
    lines: u64,
}

#[derive(Debug)]
struct Entry(Row);

impl Entry {
    fn place(&self) -> (Reverse<u64>, &[u8]) {
        (Reverse(self.0.lines), &self.0.key)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Entry {}

impl Top {
    /// None of `size` groups yet.
    pub fn new(size: usize) -> Top {
        Top { size, kept: BinaryHeap::new(), groups: 0, lines: 0 }
    }

    /// Looks at a group.
    pub fn add(&mut self, key: &[u8], group: &Group) {
        self.groups += 1;
        self.lines = self.lines.saturating_add(group.lines);
        let is_full = self.kept.len() >= self.size;
        if is_full && self.kept.peek().is_none_or(|last| last.place() <= (Reverse(group.lines), key)) {
            return;
        }
        if is_full {
            self.kept.pop();
        }
        let stats = group.stats.iter().map(Stats::summary).collect();
        self.kept.push(Entry(Row { key: key.to_vec(), lines: group.lines, stats }));
    }

    /// All groups that were seen, and their lines.
    pub fn seen(&self) -> (u64, u64) {
        (self.groups, self.lines)
    }

    /// The groups that are kept, the largest first.
    pub fn into_rows(self) -> Vec<Row> {
        self.kept.into_sorted_vec().into_iter().map(|Entry(row)| row).collect()
    }
}
