//! The calls with many items: they pull items while there is room, hand them to the pool in chunks, and give the outcomes
//! back in order or as they come.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch::{Batch, Carried, Chunk, Event, carried_from};
use super::core::{Core, Stage};
use super::held::Held;
use super::results::Results;
use super::shared::{Shared, deliver_locally};
use crate::handle::{Handles, MAX_HANDLES};
use crate::journal::Recording;
use crate::outcome::{Details, Outcome};
use crate::{Error, ErrorKind, Failure, FailureKind, Journal, wire};

/// How long a chunk should keep a worker busy.
const CHUNK_TIME: Duration = Duration::from_millis(4);
/// How long pulling the items of a chunk may take: workers wait for it.
const PULL_TIME: Duration = Duration::from_micros(500);
/// Encoded size of a chunk: a part of a lane's ring, so that a worker can have two.
const CHUNK_BYTES: usize = 32 * 1024;
/// From this size on an item travels alone, without being copied.
const SINGLE_BYTES: usize = 16 * 1024;
/// How much larger than the last one a chunk may be.
const GROWTH: usize = 8;

/// Options of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallOptions<'p> {
    pub chunk_size: Option<usize>,
    pub timeout: Option<Duration>,
    pub journal: Option<&'p Journal>,
}

/// What all calls with many items do: pull, encode, hand over, collect.
pub(crate) struct Feed<I: Iterator, R> {
    shared: Arc<Shared>,
    batch: Arc<Batch>,
    items: Fuse<I>,
    chunk_size: Option<usize>,
    last_chunk: usize,
    /// Items pulled.
    pulled: usize,
    /// Items whose events were taken.
    received: usize,
    /// Bytes of results that the caller has not taken yet.
    buffered: usize,
    deadline: Option<Instant>,
    /// What is done with the call's journal, if it has one.
    recording: Option<Recording>,
    /// No more items are pulled.
    is_exhausted: bool,
    /// The last items pulled.
    chunk: Growing,
    /// The memory of chunks on their way: it serves again once nobody else needs it, which keeps the program's size even.
    payloads: VecDeque<Arc<Vec<u8>>>,
    result: PhantomData<fn() -> R>,
}

/// A chunk that is being put together. What its items do when they are encoded is their own: they may panic.
#[derive(Default)]
struct Growing {
    payload: Vec<u8>,
    /// Items, and where the last one ends.
    count: u32,
    end: usize,
    /// Those of files in its items, and the numbers of the items, for those that were completed.
    handles: Handles,
    owners: Vec<usize>,
}

impl Growing {
    fn complete(&mut self, number: usize) {
        self.count += 1;
        self.end = self.payload.len();
        self.owners.resize(self.handles.len(), number);
    }

    /// Drops what was written of an item that was not completed.
    fn undo(&mut self) {
        self.payload.truncate(self.end);
        self.handles.truncate(self.owners.len());
    }
}

/// Why a call cannot go on.
enum Halt {
    Late,
    Ended(Error),
    /// The journal takes no more.
    Unrecorded(Error),
}

impl<I, R> Feed<I, R>
where
    I: Iterator,
    I::Item: Serialize + 'static,
    R: DeserializeOwned + 'static,
{
    pub fn new(shared: &Arc<Shared>, batch: Arc<Batch>, items: I, options: CallOptions<'_>) -> Feed<I, R> {
        shared.lock().feeds += 1;
        let context = batch.context.as_ref().map(|context| context.bytes.as_slice());
        let recording = options.journal.map(|journal| Recording::new(journal, context));
        Feed {
            shared: Arc::clone(shared),
            batch,
            items: items.fuse(),
            chunk_size: options.chunk_size,
            last_chunk: 0,
            pulled: 0,
            received: 0,
            buffered: 0,
            deadline: options.timeout.and_then(|t| Instant::now().checked_add(t)),
            recording,
            is_exhausted: false,
            chunk: Growing::default(),
            payloads: VecDeque::new(),
            result: PhantomData,
        }
    }

    /// Waits for the next events; none when all items have had theirs. `held` items are with the caller, waiting for
    /// earlier ones; `stay` tells that the caller comes back at once.
    fn next_events(&mut self, held: usize, stay: bool) -> Result<Vec<Event>, Halt> {
        loop {
            while !self.is_exhausted && self.wants_more(held, &self.shared.lock()) {
                if self.pull(held) {
                    // There is something for the caller.
                    break;
                }
            }
            if let Some(error) = self.recording.as_mut().and_then(Recording::take_failure) {
                self.recording = None;
                return Err(Halt::Unrecorded(error));
            }
            if self.received == self.pulled && self.is_exhausted {
                return Ok(Vec::new());
            }
            let shared = Arc::clone(&self.shared);
            let sync_at = self.recording.as_ref().and_then(Recording::sync_at);
            let until = self.deadline.into_iter().chain(sync_at).min();
            let taken = shared.drive(until, stay, |core| {
                let events = self.batch.state().take_events();
                if !events.is_empty() || !self.is_exhausted && self.wants_more(held, core) {
                    return Some(Ok(events));
                }
                match &core.stage {
                    Stage::Broken(why) => Some(Err(Halt::Ended(Error::new(ErrorKind::Broken, why.clone())))),
                    Stage::Ending => Some(Err(Halt::Ended(Error::new(ErrorKind::Closed, "the pool has ended")))),
                    Stage::Open | Stage::Closed => None,
                }
            });
            let events = match taken {
                Some(events) => events?,
                None if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => return Err(Halt::Late),
                None => {
                    self.recording.iter_mut().for_each(Recording::sync);
                    continue;
                }
            };
            if let Some(recording) = &mut self.recording {
                recording.record(&events);
            }
            if !events.is_empty() {
                self.received += events.iter().map(Event::count).sum::<usize>();
                return Ok(events);
            }
        }
    }

    /// Whether the pool could do with another chunk, and limits allow it.
    fn wants_more(&self, held: usize, core: &Core) -> bool {
        let settings = &self.shared.settings;
        let in_flight = self.pulled - self.received + held;
        if matches!(core.stage, Stage::Ending | Stage::Broken(_)) || in_flight >= settings.max_items() {
            return false;
        }
        if self.shared.inline.is_some() {
            // Nothing but the items of a chunk that a panic has left unfinished.
            return in_flight == self.chunk.count as usize;
        }
        let waiting = self.batch.state().bytes;
        let has_memory = core.bytes + waiting + self.buffered < settings.max_bytes || in_flight == 0;
        has_memory && core.appetite(self.batch.pace.item()) > 0
    }

    /// Pulls items into one chunk and hands it over. Should the iterator panic then what was pulled is still there for
    /// the next chunk. True if an item has its outcome already.
    fn pull(&mut self, held: usize) -> bool {
        let allowed = self.shared.settings.max_items() - (self.pulled - self.received + held);
        let most = self.pulled + allowed;
        let want = self.chunk_len();
        // What the journal has is no part of the chunk, but pulling has an end for it, too.
        let (mut given, mut given_bytes) = (0, 0);
        self.chunk.undo();
        if self.chunk.count == 0 {
            self.chunk.payload = self.spare_payload();
        }
        let start = Instant::now();
        while (self.chunk.count as usize) < want
            && self.pulled < most
            && self.chunk.payload.len() + given_bytes < CHUNK_BYTES
            && self.chunk.handles.len() < MAX_HANDLES
        {
            if is_worth_a_look(self.chunk.count + given) && start.elapsed() > PULL_TIME {
                break;
            }
            let Some(item) = self.items.next() else {
                self.is_exhausted = true;
                break;
            };
            let identity = self.recording.as_ref().map(Recording::take_identity).unwrap_or_default();
            match wire::append_item(item, &mut self.chunk.payload, &mut self.chunk.handles, SINGLE_BYTES) {
                Ok(None) => {
                    // Handles have no key in a journal.
                    if let Some(recording) = &mut self.recording
                        && self.chunk.handles.len() == self.chunk.owners.len()
                    {
                        let chunk = &self.chunk.payload;
                        let argument = wire::next_item(chunk, self.chunk.end).map_or(0..0, |(start, end)| start..end);
                        if let Some(payload) = recording.look_up::<R>(self.pulled, &chunk[argument], &identity) {
                            (given, given_bytes) = (given + 1, given_bytes + payload.len());
                            self.give_recorded(payload);
                            continue;
                        }
                    }
                }
                Ok(Some((single, handles))) => {
                    if let Some(recording) = self.recording.as_mut().filter(|_| handles.is_empty())
                        && let Some(payload) = recording.look_up::<R>(self.pulled, &single, &identity)
                    {
                        (given, given_bytes) = (given + 1, given_bytes + payload.len());
                        self.give_recorded(payload);
                        continue;
                    }
                    let first_place = self.chunk.owners.len();
                    self.submit_chunk();
                    let index = self.pulled;
                    self.pulled += 1;
                    self.last_chunk = 1;
                    self.submit(index, 1, Arc::new(single), true, carried_from(first_place, handles, Vec::new()));
                    return given > 0;
                }
                Err(message) => {
                    // This item ends the chunk, for a chunk's items are numbered without gaps.
                    self.submit_chunk();
                    let failure = Failure::new(Details::of(FailureKind::BadArgument { message }, self.pulled));
                    self.pulled += 1;
                    deliver_locally(&self.shared, &self.batch, Event::Failed(failure));
                    return true;
                }
            }
            self.chunk.complete(self.pulled);
            self.pulled += 1;
        }
        if self.chunk.count > 0 {
            self.last_chunk = self.chunk.count as usize;
        }
        self.submit_chunk();
        given > 0
    }

    /// Gives an item that was just pulled the result that the journal has for it.
    fn give_recorded(&mut self, payload: Vec<u8>) {
        if self.chunk.count > 0 {
            // It ends the chunk, for a chunk's items are numbered without gaps.
            self.submit_chunk();
        }
        self.chunk.undo();
        let event = Event::Large { index: self.pulled, attempts: 0, elapsed: Duration::ZERO, payload };
        self.pulled += 1;
        deliver_locally(&self.shared, &self.batch, event);
    }

    fn submit_chunk(&mut self) {
        self.chunk.undo();
        let Growing { payload, count, handles, owners, .. } = std::mem::take(&mut self.chunk);
        let payload = Arc::new(payload);
        // What a large item has left is not kept, and no more than is in use as a rule.
        let is_usual = count > 0 && payload.capacity() <= 2 * CHUNK_BYTES;
        if is_usual && self.payloads.len() < 4 * self.shared.settings.workers {
            self.payloads.push_back(Arc::clone(&payload));
        }
        self.submit(self.pulled - count as usize, count, payload, false, carried_from(0, handles, owners));
    }

    fn submit(&self, first: usize, count: u32, payload: Arc<Vec<u8>>, is_single: bool, handles: Carried) {
        if count > 0 {
            let range = 0..payload.len();
            let batch = Arc::clone(&self.batch);
            self.shared.submit(Chunk {
                batch,
                first,
                count,
                attempts: 0,
                unbegun: 0,
                is_single,
                payload,
                range,
                handles,
            });
        }
    }

    /// Memory for a chunk: that of one that is done.
    fn spare_payload(&mut self) -> Vec<u8> {
        let done = self.payloads.iter().position(|payload| Arc::strong_count(payload) == 1);
        let done = done.and_then(|at| self.payloads.remove(at));
        let mut payload = done.and_then(Arc::into_inner).unwrap_or_default();
        payload.clear();
        payload
    }

    /// Pulls no more; waits for what was pulled.
    fn stop_pulling(&mut self) {
        self.is_exhausted = true;
        self.deadline = None;
        self.submit_chunk();
    }

    /// How many items the next chunk should have.
    fn chunk_len(&self) -> usize {
        if let Some(size) = self.chunk_size {
            return size.max(1);
        }
        let settings = &self.shared.settings;
        let Some(pace) = self.batch.pace.item() else { return 1 };
        let by_time = (CHUNK_TIME.as_nanos() / pace.as_nanos().max(1)) as usize;
        let by_growth = (self.last_chunk * GROWTH).max(1);
        // Towards the end chunks shrink, so that all workers end together.
        let (least, most) = self.items.size_hint();
        let left = most.unwrap_or(least.max(usize::MAX / 2));
        let by_rest = left.div_ceil(2 * settings.workers);
        let by_recycling = settings.max_tasks_per_worker.map_or(usize::MAX, |max| max as usize);
        by_time.min(by_growth).min(by_rest).min(by_recycling).min(settings.max_items()).clamp(1, 1 << 16)
    }

    /// Runs everything and returns the results in order.
    pub fn collect_all(mut self) -> Result<Vec<R>, Error> {
        let mut results = Results::new(self.items.size_hint().0);
        loop {
            let events = match self.next_events(0, true) {
                Ok(events) if events.is_empty() => break,
                Ok(events) => events,
                Err(Halt::Ended(error) | Halt::Unrecorded(error)) => return Err(error),
                Err(Halt::Late) => {
                    self.cancel("the call ran out of time", true);
                    return Err(Error::new(ErrorKind::Timeout, "the call ran out of time"));
                }
            };
            events.into_iter().for_each(|event| results.add(event));
        }
        results.finish()
    }
}

/// Whether to look at the clock after so many items: soon, for an iterator may be slow, but not for each.
fn is_worth_a_look(count: u32) -> bool {
    count.is_power_of_two() || count > 0 && count.is_multiple_of(64)
}

impl<I: Iterator, R> Feed<I, R> {
    fn cancel(&self, reason: &str, kill: bool) {
        let mut core = self.shared.lock();
        core.cancel(&self.batch, reason, kill);
        core.hand_over();
        self.shared.release(core);
    }
}

impl<I: Iterator, R> Drop for Feed<I, R> {
    /// Gives up what has not begun (the caller's iterator or a result of its may have panicked), and leaves the lanes to
    /// others.
    fn drop(&mut self) {
        if self.received < self.pulled {
            self.cancel("its iterator was dropped", false);
        }
        let mut core = self.shared.lock();
        if let Some(context) = &self.batch.context {
            core.forget(context.id);
        }
        core.feeds -= 1;
        if core.stage == Stage::Closed {
            core.event.raise();
        }
        core.hand_over();
        self.shared.release(core);
    }
}

/// The outcomes of [`Pool::imap`](crate::Pool::imap) and [`Pool::imap_unordered`](crate::Pool::imap_unordered).
///
/// Items are pulled in the thread that iterates, a little ahead of what it takes. Dropping the iterator gives up what
/// has not begun; what runs then ends unheard.
///
/// When the pool ends or the call runs out of time, every item that was pulled still gets its outcome
/// ([`FailureKind::Cancelled`]), and no more are pulled.
pub struct Imap<I, R>
where
    I: Iterator,
    I::Item: Serialize + 'static,
    R: DeserializeOwned + 'static,
{
    feed: Feed<I, R>,
    held: Held<R>,
    is_over: bool,
}

impl<I, R> Imap<I, R>
where
    I: Iterator,
    I::Item: Serialize + 'static,
    R: DeserializeOwned + 'static,
{
    pub(crate) fn new(feed: Feed<I, R>, is_ordered: bool) -> Imap<I, R> {
        Imap { feed, held: Held::new(is_ordered), is_over: false }
    }
}

impl<I, R> Iterator for Imap<I, R>
where
    I: Iterator,
    I::Item: Serialize + 'static,
    R: DeserializeOwned + 'static,
{
    type Item = Outcome<R>;

    fn next(&mut self) -> Option<Outcome<R>> {
        loop {
            if let Some(outcome) = self.held.next() {
                return Some(outcome);
            }
            if self.is_over {
                return None;
            }
            self.feed.buffered = self.held.bytes();
            match self.feed.next_events(self.held.count(), false) {
                Ok(events) if events.is_empty() => self.is_over = true,
                Ok(events) => events.into_iter().for_each(|event| self.held.add(event)),
                Err(Halt::Ended(_)) if self.feed.is_exhausted => self.is_over = true,
                Err(halt) => {
                    // What runs when the journal fails has a result all the same.
                    let (reason, kill) = match halt {
                        Halt::Late => ("the call ran out of time".to_string(), true),
                        Halt::Ended(error) => (error.to_string(), true),
                        Halt::Unrecorded(error) => (error.to_string(), false),
                    };
                    self.feed.cancel(&reason, kill);
                    // Nothing more is pulled; what was has its outcome now, or will when its worker is dead.
                    self.feed.stop_pulling();
                }
            }
        }
    }
}
