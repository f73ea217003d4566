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

/// A number of groups at most, in so many bytes at most. Of groups with equally many lines those with the lesser keys are
/// kept.
#[derive(Debug)]
pub struct Top {
    size: usize,
    max_bytes: usize,
    /// The last one first.
    kept: BinaryHeap<Entry>,
    bytes: usize,
    /// The first group that memory had no room for: nothing behind it is kept, or that would depend on the order.
    limit: Option<Entry>,
    groups: u64,
    lines: u64,
}

#[derive(Debug)]
struct Entry(Row);

impl Entry {
    fn place(&self) -> (Reverse<u64>, &[u8]) {
        (Reverse(self.0.lines), &self.0.key)
    }

    /// About what it takes.
    fn bytes(&self) -> usize {
        let texts = self.0.stats.iter().map(|summary| size_of_val(summary) + summary.text_bytes()).sum::<usize>();
        size_of::<Entry>() + self.0.key.len() + texts
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
    pub fn new(size: usize, max_bytes: usize) -> Top {
        Top { size, max_bytes, kept: BinaryHeap::new(), bytes: 0, limit: None, groups: 0, lines: 0 }
    }

    /// Looks at a group.
    pub fn add(&mut self, key: &[u8], group: &Group) {
        self.groups += 1;
        self.lines = self.lines.saturating_add(group.lines);
        let is_behind = |entry: &Entry| entry.place() <= (Reverse(group.lines), key);
        let is_full = self.kept.len() >= self.size;
        if self.limit.as_ref().is_some_and(is_behind) || is_full && self.kept.peek().is_none_or(is_behind) {
            return;
        }
        if is_full {
            self.pop();
        }
        let stats = group.stats.iter().map(Stats::summary).collect();
        let entry = Entry(Row { key: key.to_vec(), lines: group.lines, stats });
        self.bytes += entry.bytes();
        self.kept.push(entry);
        while self.bytes > self.max_bytes {
            self.limit = self.pop();
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.kept.pop()?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Whether groups are missing for which memory had no room.
    pub fn is_cut(&self) -> bool {
        self.limit.is_some()
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
