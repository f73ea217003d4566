//! What is known of the tasks while they run: those that are pulled, and what became of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use procession::Pool;

use super::{FailedKind, FailedTask, Interrupt, Summary, Watch};
use crate::content::Contents;
use crate::select::Selected;
use crate::{FilesAhead, Item, Planned, Records, TaskError};

/// The tasks for the pool, noted in the ledger as they are pulled.
pub struct Pull<'a, T> {
    pub tasks: Rc<RefCell<Selected<'a, T>>>,
    pub ledger: Rc<RefCell<Ledger<'a>>>,
    pub interrupt: &'a Interrupt,
    pub fail_fast: bool,
    pub records: &'a Records,
    pub contents: Contents,
    pub pool: Arc<Pool>,
    pub files_ahead: FilesAhead,
    pub most_ahead: usize,
}

/// After so many tasks there is another look at how busy the workers are.
const LOOK_EVERY: usize = 16;

impl<T> Pull<'_, T> {
    /// Leaves it to workers to open their files as long as they wait for tasks.
    fn share_work(&self) {
        if self.most_ahead > 0 && self.ledger.borrow().pulled.is_multiple_of(LOOK_EVERY) {
            self.files_ahead.set(if self.pool.has_idle_worker() { 0 } else { self.most_ahead });
        }
    }
}

impl<T> Iterator for Pull<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if self.interrupt.is_raised() || self.fail_fast && self.ledger.borrow().has_failed() {
                return None;
            }
            self.share_work();
            let planned = self.interrupt.pulling(|| self.tasks.borrow_mut().next());
            let mut ledger = self.ledger.borrow_mut();
            let Some((number, planned)) = planned else {
                ledger.summary.is_planned = true;
                return None;
            };
            match planned {
                Planned::Task(item, task) => {
                    self.records.identify(&item, &mut self.contents);
                    ledger.add(number, item);
                    return Some(task);
                }
                Planned::Failed(item, error) => ledger.add_unusable(number, item, error),
            }
        }
    }
}

/// What is known of the tasks, by those who pull and by those who collect: both in the same thread.
pub struct Ledger<'a> {
    pub summary: Summary,
    watch: &'a mut dyn Watch,
    /// Tasks that run or wait, by their number in the pool's call: the number in the plan, and what it says.
    pub items: BTreeMap<usize, (usize, Item)>,
    pulled: usize,
    /// What the job has not heard of.
    unusable: Vec<(usize, Item)>,
}

impl<'a> Ledger<'a> {
    pub fn new(job: &'static str, watch: &'a mut dyn Watch) -> Ledger<'a> {
        let summary = Summary { job, ..Summary::default() };
        Ledger { summary, watch, items: BTreeMap::new(), pulled: 0, unusable: Vec::new() }
    }

    pub fn add(&mut self, number: usize, item: Item) {
        self.summary.tasks += 1;
        self.watch.planned(&item);
        self.items.insert(self.pulled, (number, item));
        self.pulled += 1;
    }

    pub fn add_unusable(&mut self, number: usize, item: Item, error: TaskError) {
        self.summary.tasks += 1;
        self.watch.planned(&item);
        self.fail(number, &item, (FailedKind::Failed, error), 0);
        self.unusable.push((number, item));
    }

    pub fn take_unusable(&mut self) -> Vec<(usize, Item)> {
        std::mem::take(&mut self.unusable)
    }

    pub fn done(&mut self, item: &Item, is_resumed: bool) {
        self.summary.done += 1;
        self.summary.resumed += u64::from(is_resumed);
        self.summary.bytes_in += item.bytes;
        self.watch.finished(item, None);
    }

    pub fn fail(&mut self, task: usize, item: &Item, (kind, error): (FailedKind, TaskError), attempts: u32) {
        let count = match kind {
            FailedKind::Failed => &mut self.summary.failed,
            FailedKind::TimedOut => &mut self.summary.timed_out,
            FailedKind::Crashed => &mut self.summary.crashed,
            FailedKind::OverMemory => &mut self.summary.over_memory,
            FailedKind::Cancelled => &mut self.summary.cancelled,
        };
        *count += 1;
        let input = item.path.to_string_lossy().into_owned();
        let failed = FailedTask { task, input, kind, message: error.to_string(), attempts };
        self.watch.finished(item, Some(&failed));
        self.summary.failures.push(failed);
    }

    /// Forgets the tasks that have no outcome.
    pub fn forget(&mut self) {
        self.summary.tasks -= self.items.len() as u64;
        self.items.clear();
    }

    pub fn has_failed(&self) -> bool {
        !self.summary.failures.is_empty()
    }
}
