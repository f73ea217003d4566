//! The groups of one task, in a worker.

use std::collections::HashMap;
use std::io;

use foldhash::quality::RandomState;
use serde_bytes::ByteBuf;

use super::Group;
use super::run::write_entry;
use crate::logs::stats::Stats;

/// Memory that the table takes before it becomes a run.
const TABLE_BYTES: usize = 32 << 20;
/// What a task may return. Only compressed files have tasks of more text than that.
pub const MAX_RUNS_BYTES: usize = 256 << 20;
/// About what an entry takes beside its key and its statistics.
const ENTRY_BYTES: usize = 72;

/// Groups by key. The hash has a random seed, so nobody can choose keys that collide.
#[derive(Debug)]
pub struct Table {
    groups: HashMap<Box<[u8]>, Group, RandomState>,
    stats: usize,
    table_bytes: usize,
    bytes: usize,
    runs: Vec<ByteBuf>,
    runs_bytes: usize,
}

impl Table {
    /// No groups, with the statistics of so many fields.
    pub fn new(stats: usize) -> Table {
        Table::within(stats, TABLE_BYTES)
    }

    /// The same in so many bytes.
    pub fn within(stats: usize, table_bytes: usize) -> Table {
        Table { groups: HashMap::default(), stats, table_bytes, bytes: 0, runs: Vec::new(), runs_bytes: 0 }
    }

    /// Counts a line. `update` gets the statistics of its group, and tells by how many bytes they have grown.
    ///
    /// # Errors
    /// When a task may not return so many groups.
    #[inline]
    pub fn add(&mut self, key: &[u8], update: impl FnOnce(&mut [Stats]) -> usize) -> io::Result<()> {
        match self.groups.get_mut(key) {
            Some(group) => {
                group.lines += 1;
                self.bytes += update(&mut group.stats);
            }
            None => {
                let mut group = Group::new(self.stats);
                group.lines = 1;
                self.bytes += update(&mut group.stats) + key.len() + ENTRY_BYTES + self.stats * Stats::BYTES;
                self.groups.insert(key.into(), group);
            }
        }
        if self.bytes > self.table_bytes { self.flush() } else { Ok(()) }
    }

    /// The groups as runs.
    ///
    /// # Errors
    /// As [`Table::add`].
    pub fn finish(mut self) -> io::Result<Vec<ByteBuf>> {
        self.flush()?;
        Ok(self.runs)
    }

    /// Makes a run of the table.
    fn flush(&mut self) -> io::Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let mut groups: Vec<(Box<[u8]>, Group)> = self.groups.drain().collect();
        groups.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let (mut run, mut scratch) = (Vec::new(), Vec::new());
        for (key, group) in groups {
            write_entry(&mut run, &key, &group, &mut scratch)?;
        }
        self.bytes = 0;
        self.runs_bytes += run.len();
        if self.runs_bytes > MAX_RUNS_BYTES {
            return Err(io::Error::other(format!(
                "its groups take more than {} MiB; a compressed file is one task, a plain one is several (--by)",
                MAX_RUNS_BYTES >> 20
            )));
        }
        self.runs.push(ByteBuf::from(run));
        Ok(())
    }
}
