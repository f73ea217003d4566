//! Cuts the groups of rows in a file of columns into tasks.

use crate::data::columnar::{Group, Span};

/// Bytes and rows of a task, if the rows go into a text; also bytes of what many rows share, written out.
const TEXT_BYTES: u64 = 8 << 20;
const TEXT_ROWS: u64 = 128 << 10;
const TEXT_VALUE_BYTES: u64 = 16 << 20;
/// The same if they become a group of rows again.
const GROUP_BYTES: u64 = 32 << 20;
const GROUP_ROWS: u64 = 128 << 10;
const GROUP_VALUE_BYTES: u64 = 32 << 20;

/// The tasks of a file: rows before each in the file, bytes that it stands for, and its rows.
#[derive(Debug)]
pub struct Spans {
    groups: std::iter::Enumerate<std::vec::IntoIter<Group>>,
    is_grouped: bool,
    current: Option<(u32, Group)>,
    /// Rows of the current group, and of all, that were given out.
    skip: u64,
    begin: u64,
}

impl Spans {
    /// For these groups; `is_grouped` if the output has groups, too.
    pub fn new(groups: Vec<Group>, is_grouped: bool) -> Spans {
        Spans { groups: groups.into_iter().enumerate(), is_grouped, current: None, skip: 0, begin: 0 }
    }

    /// How many rows of a group are a task: all tasks of a group have about as many.
    fn rows(&self, group: Group) -> u64 {
        let (bytes, rows, value_bytes) = match self.is_grouped {
            true => (GROUP_BYTES, GROUP_ROWS, GROUP_VALUE_BYTES),
            false => (TEXT_BYTES, TEXT_ROWS, TEXT_VALUE_BYTES),
        };
        // What a footer says is not to be trusted, but to be divided by.
        let tasks = group.memory_bytes.div_ceil(bytes).max(group.value_bytes.div_ceil(value_bytes));
        let tasks = tasks.min(group.rows).max(group.rows.div_ceil(rows)).max(1);
        group.rows.div_ceil(tasks).max(1)
    }
}

impl Iterator for Spans {
    type Item = (u64, u64, Span);

    fn next(&mut self) -> Option<(u64, u64, Span)> {
        loop {
            if let Some((number, group)) = self.current.filter(|(_, group)| self.skip < group.rows) {
                let rows = self.rows(group).min(group.rows - self.skip);
                let bytes = (group.bytes as f64 * (rows as f64 / group.rows as f64)) as u64;
                let found = (self.begin, bytes, Span { group: number, skip: self.skip, rows });
                self.skip += rows;
                self.begin = self.begin.saturating_add(rows);
                return Some(found);
            }
            let (number, group) = self.groups.next()?;
            self.current = Some((u32::try_from(number).ok()?, group));
            self.skip = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_given_out_once_and_in_order() {
        let group = |rows, memory_bytes| Group { rows, bytes: 1000, memory_bytes, value_bytes: 0 };
        let groups = vec![group(0, 0), group(10, 0), group(1_000_000, 64 << 20), group(3, 1 << 60), group(1, 0)];
        for is_grouped in [false, true] {
            let (mut at, mut of_group) = (0, [0; 5]);
            for (begin, bytes, span) in Spans::new(groups.clone(), is_grouped) {
                assert!(begin == at && span.skip == of_group[span.group as usize] && span.rows > 0 && bytes <= 1000);
                assert!(span.rows <= if is_grouped { GROUP_ROWS } else { TEXT_ROWS });
                (at, of_group[span.group as usize]) = (at + span.rows, span.skip + span.rows);
            }
            assert_eq!(of_group, [0, 10, 1_000_000, 3, 1]);
        }
        let mut hostile = Spans::new(vec![group(u64::MAX, u64::MAX)], false);
        assert!(hostile.next().is_some() && hostile.next().is_some());
    }

    #[test]
    fn texts_that_rows_share_make_tasks_small() {
        let group = Group { rows: 1_000_000, bytes: 1000, memory_bytes: 4 << 20, value_bytes: 1_000_000 * (8 << 20) };
        for is_grouped in [false, true] {
            let most = if is_grouped { 4 } else { 2 };
            assert!(Spans::new(vec![group], is_grouped).all(|(.., span)| span.rows <= most));
        }
    }
}
