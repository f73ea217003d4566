//! Who takes part in something, in a table that outlives them: what a death must undo can be read from it.
//!
//! Each entry says which process it belongs to and one number. It is made, changed and taken away by single stores, so
//! there is no moment at which a death leaves half of one. The table is changed under a lock word of its object, with
//! one exception: a process may free its own entry at any time.

use std::sync::atomic::Ordering;

use procession_os::Segment;

use super::word::{LockWord, Taken, World, unpack};

/// So many entries has a table. Memory that was never touched costs nothing.
pub(crate) const CAPACITY: usize = 4096;
/// So many entries a waiter looks at for the dead at each tick: each may cost a few microseconds.
pub(crate) const LOOKS: usize = 32;

const AT_ENTRIES: usize = 64;
const ENTRY: usize = 16;

/// A table at an offset that is a multiple of 8.
///
/// At 0 how many entries were ever used, at 8 where the next look for the dead begins, from 64 on the entries: the
/// process (0: free), and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parties(pub usize);

/// An entry as it was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Party {
    pub index: usize,
    /// The process, as in lock words.
    pub process: u64,
    pub number: u64,
}

impl Parties {
    /// How many bytes a table takes.
    pub const SIZE: usize = AT_ENTRIES + CAPACITY * ENTRY;

    fn at(self, index: usize) -> usize {
        self.0 + AT_ENTRIES + index.min(CAPACITY - 1) * ENTRY
    }

    /// Where the number of an entry is.
    pub fn at_number(self, index: usize) -> usize {
        self.at(index) + 8
    }

    pub fn get(self, memory: &Segment, index: usize) -> Party {
        let process = memory.u64(self.at(index)).load(Ordering::Acquire);
        Party { index, process, number: memory.u64(self.at_number(index)).load(Ordering::Acquire) }
    }

    pub fn set_number(self, memory: &Segment, index: usize, number: u64) {
        memory.u64(self.at_number(index)).store(number, Ordering::Release);
    }

    fn used(self, memory: &Segment) -> usize {
        usize::try_from(memory.u64(self.0).load(Ordering::Acquire)).map_or(CAPACITY, |used| used.min(CAPACITY))
    }

    /// Whether all entries have been used, and so the dead have to be buried for a new one.
    pub fn is_full(self, memory: &Segment) -> bool {
        self.used(memory) == CAPACITY
    }

    /// All entries that belong to somebody.
    pub fn all(self, memory: &Segment) -> impl Iterator<Item = Party> {
        (0..self.used(memory)).map(move |index| self.get(memory, index)).filter(|party| party.process != 0)
    }

    /// A new entry of this process, under the lock; None if all are in use by living processes.
    pub fn join(self, memory: &Segment, number: u64) -> Option<usize> {
        let used = self.used(memory);
        let is_free = |&index: &usize| self.get(memory, index).process == 0;
        let index = if let Some(index) = (0..used).find(is_free) {
            index
        } else if used < CAPACITY {
            memory.u64(self.0).store(used as u64 + 1, Ordering::Release);
            used
        } else {
            return None;
        };
        self.set_number(memory, index, number);
        memory.u64(self.at(index)).store(memory.own(), Ordering::Release);
        Some(index)
    }

    /// Frees an entry: one's own, or under the lock that of a dead process.
    pub fn leave(self, memory: &Segment, index: usize) {
        memory.u64(self.at(index)).store(0, Ordering::Release);
    }

    /// Some of those who are dead, without the lock: look under it whether [`Parties::is_still`] true what this says.
    ///
    /// Looks at the next `looks` entries only, so that many who wait for many share the work. `matters` chooses whom to
    /// look at by their number.
    pub fn dead(self, memory: &Segment, looks: usize, matters: impl Fn(u64) -> bool) -> Vec<Party> {
        let parties: Vec<Party> = self.all(memory).filter(|party| matters(party.number)).collect();
        if parties.is_empty() {
            return parties;
        }
        let looks = looks.min(parties.len());
        let first = memory.u64(self.0 + 8).fetch_add(looks as u64, Ordering::Relaxed) % parties.len() as u64;
        let chosen = parties.iter().cycle().skip(first as usize).take(looks);
        // Threads of one process often stand beside each other.
        let (mut last, mut is_dead) = (memory.own(), false);
        let dead = chosen.filter(|party| {
            if party.process != last {
                (last, is_dead) = (party.process, !unpack(party.process).is_alive());
            }
            is_dead
        });
        dead.copied().collect()
    }

    /// Whether an entry still is the process's; for those that were found dead.
    pub fn is_still(self, memory: &Segment, party: Party) -> bool {
        self.get(memory, party.index).process == party.process
    }
}

/// The lock of a table, until it is dropped. Held only for moments, so nobody is told if a process dies within.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    memory: &'a Segment,
    word: LockWord,
}

impl<'a> Inside<'a> {
    /// Waits for the lock. If the last one has died within, `repair` puts right what it may have left half done.
    pub fn enter(memory: &'a Segment, word: LockWord, repair: impl FnOnce()) -> Inside<'a> {
        let taken = loop {
            if let Some(taken) = word.acquire(memory, None) {
                break taken;
            }
        };
        if taken == Taken::Poisoned {
            repair();
            word.clear_poison(memory);
        }
        Inside { memory, word }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.word.release(self.memory);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::travel::tests::DEAD;
    use proptest::prelude::*;

    const TABLE: Parties = Parties(8);

    fn memory() -> Segment {
        Segment::create("parties", 8 + Parties::SIZE).unwrap().0
    }

    #[test]
    fn entries_are_used_again_and_the_dead_are_found() {
        let memory = memory();
        assert_eq!(
            (TABLE.join(&memory, 5), TABLE.join(&memory, 6), TABLE.join(&memory, 7)),
            (Some(0), Some(1), Some(2))
        );
        TABLE.leave(&memory, 1);
        assert_eq!(TABLE.all(&memory).map(|party| party.number).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(TABLE.join(&memory, 8), Some(1));
        assert!(TABLE.dead(&memory, LOOKS, |_| true).is_empty());
        memory.u64(TABLE.at(2)).store(DEAD, Ordering::Relaxed);
        let dead = TABLE.dead(&memory, LOOKS, |_| true);
        assert_eq!(dead, [Party { index: 2, process: DEAD, number: 7 }]);
        assert!(TABLE.dead(&memory, LOOKS, |number| number != 7).is_empty() && TABLE.is_still(&memory, dead[0]));
        TABLE.leave(&memory, 2);
        assert!(!TABLE.is_still(&memory, dead[0]));
    }

    #[test]
    fn a_full_table_says_so_and_all_its_dead_are_found_in_time() {
        let memory = memory();
        for index in 0..CAPACITY {
            assert_eq!(TABLE.join(&memory, index as u64), Some(index));
            memory.u64(TABLE.at(index)).store(DEAD + ((index as u64) << 32), Ordering::Relaxed);
        }
        assert_eq!(TABLE.join(&memory, 0), None);
        let mut found: Vec<_> =
            (0..CAPACITY / LOOKS).flat_map(|_| TABLE.dead(&memory, LOOKS, |_| true)).map(|party| party.index).collect();
        found.sort_unstable();
        assert!(found.into_iter().eq(0..CAPACITY));
        TABLE.leave(&memory, 4000);
        assert_eq!(TABLE.join(&memory, 0), Some(4000));
    }

    #[test]
    fn who_dies_within_is_repaired_and_not_told_of() {
        let memory = memory();
        memory.u64(0).store(DEAD, Ordering::Relaxed);
        let mut repairs = 0;
        for _ in 0..2 {
            drop(Inside::enter(&memory, LockWord(0), || repairs += 1));
        }
        assert_eq!((repairs, memory.u64(0).load(Ordering::Relaxed)), (1, 0));
    }

    proptest! {
        /// Whatever another process has written there: nothing outside of the table is touched, and nobody panics.
        #[test]
        fn hostile_tables_are_tables_too(words in proptest::collection::vec(any::<u64>(), 2..30), index: usize) {
            let memory = memory();
            for (at, word) in words.iter().enumerate() {
                memory.u64(TABLE.0 + if at < 2 { at * 8 } else { AT_ENTRIES + at * 8 }).store(*word, Ordering::Relaxed);
            }
            TABLE.get(&memory, index);
            TABLE.dead(&memory, LOOKS, |_| true);
            if let Some(index) = TABLE.join(&memory, 3) {
                prop_assert_eq!(TABLE.get(&memory, index).process, memory.own());
                TABLE.leave(&memory, index);
            }
        }
    }
}
