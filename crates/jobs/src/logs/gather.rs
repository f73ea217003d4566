//! What was found in the fields of all inputs, in the program.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;

use super::first::{First, MAX_BYTES};
use super::groups::{Group, Row, Store, Top};
use super::histogram::Histogram;
use super::query::Query;
use super::sift::{Tally, Unparsed};
use super::stats::{Stats, Summary};
use crate::time::Timestamp;
use crate::{Item, TaskError};

/// More groups are not shown without `--top`.
pub const MAX_GROUPS: usize = 100_000;
/// What groups that are shown may take, whatever `--top` says: keys may be long.
const SHOWN_BYTES: usize = 256 << 20;

/// Takes in one part after the other.
#[derive(Debug)]
pub struct Gather {
    has_groups: bool,
    stats: usize,
    top: usize,
    counts: Parsed,
    samples: First<Unparsed>,
    store: Store,
    histogram: Histogram,
}

/// How many lines became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parsed {
    /// All lines of the parts that were read.
    pub lines: u64,
    /// Those that could not be read.
    pub unparsed: u64,
    /// Those without a time, if one is needed.
    pub without_time: u64,
    /// Those that meet the conditions.
    pub selected: u64,
}

/// What was found, as it is shown.
#[derive(Debug)]
pub struct Found {
    /// How many lines became what.
    pub counts: Parsed,
    /// The first lines that could not be read.
    pub samples: First<Unparsed>,
    /// The groups with the most lines.
    pub rows: Vec<Row>,
    /// All groups, and their lines.
    pub groups: (u64, u64),
    /// Whether memory had no room for all that should be shown.
    pub is_cut: bool,
    /// Of the fields of `--stats`, in all selected lines.
    pub stats: Vec<Summary>,
    /// Lines by the begin of their span.
    pub histogram: BTreeMap<Timestamp, u64>,
}

impl Gather {
    /// Nothing for `query` yet. Shows `top` groups; of all of them so many bytes are kept in memory.
    pub fn new(query: &Query, top: usize, memory_bytes: usize) -> Gather {
        Gather {
            has_groups: query.has_groups(),
            stats: query.stats.len(),
            top,
            counts: Parsed::default(),
            samples: First::new(query.show_unparsed, MAX_BYTES),
            store: Store::new(query.stats.len(), memory_bytes),
            histogram: Histogram::default(),
        }
    }

    /// Adds one part, and takes from it what is kept.
    ///
    /// # Errors
    /// When its groups cannot be kept, or it is damaged; then nothing of it counts.
    pub fn add(&mut self, item: &Item, tally: &mut Tally) -> Result<(), TaskError> {
        let Tally { lines, unparsed, without_time, selected, .. } = *tally;
        let (runs, histogram) = (take(&mut tally.runs), take(&mut tally.histogram));
        if self.has_groups {
            self.store.add(runs).map_err(|cause| TaskError::io("add up the groups of", &item.path, &cause))?;
        }
        self.histogram.merge(histogram);
        let counts = &mut self.counts;
        for (sum, count) in [
            (&mut counts.lines, lines),
            (&mut counts.unparsed, unparsed),
            (&mut counts.without_time, without_time),
            (&mut counts.selected, selected),
        ] {
            *sum = sum.saturating_add(count);
        }
        for sample in take(&mut tally.samples) {
            let text_bytes = sample.text_bytes();
            self.samples.add((item.input, sample.offset), &item.path, sample, text_bytes);
        }
        Ok(())
    }

    /// Adds up the groups. What was found is there in any case, as far as it could be.
    pub fn finish(self) -> (Found, Result<(), TaskError>) {
        let mut top = Top::new(self.top, SHOWN_BYTES);
        let mut all = Group::new(self.stats);
        let merged = self.store.read(|key, group| {
            top.add(key, &group);
            all.merge(&group);
        });
        let histogram = self.histogram.spans();
        let problem = match (merged, histogram) {
            (Err(cause), _) => Err(in_store(&cause)),
            (_, None) => Err(too_many_spans()),
            _ => Ok(()),
        };
        let found = Found {
            counts: self.counts,
            samples: self.samples,
            groups: top.seen(),
            is_cut: top.is_cut(),
            rows: top.into_rows(),
            stats: all.stats.iter().map(Stats::summary).collect(),
            histogram: histogram.cloned().unwrap_or_default(),
        };
        (found, problem)
    }
}

fn in_store(cause: &io::Error) -> TaskError {
    TaskError::new(format_args!("failed to add up the groups: {}", crate::describe(cause)))
}

fn too_many_spans() -> TaskError {
    TaskError::new(format_args!(
        "failed to make the histogram: the lines lie in more than {} spans (--histogram takes a wider one; --since and \
         --until take fewer lines)",
        super::histogram::MAX_SPANS
    ))
}
