//! The way of results to the pool.

use std::sync::Arc;

use procession_os::{Notifier, Segment};

use crate::lane::{Claim, Lane, PIECE, POOL_BELL, RESULTS, WORKER_BELL};
use crate::ring::{Corrupt, Producer, mode};
use crate::wire::{self, RecordKind};

/// Where a worker's results go.
pub(crate) enum Link {
    Lane(LaneLink),
    /// Records are kept, for a pool without processes.
    Kept(Vec<(RecordKind, Vec<u8>)>),
}

impl Link {
    /// Begins item `seq`; false if it was taken back.
    #[inline]
    pub fn claim(&self, seq: u64) -> bool {
        match self {
            Link::Lane(link) => link.lane.claim(seq) == Claim::Granted,
            Link::Kept(_) => true,
        }
    }

    /// Hands over a record. `is_last` tells that no other follows at once.
    #[inline]
    pub fn publish(&mut self, kind: RecordKind, payload: &[u8], is_last: bool) {
        match self {
            Link::Lane(link) => link.publish(kind, payload, is_last),
            Link::Kept(records) => records.push((kind, payload.to_vec())),
        }
    }

    /// No record follows at once after all.
    pub fn flush(&mut self) {
        if let Link::Lane(link) = self {
            link.flush();
        }
    }
}

/// The worker's side of its lane.
pub(crate) struct LaneLink {
    lane: Arc<Lane>,
    bell: Arc<PoolBell>,
    results: Producer,
    /// The head of a long record; kept to reuse its memory.
    head: Vec<u8>,
    /// Bytes published since the pool was last woken.
    unannounced: usize,
}

impl LaneLink {
    pub fn new(lane: Arc<Lane>, bell: Arc<PoolBell>) -> LaneLink {
        LaneLink { lane, bell, results: Producer::new(RESULTS), head: Vec::new(), unannounced: 0 }
    }

    #[inline]
    fn publish(&mut self, kind: RecordKind, payload: &[u8], is_last: bool) {
        let header = kind.header(payload.len());
        self.unannounced += payload.len() + 1;
        if header >= 0x80 || !self.results.put_short(&self.lane.memory, header as u8, payload) {
            self.stream(header, payload);
        }
        if is_last || self.unannounced > RESULTS.capacity / 2 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.unannounced = 0;
        self.bell.ring();
    }
}

impl LaneLink {
    /// Publishes a record piece by piece, as room comes.
    fn stream(&mut self, header: u64, payload: &[u8]) {
        self.head.clear();
        wire::put_varint(header, &mut self.head);
        let room = self.wait_for_room(self.head.len()) - self.head.len();
        let (mut now, mut later) = payload.split_at(payload.len().min(room).min(PIECE));
        self.results.stage(&self.lane.memory, &self.head);
        loop {
            self.results.stage(&self.lane.memory, now);
            self.results.publish(&self.lane.memory);
            if later.is_empty() {
                return;
            }
            self.bell.ring();
            let room = self.wait_for_room(1);
            (now, later) = later.split_at(later.len().min(room).min(PIECE));
        }
    }

    /// Waits until there is room for `least` bytes or more.
    fn wait_for_room(&mut self, least: usize) -> usize {
        loop {
            let room = self.room();
            if room >= least {
                return room;
            }
            let seen = WORKER_BELL.prepare(&self.lane.memory, mode::FUTEX);
            let room = self.room();
            if room < least {
                WORKER_BELL.sleep(&self.lane.memory, seen, None);
            }
            WORKER_BELL.awake(&self.lane.memory);
        }
    }

    fn room(&mut self) -> usize {
        match self.results.room(&self.lane.memory, RESULTS.capacity / 4) {
            Ok(room) => room,
            // A program that breaks the protocol has lost its worker.
            Err(Corrupt) => std::process::exit(125),
        }
    }
}

/// Wakes the pool, however it sleeps.
pub(crate) struct PoolBell {
    pub pool: Segment,
    pub event: Notifier,
}

impl PoolBell {
    pub fn ring(&self) {
        if POOL_BELL.ring(&self.pool) {
            self.event.raise();
        }
    }
}
