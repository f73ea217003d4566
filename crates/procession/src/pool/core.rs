//! The heart of a pool: what waits, what runs where, and what to do when something ends. All under one lock of the
//! program; workers share nothing with each other but the bell that they ring.
//!
//! Here are tasks on their way in and results on their way out; `dispatch` decides what runs where, `workers` tends the
//! workers, `clock` does what is due.

mod clock;
mod dispatch;
mod gate;
mod watch;
mod workers;

pub(crate) use self::gate::Gate;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use procession_os::{Notifier, Poller, Segment};

use self::workers::may_retry;
use super::batch::{Batch, Chunk, Event, Hook};
use super::incoming::Parsed;
use super::settings::Settings;
use super::slot::{DoomReason, InFlight, Phase, Slot};
use super::stats::Counts;
use crate::lane::{POOL_BELL, POOL_BELL_BYTES};
use crate::outcome::Details;
use crate::ring::{Corrupt, mode};
use crate::supervisor::Lease;
use crate::wire::{self, Bytes, Fault};
use crate::{Failure, FailureKind, logging};

const SIGKILL: i32 = 9;

/// How often whoever waits looks by himself while several items travel in one chunk.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// How long one that waits leaves the lanes to another, or to the bell, without a sign of life.
pub(crate) const TAKE_OVER: Duration = Duration::from_millis(100);

/// Interests of the engine's poller.
pub(crate) const ON_LEASE: u64 = u64::MAX;
pub(crate) const ON_EVENT: u64 = u64::MAX - 1;
/// Beside the number of a worker: its socket, and not its standard error.
pub(crate) const ON_SOCKET: u64 = 1 << 62;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    /// Takes nothing new; finishes what it has.
    Closed,
    /// Finished or ended: all workers are told to go.
    Ending,
    /// Ended because it cannot go on.
    Broken(String),
}

/// What must not run under the lock.
pub(crate) enum Effect {
    Wake(Waker),
    Tell(Box<dyn FnOnce() + Send>),
    Call(Box<dyn FnOnce(Event) + Send>, Event),
}

pub(crate) struct Core {
    pub settings: Arc<Settings>,
    pub slots: Vec<Slot>,
    pub pending: VecDeque<Chunk>,
    /// Items to be tried again, and when.
    pub delayed: Vec<(Instant, Chunk)>,
    /// Items that were given to the pool and have no outcome yet.
    pub outstanding: u64,
    /// Their encoded size.
    pub bytes: usize,
    /// Calls that may still bring items.
    pub feeds: usize,
    /// The pool's owner waits for its end, so none of them can go on but one that he has left behind.
    pub is_joined: bool,
    pub stage: Stage,
    pub lease: Option<Lease>,
    pub poller: Arc<Poller>,
    pub bell: Arc<Segment>,
    pub bell_fd: std::os::fd::OwnedFd,
    /// By which the program wakes the engine. No worker has it: the lock is held when it is raised, and one that fills an
    /// event and makes it wait could hold that for ever.
    pub event: Arc<Notifier>,
    /// By which workers do.
    pub worker_event: Notifier,
    pub counts: Counts,
    /// Somebody sleeps on the bell and will look at the lanes next.
    pub is_driven: bool,
    /// How many sleep on the condition because somebody else drives.
    pub waiters: usize,
    /// Whether the engine looks at the clock by itself.
    pub is_ticking: bool,
    /// Somebody said that he comes back at once, so nobody is woken by workers.
    is_unattended: bool,
    next_worker_id: u64,
    failed_starts: u32,
    deaths: VecDeque<Instant>,
    /// When a task was started last, if some may have to wait for that.
    started_at: Option<Instant>,
    /// When one was ended last because memory was short.
    put_back_at: Option<Instant>,
    /// What workers wrote to their standard error, to be passed on by the engine.
    pub stderr: Vec<u8>,
    /// Log events of workers, with the process id of each.
    pub events: Vec<(u32, logging::Event)>,
    /// To be run once the lock is released.
    pub effects: Vec<Effect>,
    /// Somebody's batch has got events.
    pub has_news: bool,
}

impl Core {
    pub fn new(settings: Arc<Settings>, poller: Arc<Poller>) -> io::Result<Core> {
        let (bell, bell_fd) = Segment::create("procession-bell", POOL_BELL_BYTES)?;
        let event = Arc::new(Notifier::new()?);
        let worker_event = Notifier::new()?;
        poller.add(&*event, ON_EVENT)?;
        poller.add(&worker_event, ON_EVENT)?;
        Ok(Core {
            slots: (0..if settings.is_inline { 0 } else { settings.workers })
                .map(|_| Slot::new(settings.max_result_bytes))
                .collect::<io::Result<_>>()?,
            settings,
            pending: VecDeque::new(),
            delayed: Vec::new(),
            outstanding: 0,
            bytes: 0,
            feeds: 0,
            is_joined: false,
            stage: Stage::Open,
            lease: None,
            poller,
            bell: Arc::new(bell),
            bell_fd,
            event,
            worker_event,
            counts: Counts::default(),
            is_driven: false,
            waiters: 0,
            is_ticking: false,
            is_unattended: false,
            next_worker_id: 1,
            failed_starts: 0,
            deaths: VecDeque::new(),
            started_at: None,
            put_back_at: None,
            stderr: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
            has_news: false,
        })
    }

    /// Takes a chunk in, and starts it if there is room.
    pub fn submit(&mut self, chunk: Chunk) {
        self.outstanding += u64::from(chunk.count);
        self.bytes += chunk.range.len();
        self.pending.push_back(chunk);
        if self.needs_clock() && !self.is_ticking {
            self.is_ticking = true;
            self.event.raise();
        }
        self.dispatch(Instant::now());
    }

    fn needs_clock(&self) -> bool {
        self.settings.timeout.is_some() || self.settings.gate.is_set() || self.needs_watch()
    }

    /// Collects results, gives out what waits, evens out what is left.
    pub fn pump(&mut self) {
        let mut has_moved = false;
        let mut now = None;
        for at in 0..self.slots.len() {
            has_moved |= self.collect(at, &mut now);
            if self.settings.gate.memory_free_bytes.is_none() {
                self.slots[at].release_handles(self.settings.retries);
            }
        }
        if has_moved || !self.pending.is_empty() || self.slots.iter().any(Slot::is_sending) {
            let now = now.unwrap_or_else(Instant::now);
            for at in 0..self.slots.len() {
                if self.slots[at].is_sending() && self.slots[at].send_more().is_err() {
                    self.doom(at, DoomReason::Corrupt);
                }
            }
            self.dispatch(now);
        }
        self.even_out();
    }

    /// Takes what has come from one worker.
    fn collect(&mut self, at: usize, now: &mut Option<Instant>) -> bool {
        let mut has_moved = false;
        while !self.slots[at].is_broken {
            match self.slots[at].take() {
                Ok(Some(parsed)) => {
                    has_moved = true;
                    let now = *now.get_or_insert_with(Instant::now);
                    self.record(at, parsed, now);
                }
                Ok(None) => break,
                Err(Corrupt) => {
                    self.doom(at, DoomReason::Corrupt);
                    break;
                }
            }
        }
        let slot = &mut self.slots[at];
        if !slot.is_up && matches!(slot.phase, Phase::Starting | Phase::Stopping) && slot.lane.is_ready() {
            slot.is_up = true;
            if slot.phase == Phase::Starting {
                slot.phase = Phase::Running;
            }
            slot.progress_at = *now.get_or_insert_with(Instant::now);
            self.failed_starts = 0;
            self.lease.iter().for_each(Lease::set_served);
            has_moved = true;
        }
        has_moved
    }

    fn record(&mut self, at: usize, parsed: Parsed, now: Instant) {
        let slot = &mut self.slots[at];
        if let Parsed::NotReady(payload) = parsed {
            if slot.not_ready.is_some() || slot.is_up {
                return self.doom(at, DoomReason::Corrupt);
            }
            slot.not_ready = Some(match wire::decode::<Fault>(Bytes::Owned(payload)) {
                Ok(Fault::Failed(cause)) => format!("it could not be confined: {cause}"),
                Ok(fault) => format!("its initializer failed: {}", FailureKind::from(fault)),
                Err(e) => e,
            });
            return;
        }
        let Some(front) = slot.queue.front() else { return };
        let (batch, pid) = (Arc::clone(&front.chunk.batch), slot.pid());
        let (first, attempts) = (front.chunk.first + front.done as usize, front.chunk.attempts + 1);
        let count = if let Parsed::Run { count, .. } = &parsed { *count } else { 1 };
        let is_last = front.done + count >= front.chunk.count;
        let bytes = if is_last { front.chunk.range.len() } else { 0 };
        if let Parsed::Fault(payload) = &parsed
            && let Ok(Fault::Passing(_)) = wire::decode::<Fault>(Bytes::Borrowed(payload))
            && let Some(item) = slot.current_item()
            && may_retry(&item, &self.settings)
        {
            slot.acknowledge(1, now);
            self.bytes = (self.bytes + item.range.len()).saturating_sub(bytes);
            return self.retry(item, now);
        }
        let time = slot.acknowledge(count, now);
        let event = match parsed {
            Parsed::Run { records, .. } => Event::Run { first, count, attempts, elapsed: time / count.max(1), records },
            Parsed::Large(payload) => Event::Large { index: first, attempts, elapsed: time, payload },
            Parsed::Fault(payload) | Parsed::NotReady(payload) => {
                self.read_stderr(at);
                let kind = match wire::decode::<Fault>(Bytes::Owned(payload)) {
                    Ok(fault) => FailureKind::from(fault),
                    Err(message) => FailureKind::BadResult { message },
                };
                Event::Failed(Failure::new(Details {
                    kind,
                    index: first,
                    attempts,
                    worker_pid: Some(pid),
                    elapsed: time,
                    peak_rss_bytes: procession_os::process_usage(pid as i32).map(|u| u.peak_rss_bytes),
                    stderr_tail: self.slots[at].stderr_text(),
                }))
            }
        };
        batch.pace.observe(count, time);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.deliver(&batch, event, u64::from(count));
    }

    /// `count` items have got their outcome.
    fn deliver(&mut self, batch: &Arc<Batch>, event: Event, count: u64) {
        self.outstanding = self.outstanding.saturating_sub(count);
        if self.outstanding == 0 && self.stage == Stage::Closed {
            // The engine may sleep, and it is for it to end the workers.
            self.event.raise();
        }
        self.counts.add(&event, count);
        self.has_news = true;
        let mut state = batch.state();
        state.bytes += event.len();
        self.effects.extend(state.hooks.drain(..).map(|hook| match hook {
            Hook::Wake(waker) => Effect::Wake(waker),
            Hook::Tell(f) => Effect::Tell(f),
            Hook::Call(f) => Effect::Call(f, event.clone()),
        }));
        state.events.push(event);
    }

    /// An outcome that no worker was needed for.
    pub fn deliver_local(&mut self, batch: &Arc<Batch>, event: Event) {
        self.outstanding += 1;
        self.deliver(batch, event, 1);
    }

    fn deliver_failures(&mut self, chunk: &Chunk, kind: &FailureKind) {
        self.bytes = self.bytes.saturating_sub(chunk.range.len());
        for event in chunk.fail(kind) {
            self.deliver(&chunk.batch, event, 1);
        }
    }

    /// Whether there is anything for [`Core::pump`] to do.
    pub fn has_work(&mut self) -> bool {
        self.slots.iter_mut().any(|s| s.can_move() || s.phase == Phase::Starting && s.lane.is_ready())
    }

    /// Ends everything that has no outcome yet with the same failure.
    pub fn fail_all(&mut self, reason: &str) {
        let kind = FailureKind::Cancelled { reason: reason.to_string() };
        let mut chunks: Vec<Chunk> = self.pending.drain(..).collect();
        chunks.extend(self.delayed.drain(..).map(|(_, chunk)| chunk));
        for slot in &mut self.slots {
            for InFlight { mut chunk, done, .. } in slot.queue.drain(..) {
                self.bytes = self.bytes.saturating_sub(chunk.split_front(done).range.len());
                chunks.push(chunk);
            }
        }
        for chunk in &chunks {
            self.deliver_failures(chunk, &kind);
        }
    }

    /// Nobody needs the context any more.
    pub fn forget(&mut self, context: u64) {
        for at in 0..self.slots.len() {
            if self.slots[at].forget(context).is_err() {
                self.doom(at, DoomReason::Corrupt);
            }
        }
    }

    /// Leaves the lanes to the engine until somebody drives again.
    pub fn hand_over(&mut self) {
        if self.is_driven {
            return;
        }
        if self.outstanding == 0 && !self.slots.iter().any(Slot::is_sending) {
            POOL_BELL.awake(&*self.bell);
            return;
        }
        POOL_BELL.prepare(&*self.bell, mode::EVENT);
        if self.has_work() {
            self.event.raise();
        }
    }

    /// Leaves the lanes to nobody, for a caller that comes back at once. Should it be held up, by its iterator say, then
    /// the engine steps in.
    pub fn leave_unattended(&mut self) {
        if !self.is_unattended && self.outstanding > 0 {
            self.is_unattended = true;
            self.event.raise();
        }
    }

    /// Whether all is done that a closed pool has to do.
    pub fn is_finished(&self) -> bool {
        match &self.stage {
            Stage::Open => false,
            Stage::Closed => self.outstanding == 0 && (self.feeds == 0 || self.is_joined),
            Stage::Ending | Stage::Broken(_) => true,
        }
    }
}
