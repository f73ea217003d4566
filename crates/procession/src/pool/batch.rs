//! What a call brings to the pool: chunks of encoded items, and the place where their results gather.
//!
//! Everything here is bytes. Types are known only to the caller's side, which encodes arguments and decodes results, and
//! to the worker's entry of the call.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use procession_os::DeferredClose;

use crate::handle::{Descriptor, Handles};
use crate::outcome::Details;
use crate::wire;
use crate::{Failure, FailureKind};

/// One call: a `map`, an `imap`, a submitted task.
pub(crate) struct Batch {
    /// Entry and function, as [`procession_os::Call::to_raw`] gives them.
    pub call: (u64, u64),
    /// What all its items need.
    pub context: Option<Arc<Context>>,
    pub pace: Arc<Pace>,
    state: Mutex<State>,
}

/// An encoded context. Workers that have it know it by its number.
pub(crate) struct Context {
    pub id: u64,
    pub bytes: Arc<Vec<u8>>,
    pub handles: Carried,
}

/// The handles of a payload; none as a rule.
pub(crate) type Carried = Option<Arc<CarriedHandles>>;

/// Handles that are closed together, if nobody else has them.
#[derive(Debug)]
pub(crate) struct CarriedHandles {
    handles: Handles,
    /// The place of the first one in the encoding.
    first_place: usize,
    /// The number of the item that each is of; empty if there is but one item.
    owners: Vec<usize>,
}

/// Handles that go with one frame, and the place of the first one in the encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    pub handles: &'a [Descriptor],
    pub first_place: usize,
}

impl Beside<'_> {
    /// As a frame says it. There are never more than 250.
    pub fn count(self) -> u16 {
        self.handles.len() as u16
    }
}

impl Drop for CarriedHandles {
    fn drop(&mut self) {
        let mut closing = DeferredClose::default();
        self.handles.drain(..).filter_map(Descriptor::into_own_fd).for_each(|fd| closing.close(fd));
    }
}

/// What a payload with these handles carries.
pub(crate) fn carried(handles: Handles) -> Carried {
    carried_from(0, handles, Vec::new())
}

/// What a payload carries with handles from that place on, of items with these numbers.
pub(crate) fn carried_from(first_place: usize, handles: Handles, owners: Vec<usize>) -> Carried {
    (!handles.is_empty()).then(|| Arc::new(CarriedHandles { handles, first_place, owners }))
}

/// What goes beside all of a payload.
pub(crate) fn all_of(handles: &Carried) -> Beside<'_> {
    handles
        .as_ref()
        .map_or_else(Beside::default, |carried| Beside { handles: &carried.handles, first_place: carried.first_place })
}

#[derive(Default)]
pub(crate) struct State {
    /// What has happened since the caller looked last.
    pub events: Vec<Event>,
    /// Bytes of results among them.
    pub bytes: usize,
    /// Who wants to hear of the next event.
    pub hooks: Vec<Hook>,
    /// Why nothing of it is to be begun any more.
    pub cancelled: Option<String>,
}

/// Results of a batch, on their way to the caller.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Records of `count` items from number `first` on, all done.
    Run {
        first: usize,
        count: u32,
        attempts: u32,
        /// An even share of the time that they took.
        elapsed: Duration,
        records: Vec<u8>,
    },
    /// One result, too large to have come as part of a run.
    Large {
        index: usize,
        attempts: u32,
        elapsed: Duration,
        payload: Vec<u8>,
    },
    Failed(Failure),
}

/// Somebody who is told of an event, after the pool's lock is released.
pub(crate) enum Hook {
    Wake(Waker),
    /// Runs on the pool's callback thread.
    Call(Box<dyn FnOnce(Event) + Send>),
    /// Runs at once; must be short.
    Tell(Box<dyn FnOnce() + Send>),
}

impl Batch {
    pub fn new(call: (u64, u64), context: Option<Arc<Context>>, pace: Arc<Pace>) -> Arc<Batch> {
        Arc::new(Batch { call, context, pace, state: Mutex::default() })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled.is_some()
    }
}

impl State {
    pub fn take_events(&mut self) -> Vec<Event> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}

impl Event {
    /// Calls `f` with the number, the attempts, the time and the encoded result of each item.
    #[inline]
    pub fn for_each(self, mut f: impl FnMut(usize, u32, Duration, Result<wire::Bytes<'_>, Failure>)) {
        match self {
            Event::Run { first, count, attempts, elapsed, records } => {
                for (index, bytes) in (first..).zip(Records::of(&records, count)) {
                    f(index, attempts, elapsed, Ok(wire::Bytes::Borrowed(bytes)));
                }
            }
            Event::Large { index, attempts, elapsed, payload } => {
                f(index, attempts, elapsed, Ok(wire::Bytes::Owned(payload)))
            }
            Event::Failed(failure) => f(failure.index(), failure.attempts(), failure.elapsed(), Err(failure)),
        }
    }

    /// Number of the first item that it tells of.
    pub fn first(&self) -> usize {
        match self {
            Event::Run { first, .. } => *first,
            Event::Large { index, .. } => *index,
            Event::Failed(failure) => failure.index(),
        }
    }

    /// Items that it tells of.
    pub fn count(&self) -> usize {
        if let Event::Run { count, .. } = self { *count as usize } else { 1 }
    }

    /// Bytes of results that it holds.
    pub fn len(&self) -> usize {
        match self {
            Event::Run { records, .. } => records.len(),
            Event::Large { payload, .. } => payload.len(),
            Event::Failed(_) => 0,
        }
    }
}

/// The payloads of a run's records.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Records<'a> {
    pub fn of(records: &'a [u8], count: u32) -> Records<'a> {
        Records { rest: records, left: count }
    }

    /// What comes after the records that were taken.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        // The slot has walked these headers before.
        let (header, prefix) = wire::get_varint(self.rest)?;
        let (payload, rest) = self.rest[prefix..].split_at_checked((header >> 2) as usize)?;
        self.rest = rest;
        Some(payload)
    }
}

/// The failure of a task whose result came back but is none.
pub(crate) fn undecodable(index: usize, attempts: u32, message: String) -> Failure {
    Failure::new(Details { attempts, ..Details::of(FailureKind::BadResult { message }, index) })
}

/// How long an item of a call takes, as far as the pool has seen. All batches of the same function share it.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    /// Nanoseconds an item, or None before the first.
    pub fn item(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// `count` items have taken `time`.
    pub fn observe(&self, count: u32, time: Duration) {
        let new = (time.as_nanos() as u64 / u64::from(count.max(1))).max(1);
        let old = self.0.load(Ordering::Relaxed);
        // Faster than thought counts at once: the first items pay for start-up. Slower counts half.
        self.0.store(if old == 0 || new < old { new } else { old.midpoint(new) }, Ordering::Relaxed);
    }
}

/// Some items of a batch that travel together.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub batch: Arc<Batch>,
    /// Number of the first item within the batch.
    pub first: usize,
    pub count: u32,
    /// How often these items have been begun before.
    pub attempts: u32,
    /// Workers that have got the first item, have not begun it as they say, and have died or stood still.
    pub unbegun: u8,
    /// The payload is one item without a length before it.
    pub is_single: bool,
    pub payload: Arc<Vec<u8>>,
    pub range: Range<usize>,
    /// Those of all items that it was put together with, also when some of them are split off; of several items, of files
    /// alone.
    pub handles: Carried,
}

impl Chunk {
    /// The handles of its items.
    pub fn own_handles(&self) -> Beside<'_> {
        let Some(carried) = self.handles.as_deref().filter(|carried| !carried.owners.is_empty()) else {
            return all_of(&self.handles);
        };
        let place_of = |item: usize| carried.owners.partition_point(|&owner| owner < item);
        let own = place_of(self.first)..place_of(self.first + self.count as usize);
        Beside { first_place: carried.first_place + own.start, handles: carried.handles.get(own).unwrap_or_default() }
    }

    /// Cuts off the first `count` items and returns them.
    pub fn split_front(&mut self, count: u32) -> Chunk {
        let mut front = self.clone();
        let mut at = self.range.start;
        for _ in 0..count {
            at = wire::next_item(&self.payload[..self.range.end], at).map_or(self.range.end, |(_, end)| end);
        }
        if self.is_single && count > 0 {
            at = self.range.end;
        }
        front.range.end = at;
        front.count = count;
        self.range.start = at;
        self.unbegun = 0;
        self.first += count as usize;
        self.count -= count;
        front
    }

    /// How long its items should take, if known.
    pub fn time(&self) -> Option<Duration> {
        Some(self.batch.pace.item()? * self.count)
    }

    /// The failure of all its items for the same reason, one by one.
    pub fn fail(&self, kind: &FailureKind) -> Vec<Event> {
        (self.first..self.first + self.count as usize)
            .map(|index| {
                Event::Failed(Failure::new(Details { attempts: self.attempts, ..Details::of(kind.clone(), index) }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(items: &[&str]) -> Chunk {
        let mut payload = Vec::new();
        for item in items {
            wire::put_item(item.as_bytes(), &mut payload);
        }
        let range = 0..payload.len();
        let batch = Batch::new((1, 2), None, Arc::default());
        Chunk {
            batch,
            first: 10,
            count: items.len() as u32,
            attempts: 0,
            unbegun: 0,
            is_single: false,
            payload: payload.into(),
            range,
            handles: None,
        }
    }

    #[test]
    fn chunks_split_at_items() {
        let mut rest = chunk(&["a", "", "ccc"]);
        let front = rest.split_front(2);
        assert_eq!(
            (front.first, front.count, front.payload[front.range.clone()].to_vec()),
            (10, 2, b"\x01a\0".to_vec())
        );
        assert_eq!((rest.first, rest.count, rest.payload[rest.range.clone()].to_vec()), (12, 1, b"\x03ccc".to_vec()));
        let none = rest.split_front(0);
        assert_eq!((none.count, none.range.len(), rest.count), (0, 0, 1));
    }

    #[test]
    fn the_pace_falls_at_once_and_rises_slowly() {
        let pace = Pace::default();
        assert_eq!(pace.item(), None);
        pace.observe(1, Duration::from_micros(100));
        pace.observe(10, Duration::from_micros(100));
        assert_eq!(pace.item(), Some(Duration::from_micros(10)));
        pace.observe(1, Duration::from_micros(20));
        assert_eq!(pace.item(), Some(Duration::from_micros(15)));
    }
}
