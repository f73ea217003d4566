//! The groups of one task, in a worker.
//!
//! Keys lie one behind the other, and the hash table has numbers of groups only: a group costs no allocation, and few bytes
//! of the CPU's cache.

use std::hash::BuildHasher;
use std::io;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use serde_bytes::ByteBuf;

use super::merge::{in_memory, merge};
use super::run::{place, write_entry};
use crate::logs::stats::Stats;

/// Memory that the table takes before it becomes a run.
const TABLE_BYTES: usize = 32 << 20;
/// Of runs, which are merged beyond that. Only compressed files have tasks of more text.
const RUNS_BYTES: usize = 256 << 20;
/// About what a group takes beside its key and its statistics.
const GROUP_BYTES: usize = size_of::<Counted>() + 8;

/// Groups by key. Their hashes have a random seed, so nobody can choose keys that collide.
#[derive(Debug)]
pub struct Table {
    hasher: RandomState,
    numbers: HashTable<u32>,
    groups: Vec<Counted>,
    keys: Vec<u8>,
    /// Of all groups, one after the other.
    stats: Vec<Stats>,
    stats_per_group: usize,
    /// What statistics have grown by.
    grown_bytes: usize,
    table_bytes: usize,
    runs: Vec<ByteBuf>,
    /// What they have now, and may have.
    bytes_in_runs: usize,
    runs_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    hash: u64,
    key_start: u32,
    key_end: u32,
    lines: u64,
}

impl Counted {
    fn key(self, keys: &[u8]) -> &[u8] {
        &keys[self.key_start as usize..self.key_end as usize]
    }
}

impl Table {
    /// No groups, with the statistics of so many fields.
    pub fn new(stats: usize) -> Table {
        Table::within(stats, TABLE_BYTES, RUNS_BYTES)
    }

    /// The same in a table of so many bytes, which are less than 4 GiB, and runs of so many.
    pub fn within(stats: usize, table_bytes: usize, runs_bytes: usize) -> Table {
        Table {
            hasher: RandomState::default(),
            numbers: HashTable::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            stats: Vec::new(),
            stats_per_group: stats,
            grown_bytes: 0,
            table_bytes,
            runs: Vec::new(),
            bytes_in_runs: 0,
            runs_bytes,
        }
    }

    /// Counts a line. `update` gets the statistics of its group, and tells by how many bytes they have grown.
    ///
    /// # Errors
    /// When a task may not return so many groups.
    #[inline]
    pub fn add(&mut self, key: &[u8], update: impl FnOnce(&mut [Stats]) -> usize) -> io::Result<()> {
        let hash = self.hasher.hash_one(key);
        let (groups, keys) = (&self.groups, &self.keys);
        let is_it = |number: &u32| {
            let group = groups[*number as usize];
            group.hash == hash && group.key(keys) == key
        };
        let (number, is_new) = match self.numbers.find(hash, is_it) {
            Some(number) => (*number as usize, false),
            None => (self.insert(hash, key), true),
        };
        self.groups[number].lines += 1;
        let at = number * self.stats_per_group;
        let grown = update(&mut self.stats[at..at + self.stats_per_group]);
        self.grown_bytes += grown;
        if (is_new || grown > 0) && self.bytes() > self.table_bytes { self.flush() } else { Ok(()) }
    }

    fn insert(&mut self, hash: u64, key: &[u8]) -> usize {
        // Keys are at most 64 KiB long, so numbers and places fit.
        let number = self.groups.len();
        let key_start = self.keys.len() as u32;
        self.keys.extend_from_slice(key);
        self.groups.push(Counted { hash, key_start, key_end: self.keys.len() as u32, lines: 0 });
        self.stats.resize_with(self.stats.len() + self.stats_per_group, Stats::default);
        let groups = &self.groups;
        self.numbers.insert_unique(hash, number as u32, |number| groups[*number as usize].hash);
        number
    }

    fn bytes(&self) -> usize {
        let groups = self.groups.len() * (GROUP_BYTES + self.stats_per_group * Stats::BYTES);
        groups + self.keys.len() + self.grown_bytes
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
        let keys = &self.keys;
        let places = self.groups.iter().enumerate().map(|(number, group)| (place(group.key(keys)), number));
        let mut sorted: Vec<(u64, usize)> = places.collect();
        let key_of = |number: usize| self.groups[number].key(keys);
        sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0).then_with(|| key_of(left.1).cmp(key_of(right.1))));
        let mut run = Vec::with_capacity(self.keys.len() + self.groups.len() * 8);
        for (_, number) in sorted {
            let at = number * self.stats_per_group;
            let stats = &self.stats[at..at + self.stats_per_group];
            write_entry(&mut run, key_of(number), self.groups[number].lines, stats)?;
        }
        self.numbers.clear();
        self.groups.clear();
        self.keys.clear();
        self.stats.clear();
        self.grown_bytes = 0;
        self.bytes_in_runs += run.len();
        self.runs.push(ByteBuf::from(run));
        if self.bytes_in_runs > self.runs_bytes { self.compact() } else { Ok(()) }
    }

    /// Makes one run of all. There must be room for as much again, or every further run would lead to the next merge.
    fn compact(&mut self) -> io::Result<()> {
        let mut merged = Vec::new();
        merge(in_memory(&self.runs), self.stats_per_group, |key, group| {
            write_entry(&mut merged, key, group.lines, &group.stats)
        })?;
        if merged.len() > self.runs_bytes / 2 {
            return Err(io::Error::other(format!(
                "its groups take more than {} MiB; a compressed file is one task, a plain one is several (--by)",
                (self.runs_bytes / 2) >> 20
            )));
        }
        self.bytes_in_runs = merged.len();
        self.runs.clear();
        self.runs.push(ByteBuf::from(merged));
        Ok(())
    }
}
