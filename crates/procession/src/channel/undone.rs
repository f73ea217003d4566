//! Which process has taken how many items of a queue and has not yet said that they are done: one entry a process, in
//! shared memory, so that the items of a dead one can be told.
//!
//! Only the holder of the queue's lock calls anything here. What takes several stores is written into a journal first,
//! so that a process that dies in the middle has either done it all or nothing.

use std::sync::atomic::Ordering;

use procession_os::{Identity, Segment};

use super::dying;
use crate::sync::{pack, unpack};
use crate::{Error, ErrorKind};

const ENTRIES: usize = 4096;
const ENTRY_SIZE: usize = 16;

/// In the journal: an entry is buried. Otherwise it is an item that is taken.
const BURY: u64 = 1 << 32;

/// Where it lies: offsets in bytes, multiples of 8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undone {
    /// 40 bytes: the journal (what, and two words), the items lost, the entries that were ever used.
    pub at: usize,
    /// Entries: whose, and how many items.
    pub table: usize,
}

impl Undone {
    pub const TABLE_SIZE: usize = ENTRIES * ENTRY_SIZE;

    fn get(self, memory: &Segment, at: usize) -> u64 {
        memory.u64(at).load(Ordering::Acquire)
    }

    fn set(self, memory: &Segment, at: usize, value: u64) {
        dying::step();
        memory.u64(at).store(value, Ordering::SeqCst);
    }

    fn owner(self, entry: usize) -> usize {
        self.table + entry * ENTRY_SIZE
    }

    fn count(self, entry: usize) -> usize {
        self.owner(entry) + 8
    }

    /// Entries that may be in use: all before this one.
    fn used(self, memory: &Segment) -> usize {
        (self.get(memory, self.at + 32) as usize).min(ENTRIES)
    }

    /// Items that dead processes had taken.
    pub fn lost(self, memory: &Segment) -> u64 {
        self.get(memory, self.at + 24)
    }

    pub fn has_any(self, memory: &Segment) -> bool {
        (0..self.used(memory)).any(|entry| self.get(memory, self.count(entry)) != 0)
    }

    fn find(self, memory: &Segment, owner: u64) -> Option<usize> {
        (0..self.used(memory)).find(|&entry| self.get(memory, self.owner(entry)) == owner)
    }

    /// The entry of this process; a new one if it has none.
    pub fn own_entry(self, memory: &Segment) -> Result<usize, Error> {
        let own = pack(Identity::own());
        if let Some(entry) = self.find(memory, own) {
            return Ok(entry);
        }
        let used = self.used(memory);
        let entry = match self.find(memory, 0) {
            Some(entry) => entry,
            None if used < ENTRIES => used,
            None => {
                (0..ENTRIES).filter(|&entry| self.is_dead(memory, entry)).for_each(|entry| self.bury(memory, entry));
                self.find(memory, 0).ok_or_else(too_many)?
            }
        };
        self.set(memory, self.count(entry), 0);
        self.set(memory, self.at + 32, used.max(entry + 1) as u64);
        self.set(memory, self.owner(entry), own);
        Ok(entry)
    }

    /// Notes an item that is taken by `take`, which moves the queue's tail from where it is now.
    pub fn keep_one(self, memory: &Segment, entry: usize, tail: u64, take: impl FnOnce()) {
        let count = self.get(memory, self.count(entry)).saturating_add(1);
        self.open_journal(memory, entry as u64, tail, count);
        take();
        self.set(memory, self.count(entry), count);
        self.close_journal(memory);
    }

    /// One item that this process has taken is done.
    pub fn drop_one(self, memory: &Segment) -> Result<(), Error> {
        let entry = self.find(memory, pack(Identity::own()));
        let count = entry.map(|entry| self.count(entry));
        match count.map(|count| (count, self.get(memory, count))) {
            Some((count, items)) if items > 0 => {
                self.set(memory, count, items - 1);
                Ok(())
            }
            _ => Err(done_too_often()),
        }
    }

    /// Counts what dead processes had taken as lost.
    pub fn bury_the_dead(self, memory: &Segment) {
        let has_items = |&entry: &usize| self.get(memory, self.count(entry)) != 0;
        let used = self.used(memory);
        for entry in (0..used).filter(has_items) {
            if self.is_dead(memory, entry) {
                self.bury(memory, entry);
            }
        }
    }

    fn is_dead(self, memory: &Segment, entry: usize) -> bool {
        !unpack(self.get(memory, self.owner(entry))).is_alive()
    }

    fn bury(self, memory: &Segment, entry: usize) {
        let lost = self.lost(memory).saturating_add(self.get(memory, self.count(entry)));
        self.open_journal(memory, BURY | entry as u64, lost, 0);
        self.finish_burial(memory, entry, lost);
        self.close_journal(memory);
    }

    fn finish_burial(self, memory: &Segment, entry: usize, lost: u64) {
        self.set(memory, self.at + 24, lost);
        self.set(memory, self.count(entry), 0);
        self.set(memory, self.owner(entry), 0);
    }

    fn open_journal(self, memory: &Segment, what: u64, first: u64, second: u64) {
        self.set(memory, self.at + 8, first);
        self.set(memory, self.at + 16, second);
        // Zero is no journal.
        self.set(memory, self.at, what + 1);
    }

    fn close_journal(self, memory: &Segment) {
        self.set(memory, self.at, 0);
    }

    /// Ends what a process had begun that died with the lock; the queue's tail is where it has left it.
    pub fn repair(self, memory: &Segment, tail: u64) {
        let Some(what) = self.get(memory, self.at).checked_sub(1) else { return };
        let (first, second) = (self.get(memory, self.at + 8), self.get(memory, self.at + 16));
        let entry = (what & !BURY) as usize;
        if entry < ENTRIES {
            if what & BURY != 0 {
                self.finish_burial(memory, entry, first);
            } else if tail != first {
                self.set(memory, self.count(entry), second);
            }
        }
        self.close_journal(memory);
    }
}

fn too_many() -> Error {
    Error::new(ErrorKind::Full, format!("failed to get: {ENTRIES} processes have taken items of this queue"))
}

fn done_too_often() -> Error {
    let message = "failed to note that an item is done: this process has said so for each one that it has taken";
    Error::new(ErrorKind::NotAcquired, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDONE: Undone = Undone { at: 64, table: 4096 };

    fn memory() -> Segment {
        Segment::create("undone", 4096 + Undone::TABLE_SIZE).unwrap().0
    }

    /// A process that has ended: its number, and a birth that no other process has.
    fn dead(n: u32) -> u64 {
        let own = Identity::own();
        pack(Identity { pid: own.pid, birth: own.birth.wrapping_add(1 + n) })
    }

    fn add(memory: &Segment, entry: usize, owner: u64, items: u64) {
        UNDONE.set(memory, UNDONE.at + 32, entry as u64 + 1);
        UNDONE.set(memory, UNDONE.owner(entry), owner);
        UNDONE.set(memory, UNDONE.count(entry), items);
    }

    #[test]
    fn each_item_is_done_once() {
        let memory = memory();
        assert!(UNDONE.drop_one(&memory).is_err());
        for _ in 0..2 {
            let entry = UNDONE.own_entry(&memory).unwrap();
            assert_eq!(entry, 0);
            UNDONE.keep_one(&memory, entry, 0, || ());
        }
        assert!(UNDONE.has_any(&memory));
        UNDONE.bury_the_dead(&memory);
        UNDONE.drop_one(&memory).unwrap();
        assert!(UNDONE.has_any(&memory));
        UNDONE.drop_one(&memory).unwrap();
        assert!(UNDONE.drop_one(&memory).is_err() && !UNDONE.has_any(&memory));
        assert_eq!(UNDONE.lost(&memory), 0);
    }

    #[test]
    fn the_dead_leave_their_items_and_their_place() {
        let memory = memory();
        add(&memory, 0, dead(0), 3);
        add(&memory, 1, dead(1), 4);
        UNDONE.bury_the_dead(&memory);
        assert_eq!((UNDONE.lost(&memory), UNDONE.has_any(&memory)), (7, false));
        assert_eq!(UNDONE.own_entry(&memory).unwrap(), 0);
    }

    #[test]
    fn a_full_table_has_room_for_one_more_when_one_is_dead() {
        let memory = memory();
        let own = Identity::own();
        // Alive as far as can be told: a birth of 0 is not known.
        (0..ENTRIES).for_each(|entry| add(&memory, entry, pack(Identity { birth: 0, ..own }), 1));
        assert_eq!(UNDONE.own_entry(&memory).unwrap_err().kind(), ErrorKind::Full);
        add(&memory, 77, dead(0), 1);
        UNDONE.set(&memory, UNDONE.at + 32, u64::MAX);
        assert_eq!((UNDONE.own_entry(&memory).unwrap(), UNDONE.lost(&memory)), (77, 1));
    }

    #[test]
    fn what_was_begun_is_ended_or_never_was() {
        for is_taken in [false, true] {
            let memory = memory();
            let entry = UNDONE.own_entry(&memory).unwrap();
            UNDONE.open_journal(&memory, entry as u64, 800, 1);
            UNDONE.repair(&memory, if is_taken { 808 } else { 800 });
            assert_eq!(UNDONE.has_any(&memory), is_taken);
            UNDONE.repair(&memory, 900);
            assert_eq!(UNDONE.drop_one(&memory).is_ok(), is_taken);
        }
        for stores in 0..4 {
            let memory = memory();
            add(&memory, 0, dead(0), 5);
            UNDONE.open_journal(&memory, BURY, 5, 0);
            for at in [UNDONE.at + 24, UNDONE.count(0), UNDONE.owner(0)].into_iter().take(stores) {
                UNDONE.set(&memory, at, if at == UNDONE.at + 24 { 5 } else { 0 });
            }
            UNDONE.repair(&memory, 0);
            UNDONE.bury_the_dead(&memory);
            assert_eq!((UNDONE.lost(&memory), UNDONE.has_any(&memory)), (5, false));
        }
    }
}
