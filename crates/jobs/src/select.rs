//! Which tasks of a plan run, by their numbers.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{PlanError, Planned, Stamp};

/// The tasks that a run is for: all, or those of some numbers. The files that the run itself writes are never among them.
#[derive(Debug, Default)]
pub struct Selection {
    only: Option<BTreeSet<usize>>,
    own: Vec<Stamp>,
}

impl Selection {
    /// Those with the numbers `only`, or all; but none whose input is one of the `own` files, as far as they are there.
    /// What is left out for that reason has no number.
    pub fn new<'p>(only: Option<BTreeSet<usize>>, own: impl IntoIterator<Item = &'p Path>) -> Selection {
        let own = own.into_iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| Stamp::of(&meta));
        Selection { only, own: own.collect() }
    }
}

/// The selected tasks of a plan, with their numbers.
pub(crate) struct Selected<'s, T> {
    tasks: Box<dyn Iterator<Item = Planned<T>>>,
    selection: &'s Selection,
    /// Number of the next task.
    next: usize,
    is_exhausted: bool,
}

impl<'s, T> Selected<'s, T> {
    pub fn new(tasks: Box<dyn Iterator<Item = Planned<T>>>, selection: &'s Selection) -> Selected<'s, T> {
        Selected { tasks, selection, next: 0, is_exhausted: false }
    }

    /// The next task.
    pub fn next(&mut self) -> Option<(usize, Planned<T>)> {
        let only = self.selection.only.as_ref();
        loop {
            // No need to plan what comes after the last.
            if only.is_some_and(|only| only.range(self.next..).next().is_none()) {
                return None;
            }
            let Some(planned) = self.tasks.next() else {
                self.is_exhausted = true;
                return None;
            };
            let (Planned::Task(item, _) | Planned::Failed(item, _)) = &planned;
            let is_own = |stamp: Stamp| self.selection.own.iter().any(|own| own.is_same_file(&stamp));
            if item.stamp.is_some_and(is_own) {
                continue;
            }
            let number = self.next;
            self.next += 1;
            if only.is_none_or(|only| only.contains(&number)) {
                return Some((number, planned));
            }
        }
    }

    /// Whether all numbers are those of tasks, as far as the plan was followed.
    ///
    /// # Errors
    /// When the plan has ended before one of them.
    pub fn check(&self) -> Result<(), PlanError> {
        let beyond = self.selection.only.iter().flat_map(|only| only.range(self.next..)).next();
        match beyond.filter(|_| self.is_exhausted) {
            None => Ok(()),
            Some(number) => Err(PlanError::new(format_args!(
                "failed to find task {number} (--only): there are {} tasks, counted from 0 (--dry-run shows them)",
                self.next
            ))),
        }
    }
}
