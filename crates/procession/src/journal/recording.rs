//! What one call does with its journal: looks items up, and writes down what was done.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::file::JournalFile;
use super::format::{Key, first, put_record};
use crate::pool::{Event, Records};
use crate::wire::{self, Bytes};
use crate::{Error, Journal};

/// Records are written together, but not more bytes than this at once.
const WRITE_BYTES: usize = 4 << 20;

pub(crate) struct Recording {
    file: Arc<JournalFile>,
    /// The hash of the call's context, which is part of every key.
    context: [u8; 32],
    /// Of the items that run, by their numbers.
    keys: HashMap<usize, Key>,
    buffer: Vec<u8>,
    failure: Option<Error>,
}

impl Recording {
    pub fn new(journal: &Journal, context: Option<&[u8]>) -> Recording {
        let context = *blake3::hash(context.unwrap_or_default()).as_bytes();
        let file = Arc::clone(&journal.file);
        Recording { file, context, keys: HashMap::new(), buffer: Vec::new(), failure: None }
    }

    /// What was said of the item that the iterator has just returned.
    pub fn take_identity(&self) -> Vec<u8> {
        self.file.take_identity()
    }

    /// The recorded result of item `index`, if there is one that can be read. If not, the item's result will be recorded.
    pub fn look_up<R: DeserializeOwned + 'static>(
        &mut self,
        index: usize,
        argument: &[u8],
        identity: &[u8],
    ) -> Option<Vec<u8>> {
        let mut hasher = blake3::Hasher::new_keyed(&self.context);
        hasher.update(&(argument.len() as u64).to_le_bytes()).update(argument).update(identity);
        let key = first(hasher.finalize().as_bytes());
        // A record may be of a type that has changed since. Decoding is the caller's code, and may panic.
        let is_readable = |payload: &Vec<u8>| {
            let decode = || wire::decode::<R>(Bytes::Borrowed(payload)).is_ok();
            catch_unwind(AssertUnwindSafe(decode)).unwrap_or(false)
        };
        while let Some(payload) = self.file.take(&key) {
            if is_readable(&payload) {
                return Some(payload);
            }
        }
        self.keys.insert(index, key);
        None
    }

    /// Writes down what was done. Should that fail, [`Recording::take_failure`] tells.
    pub fn record(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Run { first, count, records, .. } => {
                    for (index, payload) in (*first..).zip(Records::of(records, *count)) {
                        self.put(index, payload);
                    }
                }
                Event::Large { index, payload, .. } => self.put(*index, payload),
                Event::Failed(failure) => drop(self.keys.remove(&failure.index())),
            }
        }
        self.write();
        self.buffer.shrink_to(WRITE_BYTES);
    }

    fn put(&mut self, index: usize, payload: &[u8]) {
        // What came from the journal, or has handles, has no key here.
        let Some(key) = self.keys.remove(&index) else { return };
        put_record(key, payload, &mut self.buffer);
        if self.buffer.len() >= WRITE_BYTES {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.failure.is_none() && !self.buffer.is_empty() {
            self.failure = self.file.append(&self.buffer).err();
        }
        self.buffer.clear();
    }

    /// When what was written is to be put on the disk, if anything was.
    pub fn sync_at(&self) -> Option<Instant> {
        self.file.sync_at()
    }

    /// Puts what was written on the disk.
    pub fn sync(&mut self) {
        if let Err(error) = self.file.sync() {
            self.failure.get_or_insert(error);
        }
    }

    /// Why results cannot be recorded any more; told once.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
}
