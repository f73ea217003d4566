//! Merges runs, key by key.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, BufRead};

use serde_bytes::ByteBuf;

use super::Group;
use super::run::RunReader;

/// Calls `each` with every key of the runs, in their order, and its group with the statistics of so many fields.
///
/// # Errors
/// Those of the runs, and of `each`.
pub fn merge<'r>(
    runs: impl IntoIterator<Item = Box<dyn BufRead + 'r>>,
    stats: usize,
    mut each: impl FnMut(&[u8], Group) -> io::Result<()>,
) -> io::Result<()> {
    let mut heads = BinaryHeap::new();
    for run in runs {
        let mut reader = RunReader::new(run, stats);
        if reader.advance()? {
            heads.push(Head(reader));
        }
    }
    let mut current: Option<(Vec<u8>, Group)> = None;
    while let Some(mut head) = heads.peek_mut() {
        let Head(reader) = &mut *head;
        let group = reader.group()?;
        match &mut current {
            Some((key, sum)) if *key == reader.key() => sum.merge(&group),
            Some((key, sum)) => {
                each(key, std::mem::replace(sum, group))?;
                key.clear();
                key.extend_from_slice(reader.key());
            }
            none => *none = Some((reader.key().to_vec(), group)),
        }
        if !reader.advance()? {
            PeekMut::pop(head);
        }
    }
    current.map_or(Ok(()), |(key, sum)| each(&key, sum))
}

/// Runs that are not in a file.
pub fn in_memory(runs: &[ByteBuf]) -> impl Iterator<Item = Box<dyn BufRead + '_>> {
    runs.iter().map(|run| Box::new(run.as_slice()) as Box<dyn BufRead>)
}

/// A run that stands at an entry; the first in order is the greatest of a heap.
struct Head<'r>(RunReader<Box<dyn BufRead + 'r>>);

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.order().cmp(&self.0.order())
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}
