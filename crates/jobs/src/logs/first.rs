//! The first lines of all inputs, whichever comes first: as many as are asked for, in bounded memory.
//!
//! A worker keeps lines until its [`Room`] is full, the program the least of what it gets in a [`First`]. Both reckon alike, so
//! that where a worker has stopped the program has no room either: what is kept has no gaps, whoever is late.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What lines that are shown may take in memory, those of all patterns together.
pub const MAX_BYTES: usize = 64 << 20;
/// What a line takes beside its text.
const LINE_BYTES: usize = 160;

/// What each of so many patterns may take.
pub fn bytes_each(patterns: usize) -> usize {
    MAX_BYTES / patterns.max(1)
}

/// How many lines are still wanted of a task.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    lines: usize,
    bytes: usize,
}

impl Room {
    /// For so many lines, in so many bytes and the line that exceeds them.
    pub fn new(lines: usize, bytes: usize) -> Room {
        Room { lines, bytes }
    }

    /// Whether another line is wanted.
    pub fn is_open(&self) -> bool {
        self.lines > 0
    }

    /// Notes a line that is kept.
    pub fn take(&mut self, text_bytes: usize) {
        let bytes = LINE_BYTES.saturating_add(text_bytes);
        // The line that has no room is kept, too: by it the program sees that there is more.
        self.lines = if bytes > self.bytes { 0 } else { self.lines.saturating_sub(1) };
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Number of the input, and offset in it.
type Place = (usize, u64);

/// The first lines by number of the input and offset.
#[derive(Debug, Clone)]
pub struct First<T> {
    size: usize,
    max_bytes: usize,
    kept: BTreeMap<Place, Kept<T>>,
    bytes: usize,
    /// The first line that memory had no room for: none behind it is kept, or lines between were missing.
    limit: Option<Place>,
}

#[derive(Debug, Clone)]
struct Kept<T> {
    path: Arc<Path>,
    line: T,
    bytes: usize,
}

impl<T> First<T> {
    /// None of `size` lines yet, which may take so many bytes.
    pub fn new(size: usize, max_bytes: usize) -> First<T> {
        First { size, max_bytes, kept: BTreeMap::new(), bytes: 0, limit: None }
    }

    /// Keeps a line, which has so many bytes of text, if it is among the first.
    pub fn add(&mut self, place: Place, path: &Arc<Path>, line: T, text_bytes: usize) {
        if self.limit.is_some_and(|limit| place >= limit) {
            return;
        }
        let bytes = LINE_BYTES.saturating_add(text_bytes);
        if let Some(same) = self.kept.insert(place, Kept { path: path.clone(), line, bytes }) {
            self.bytes -= same.bytes;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.kept.len() > self.size {
            self.pop();
        }
        while self.bytes > self.max_bytes {
            self.limit = self.pop();
        }
    }

    fn pop(&mut self) -> Option<Place> {
        let (place, kept) = self.kept.pop_last()?;
        self.bytes -= kept.bytes;
        Some(place)
    }

    /// The lines in their order: file, offset, line.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, u64, &T)> {
        self.kept.iter().map(|((_, offset), kept)| (&*kept.path, *offset, &kept.line))
    }

    /// Whether lines are missing for which memory had no room.
    pub fn is_cut(&self) -> bool {
        self.limit.is_some() && self.kept.len() < self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a program keeps of tasks, each of the lines of one input, of which workers keep the first.
    fn first(tasks: &[(usize, Vec<usize>)], size: usize, max_bytes: usize) -> (Vec<Place>, bool) {
        let mut first = First::new(size, max_bytes);
        for (input, lengths) in tasks {
            let mut room = Room::new(size, max_bytes);
            for (offset, length) in lengths.iter().enumerate() {
                if room.is_open() {
                    room.take(*length);
                    first.add((*input, offset as u64), &Path::new("x").into(), *input, *length);
                }
            }
        }
        assert!(first.bytes <= max_bytes);
        (first.iter().map(|(_, offset, input)| (*input, offset)).collect(), first.is_cut())
    }

    proptest! {
        #[test]
        fn the_order_of_tasks_changes_nothing_and_nothing_is_missing_between(
            inputs in prop::collection::vec(prop::collection::vec(0..500_usize, 0..12), 0..8),
            order in any::<u64>(),
            size in 0..40_usize,
            max_bytes in 0..8000_usize,
        ) {
            let all: Vec<(Place, usize)> = inputs.iter().enumerate()
                .flat_map(|(input, lengths)| lengths.iter().enumerate().map(move |(at, length)| ((input, at as u64), *length)))
                .collect();
            let mut bytes = 0;
            let fitting = all.iter().take_while(|(_, length)| {
                bytes += LINE_BYTES + length;
                bytes <= max_bytes
            });
            let expected: Vec<Place> = fitting.take(size).map(|(place, _)| *place).collect();
            let is_cut = expected.len() < size.min(all.len());
            let mut tasks: Vec<(usize, Vec<usize>)> = inputs.into_iter().enumerate().collect();
            prop_assert_eq!(first(&tasks, size, max_bytes), (expected.clone(), is_cut));
            tasks.sort_by_key(|(input, _)| (*input as u64 + 1).wrapping_mul(order | 1).rotate_left(31));
            prop_assert_eq!(first(&tasks, size, max_bytes), (expected, is_cut));
        }
    }
}
