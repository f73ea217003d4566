//! What a run writes down of its tasks, and which tasks it is for.

use std::time::Duration;

use procession::Journal;

use crate::content::Contents;
use crate::{Exit, Item, Job, Joblog, Selection, without_number};

/// What a run writes down of its tasks, and which tasks it is for. By default nothing, and all.
#[derive(Debug, Default)]
pub struct Records {
    /// Has results that are not worked out again, and gets the new ones.
    pub journal: Option<Journal>,
    /// Whether a task is taken from the journal only if its input has the same content, too.
    pub compares_content: bool,
    /// Gets a line for each task that ends.
    pub joblog: Option<Joblog>,
    /// The tasks that run.
    pub selection: Selection,
}

/// What a journal of this job is for: its name, the version of its results, its arguments.
pub fn purpose<J: Job>(job: &J) -> String {
    format!("{} {}: {:?}", J::NAME, J::RESULTS_VERSION, job.args())
}

impl Records {
    /// Tells the journal what the next task's input is.
    pub(crate) fn identify(&self, item: &Item, contents: &mut Contents) {
        let (Some(journal), Some(stamp)) = (&self.journal, item.stamp) else { return };
        journal.identify(&stamp.identity());
        if self.compares_content
            && let Some(hash) = contents.hash(item)
        {
            journal.identify(&hash);
        }
    }

    /// A task has ended.
    pub(crate) fn ended(&self, job: &str, number: usize, item: &Item, elapsed: Duration, exit: Exit) {
        if let Some(joblog) = &self.joblog {
            joblog.write(job, number, item, elapsed, exit);
        }
    }

    /// Puts the journal on the disk. Says what could not be written, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let unwritten = self.joblog.as_ref().and_then(Joblog::problem);
        self.journal.as_ref().and_then(|journal| journal.flush().err()).map(|e| without_number(&e)).or(unwritten)
    }
}
