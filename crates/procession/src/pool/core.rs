//! The heart of a pool: what waits, what runs where, and what to do when something ends. All under one lock of the
//! program; workers share nothing with each other but the bell that they ring.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use procession_os::{Notifier, Poller, Segment};

use super::batch::{Batch, Chunk, Event, Hook};
use super::settings::Settings;
use super::slot::{Doom, DoomReason, InFlight, Parsed, Phase, Slot};
use super::stats::Counts;
use crate::lane::{POOL_BELL, POOL_BELL_BYTES};
use crate::outcome::Details;
use crate::ring::{Corrupt, mode};
use crate::supervisor::{self, End, Lease, Notice, Request, Role};
use crate::wire::{self, Bytes, Fault, Frame, FrameKind};
use crate::{Failure, FailureKind, error};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// A worker may have this much work waiting behind the chunk that it runs, so that it need not wait for us.
const AHEAD: Duration = Duration::from_millis(4);
/// One more item may wait even if it takes this long.
const AHEAD_ONE: Duration = Duration::from_millis(50);
/// Frames that may wait in a lane.
const AHEAD_FRAMES: usize = 64;
/// Work worth taking back from a worker to give it to an idle one.
const WORTH_TAKING: Duration = Duration::from_micros(200);
/// How often whoever waits looks by himself while several items travel in one chunk.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// How long one that waits leaves the lanes to another, or to the bell, without a sign of life.
pub(crate) const TAKE_OVER: Duration = Duration::from_millis(100);
/// Workers that may end before their first task, one after the other, before the pool gives up.
const MAX_FAILED_STARTS: u32 = 5;

/// How long to wait before another try to start a worker for which the system had no room, while there are others.
const LACK_PAUSE: Duration = Duration::from_secs(1);

/// How long a worker may keep an item waiting, at least, before it counts as standing still: a busy machine has it wait,
/// too.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Workers that may be asked for at once.
const MAX_ASKED: usize = 32;

/// How long the way to `init` may take in a new process.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// Interests of the engine's poller.
pub(crate) const ON_LEASE: u64 = u64::MAX;
pub(crate) const ON_EVENT: u64 = u64::MAX - 1;

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
    pub event: Arc<Notifier>,
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
    /// What workers wrote to their standard error, to be passed on by the engine.
    pub stderr: Vec<u8>,
    /// To be run once the lock is released.
    pub effects: Vec<Effect>,
    /// Somebody's batch has got events.
    pub has_news: bool,
}

impl Core {
    pub fn new(settings: Arc<Settings>, poller: Arc<Poller>) -> io::Result<Core> {
        let (bell, bell_fd) = Segment::create("procession-bell", POOL_BELL_BYTES)?;
        let event = Arc::new(Notifier::new()?);
        poller.add(&*event, ON_EVENT)?;
        Ok(Core {
            slots: (0..if settings.is_inline { 0 } else { settings.workers })
                .map(|_| Slot::new())
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
            counts: Counts::default(),
            is_driven: false,
            waiters: 0,
            is_ticking: false,
            is_unattended: false,
            next_worker_id: 1,
            failed_starts: 0,
            deaths: VecDeque::new(),
            stderr: Vec::new(),
            effects: Vec::new(),
            has_news: false,
        })
    }

    // ---------------------------------------------------------------- tasks in, results out

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
        self.settings.timeout.is_some()
    }

    /// Collects results, gives out what waits, evens out what is left.
    pub fn pump(&mut self) {
        let mut has_moved = false;
        let mut now = None;
        for at in 0..self.slots.len() {
            has_moved |= self.collect(at, &mut now);
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
                Ok(fault) => failure_kind(fault).to_string(),
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
        let time = slot.acknowledge(count, now);
        let event = match parsed {
            Parsed::Run { records, .. } => Event::Run { first, count, attempts, records },
            Parsed::Large(payload) => Event::Large { index: first, attempts, payload },
            Parsed::Fault(payload) | Parsed::NotReady(payload) => {
                self.read_stderr(at);
                let kind = match wire::decode::<Fault>(Bytes::Owned(payload)) {
                    Ok(fault) => failure_kind(fault),
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

    /// Gives what waits to workers with room.
    fn dispatch(&mut self, now: Instant) {
        while let Some(chunk) = self.pending.front() {
            let cancelled = chunk.batch.state().cancelled.clone();
            if let Some(reason) = cancelled {
                if let Some(chunk) = self.pending.pop_front() {
                    self.deliver_failures(&chunk, &FailureKind::Cancelled { reason });
                }
                continue;
            }
            let Some(at) = self.best_slot(chunk) else { break };
            let Some(mut chunk) = self.pending.pop_front() else { break };
            if let Some(max) = self.settings.max_tasks_per_worker {
                let left = max.saturating_sub(self.slots[at].given).max(1);
                if u64::from(chunk.count) > left {
                    let front = chunk.split_front(left as u32);
                    self.pending.push_front(std::mem::replace(&mut chunk, front));
                }
            }
            if self.slots[at].give(chunk, now).is_err() {
                self.doom(at, DoomReason::Corrupt);
                continue;
            }
            let slot = &mut self.slots[at];
            if self.settings.max_tasks_per_worker.is_some_and(|max| slot.given >= max) {
                slot.phase = Phase::Stopping;
                if slot.send_plain(Frame::plain(FrameKind::Stop)).is_err() {
                    self.doom(at, DoomReason::Corrupt);
                }
            }
        }
    }

    /// The slot that should have the chunk next: an idle one, or else one whose worker will need it soonest.
    fn best_slot(&self, chunk: &Chunk) -> Option<usize> {
        let (time, mut best) = (chunk.time(), None);
        for (at, slot) in self.slots.iter().enumerate() {
            if !self.has_room(slot, time) {
                continue;
            }
            if slot.queue.is_empty() && slot.phase == Phase::Running {
                return Some(at);
            }
            let load = (slot.queue.len(), slot.phase == Phase::Starting);
            if best.is_none_or(|(_, least)| load < least) {
                best = Some((at, load));
            }
        }
        best.map(|(at, _)| at)
    }

    /// Whether a worker should have something more, that takes so long.
    fn has_room(&self, slot: &Slot, time: Option<Duration>) -> bool {
        if !matches!(slot.phase, Phase::Running | Phase::Starting) || slot.is_sending() {
            return false;
        }
        match slot.queue.len() {
            0 => true,
            _ if slot.phase == Phase::Starting || slot.lane.claimed().1 => false,
            1 => slot.time_left().is_some_and(|left| left < AHEAD_ONE) && time.is_some_and(|t| t < AHEAD_ONE),
            n => n < AHEAD_FRAMES && slot.time_left().is_some_and(|left| left < AHEAD),
        }
    }

    /// How many more chunks of a batch could be given out at once.
    pub fn appetite(&self, pace: Option<Duration>) -> usize {
        self.slots.iter().filter(|slot| self.has_room(slot, pace)).count().saturating_sub(self.pending.len())
    }

    /// Takes work back from busy workers if others have nothing to do.
    fn even_out(&mut self) {
        if !self.pending.is_empty() || self.outstanding == 0 {
            return;
        }
        let idle = self.slots.iter().filter(|s| s.phase == Phase::Running && s.queue.is_empty()).count();
        if idle == 0 {
            return;
        }
        let now = Instant::now();
        let worth = |slot: &Slot| {
            if !matches!(slot.phase, Phase::Running | Phase::Starting) || slot.is_sending() {
                return None;
            }
            // One that has taken what it got, and is about to begin it, is not to be given it again and again.
            if slot.phase == Phase::Running && !slot.has_begun() {
                return None;
            }
            let waiting = slot.not_begun().filter(|&n| n > 0)?;
            let pace = slot.queue.back()?.chunk.batch.pace.item()?;
            let is_stuck = now.saturating_duration_since(slot.progress_at) > TICK;
            let time = pace.saturating_mul(waiting.try_into().unwrap_or(u32::MAX));
            (is_stuck || time > WORTH_TAKING).then_some(time)
        };
        let Some((_, at)) = self.slots.iter().enumerate().filter_map(|(at, s)| Some((worth(s)?, at))).max() else {
            return;
        };
        let mut back = self.slots[at].revoke();
        if self.slots[at].resume().is_err() {
            self.doom(at, DoomReason::Corrupt);
        }
        // Its owner takes part in what is given out anew.
        if let [whole] = back.as_mut_slice()
            && whole.count > 1
        {
            let share = whole.count.div_ceil(idle as u32 + 1);
            let mut parts = Vec::new();
            while whole.count > share {
                parts.push(whole.split_front(share));
            }
            parts.append(&mut back);
            back = parts;
        }
        self.put_back(at, back);
        self.dispatch(now);
    }

    /// Whether there is anything for [`Core::pump`] to do.
    pub fn has_work(&mut self) -> bool {
        self.slots.iter_mut().any(|s| s.can_move() || s.phase == Phase::Starting && s.lane.is_ready())
    }

    /// How long somebody who waits may sleep before he looks by himself.
    pub fn tick(&self) -> Option<Duration> {
        let is_idle = |s: &Slot| s.phase == Phase::Running && s.queue.is_empty();
        let has_several = |s: &Slot| s.queue.iter().any(|f| f.chunk.count - f.done > 1);
        // Work that waits behind a slow item is taken back by whoever looks.
        let may_even_out = self.slots.iter().any(is_idle) && self.slots.iter().any(|s| s.queue.len() > 1);
        (may_even_out || self.slots.iter().any(has_several)).then_some(TICK)
    }

    // ---------------------------------------------------------------- cancelling

    /// Drops what has not begun of a batch; with `kill` also ends the workers that run an item of it.
    pub fn cancel(&mut self, batch: &Arc<Batch>, reason: &str, kill: bool) {
        batch.state().cancelled = Some(reason.to_string());
        let kind = FailureKind::Cancelled { reason: reason.to_string() };
        let is_of = |chunk: &Chunk| Arc::ptr_eq(&chunk.batch, batch);
        let mut dropped = Vec::new();
        self.pending.retain(|chunk| {
            !is_of(chunk) || {
                dropped.push(chunk.clone());
                false
            }
        });
        self.delayed.retain(|(_, chunk)| {
            !is_of(chunk) || {
                dropped.push(chunk.clone());
                false
            }
        });
        for at in 0..self.slots.len() {
            self.collect(at, &mut None);
            let slot = &mut self.slots[at];
            if !matches!(slot.phase, Phase::Running | Phase::Starting | Phase::Stopping)
                || !slot.queue.iter().any(|f| is_of(&f.chunk))
            {
                continue;
            }
            let runs_it = slot.queue.front().is_some_and(|f| is_of(&f.chunk));
            if slot.lane.claimed().1 {
                // Being told to resume: what it has stays with it.
                if kill && runs_it {
                    self.doom(at, DoomReason::Cancelled(reason.to_string()));
                }
                continue;
            }
            let back = slot.revoke();
            let still_runs = slot.queue.front().is_some_and(|f| is_of(&f.chunk));
            for chunk in back.into_iter().rev() {
                if is_of(&chunk) { dropped.push(chunk) } else { self.pending.push_front(chunk) }
            }
            self.settle(at);
            if kill && still_runs {
                self.doom(at, DoomReason::Cancelled(reason.to_string()));
            } else if self.slots[at].phase != Phase::Stopping && self.slots[at].resume().is_err() {
                self.doom(at, DoomReason::Corrupt);
            }
        }
        for chunk in dropped {
            self.deliver_failures(&chunk, &kind);
        }
        self.dispatch(Instant::now());
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

    // ---------------------------------------------------------------- workers

    /// Starts a worker in every empty slot whose time has come.
    pub fn start_workers(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Ending | Stage::Broken(_)) {
            return;
        }
        // More could fill both directions of the lease with messages that neither side comes to read.
        let is_asked = |slot: &&Slot| slot.phase == Phase::Starting && slot.pid == 0;
        let mut may_ask = MAX_ASKED.saturating_sub(self.slots.iter().filter(is_asked).count());
        for at in 0..self.slots.len() {
            let is_due = matches!(self.slots[at].phase, Phase::Empty(when) if when <= now);
            if is_due && may_ask == 0 {
                break;
            }
            may_ask -= usize::from(is_due);
            if is_due && let Err(e) = self.start_worker(at) {
                self.not_started(at, &error::describe(&e));
            }
            // There may be room now for what somebody waits to hand over.
            self.has_news |= self.slots[at].phase == Phase::Starting;
        }
        self.dispatch(now);
    }

    fn start_worker(&mut self, at: usize) -> io::Result<()> {
        let lease = match &self.lease {
            Some(lease) => lease,
            None => {
                let lease = Lease::open()?;
                self.poller.add(&lease, ON_LEASE)?;
                self.lease.insert(lease)
            }
        };
        let slot = &mut self.slots[at];
        slot.renew();
        slot.worker_id = self.next_worker_id;
        self.next_worker_id += 1;
        let (stderr, stderr_end) = io::pipe()?;
        procession_os::set_nonblocking(&stderr)?;
        self.poller.add(&stderr, slot.worker_id)?;
        slot.stderr = Some(stderr);
        let first = match &self.settings.initializer {
            Some(init) => {
                let frame =
                    Frame { call: init.call, len: init.argument.len() as u64, ..Frame::plain(FrameKind::Initialize) };
                slot.send(frame, Arc::clone(&init.argument), 0..init.argument.len())
            }
            None => slot.send_plain(Frame::plain(FrameKind::Begin)),
        };
        first.map_err(|Corrupt| io::Error::other("its memory was changed while it had none"))?;
        let request = Request::Start {
            id: slot.worker_id,
            name: format!("{}-{at}", self.settings.name),
            method: self.settings.method,
            role: Role::PoolWorker,
        };
        let fds = [slot.lane_fd(), self.bell_fd.as_fd(), self.event.as_fd(), stderr_end.as_fd()];
        slot.phase = match lease.send(&request, &fds) {
            Ok(()) => Phase::Starting,
            // The supervisor is gone. We will be told, and open another lease.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Phase::Empty(Instant::now() + TICK),
            Err(e) => return Err(e),
        };
        Ok(())
    }

    /// What arrived from the supervisor.
    pub fn on_lease_event(&mut self, event: supervisor::Event) {
        match event {
            supervisor::Event::Notice(Notice::Started { id, pid }, pidfd) => {
                if let Some(slot) = self.slots.iter_mut().find(|s| s.worker_id == id) {
                    (slot.pid, slot.pidfd) = (pid as u32, pidfd);
                }
            }
            supervisor::Event::Notice(Notice::NotStarted { id, cause }, _) => {
                if let Some(at) = self.slots.iter().position(|s| s.worker_id == id) {
                    let back = self.slots[at].withdraw(0);
                    self.put_back(at, back);
                    self.not_started(at, &cause);
                }
            }
            supervisor::Event::Notice(Notice::Exited { id, end }, _) => {
                if let Some(at) = self.slots.iter().position(|s| s.worker_id == id) {
                    self.worker_ended(at, Some(end));
                }
            }
            supervisor::Event::Lost => self.supervisor_lost(),
        }
    }

    /// The supervisor died, and so its workers do; a new one is started with the next worker.
    fn supervisor_lost(&mut self) {
        let lease = self.lease.take();
        lease.iter().for_each(|lease| self.poller.remove(lease));
        let has_worker = |slot: &Slot| !matches!(slot.phase, Phase::Empty(_) | Phase::Gone);
        let lost: Vec<usize> = (0..self.slots.len()).filter(|&at| has_worker(&self.slots[at])).collect();
        // All of them are dead before anything is given out anew.
        for &at in &lost {
            match &self.slots[at].pidfd {
                Some(pidfd) => {
                    procession_os::kill_pidfd(pidfd.as_fd());
                    let _ = procession_os::readable(pidfd, None);
                }
                // It may run still, where nobody can see it. It begins nothing more, and its memory is not used again.
                None => {
                    let begun = self.slots[at].lane.revoke();
                    self.collect(at, &mut None);
                    if let (Ok(fresh), old) = (Slot::new(), &mut self.slots[at]) {
                        (old.lane, old.lane_fd) = (fresh.lane, fresh.lane_fd);
                        old.lane.resume(begun);
                    }
                }
            }
        }
        for at in lost {
            self.worker_ended(at, None);
        }
        if !lease.is_some_and(|lease| lease.has_served()) && !matches!(self.stage, Stage::Ending | Stage::Broken(_)) {
            self.count_failed_start(&Lease::describe_lost_supervisor());
        }
    }

    /// A worker is dead: as the supervisor says, or (None) with the supervisor.
    fn worker_ended(&mut self, at: usize, told: Option<End>) {
        let end = told.unwrap_or(End { status: SIGKILL, peak_rss_bytes: 0, cpu: Duration::ZERO });
        let now = Instant::now();
        self.collect(at, &mut Some(now));
        self.read_stderr(at);
        if let Some(pipe) = self.slots[at].stderr.take() {
            self.poller.remove(&pipe);
        }
        self.counts.ended_cpu += end.cpu;
        self.counts.ended_peak_rss_bytes = self.counts.ended_peak_rss_bytes.max(end.peak_rss_bytes);
        let slot = &mut self.slots[at];
        let was_ready = slot.lane.is_ready();
        let was_told = slot.doom.as_ref().is_some_and(|doom| !matches!(doom.reason, DoomReason::Corrupt))
            || slot.phase == Phase::Stopping && slot.queue.is_empty();
        let begun = slot.lane.claimed().0.clamp(slot.acked_seq, slot.acked_seq + 1);
        let back = slot.withdraw(begun);
        let is_meant = slot.doom.as_ref().is_none_or(|doom| doom.seq == slot.acked_seq);
        // What is left in the queue is the one item that ran.
        let running = slot.queue.pop_front().map(|mut f| {
            slot.bytes_done += f.chunk.split_front(f.done).range.len();
            f.chunk
        });
        self.put_back(at, back);
        match running {
            Some(chunk) if is_meant => self.lost_task(at, chunk, end, now),
            // It began in the moment in which its worker was killed for the task before.
            Some(chunk) => self.pending.push_front(chunk),
            None => {}
        }
        if was_ready {
            self.failed_starts = 0;
        } else if told.is_some() && self.slots[at].doom.is_none() {
            let slot = &self.slots[at];
            let status = describe(end);
            let cause = match (&slot.not_ready, slot.stderr_text().trim()) {
                (Some(fault), _) => format!("its initializer failed: {fault}"),
                (None, "") => format!("it ended before its first task ({status})"),
                (None, stderr) => format!("it ended before its first task ({status}), and said: {stderr}"),
            };
            self.start_failed(at, &cause);
            return;
        }
        self.slots[at].phase = if self.stage == Stage::Ending { Phase::Gone } else { Phase::Empty(now) };
        if !was_told {
            self.death(now);
        }
        self.start_workers(now);
    }

    /// A worker ended in the middle of a task.
    fn lost_task(&mut self, at: usize, mut chunk: Chunk, end: End, now: Instant) {
        let slot = &self.slots[at];
        let kind = match slot.doom.as_ref().map(|d| &d.reason) {
            Some(DoomReason::TimedOut(limit)) => FailureKind::TimedOut { limit: *limit },
            Some(DoomReason::Cancelled(reason)) => FailureKind::Cancelled { reason: reason.clone() },
            _ => {
                use std::os::unix::process::ExitStatusExt;
                let status = end.exit_status();
                FailureKind::Crashed {
                    exit_code: status.code(),
                    signal: status.signal(),
                    core_dumped: status.core_dumped(),
                }
            }
        };
        chunk.attempts += 1;
        let may_retry = chunk.attempts <= self.settings.retries && !chunk.batch.is_cancelled();
        if may_retry && !matches!(kind, FailureKind::Cancelled { .. }) {
            self.counts.retried += 1;
            let wait = self.settings.backoff.saturating_mul(1 << (chunk.attempts - 1).min(16));
            self.delayed.push((now + wait.min(self.settings.max_backoff), chunk));
            return;
        }
        let failure = Failure::new(Details {
            kind,
            index: chunk.first,
            attempts: chunk.attempts,
            worker_pid: Some(slot.pid()).filter(|&pid| pid > 0),
            elapsed: now.saturating_duration_since(slot.progress_at),
            peak_rss_bytes: Some(end.peak_rss_bytes).filter(|&b| b > 0),
            stderr_tail: slot.stderr_text(),
        });
        self.bytes = self.bytes.saturating_sub(chunk.range.len());
        self.deliver(&chunk.batch, Event::Failed(failure), 1);
    }

    /// Puts what was taken back from a slot in front of what waits.
    fn put_back(&mut self, at: usize, chunks: Vec<Chunk>) {
        for chunk in chunks.into_iter().rev() {
            self.pending.push_front(chunk);
        }
        self.settle(at);
    }

    /// The items that a slot has answered are no longer on their way.
    fn settle(&mut self, at: usize) {
        self.bytes = self.bytes.saturating_sub(std::mem::take(&mut self.slots[at].bytes_done));
    }

    /// There was no descriptor, memory or process for a worker: the pool makes do with the others, if it has any.
    fn not_started(&mut self, at: usize, cause: &str) {
        let lives = |slot: &Slot| matches!(slot.phase, Phase::Running | Phase::Starting);
        let has_others = self.slots.iter().enumerate().any(|(other, slot)| other != at && lives(slot));
        if has_others && self.stage != Stage::Ending {
            self.slots[at].phase = Phase::Empty(Instant::now() + LACK_PAUSE);
        } else {
            self.start_failed(at, cause);
        }
    }

    /// A worker has ended before its first task, or none can be started.
    fn start_failed(&mut self, at: usize, cause: &str) {
        let wait = Duration::from_millis(10) * (2 << self.failed_starts.min(5));
        self.slots[at].phase =
            if self.stage == Stage::Ending { Phase::Gone } else { Phase::Empty(Instant::now() + wait) };
        self.count_failed_start(cause);
    }

    fn count_failed_start(&mut self, cause: &str) {
        if matches!(self.stage, Stage::Ending | Stage::Broken(_)) {
            return;
        }
        self.failed_starts += 1;
        let is_served = self.slots.iter().any(|s| s.phase == Phase::Running);
        if self.failed_starts >= MAX_FAILED_STARTS && !is_served {
            self.give_up(format!("failed to start a worker {} times in a row: {cause}", self.failed_starts));
        }
    }

    /// A worker died that should not have.
    fn death(&mut self, now: Instant) {
        let Some((max, period)) = self.settings.restart_intensity else { return };
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|&t| now.saturating_duration_since(t) > period) {
            self.deaths.pop_front();
        }
        if self.deaths.len() > max as usize {
            self.give_up(format!("more than {max} workers died within {period:?}"));
        }
    }

    fn give_up(&mut self, why: String) {
        self.fail_all(&why);
        self.stage = Stage::Broken(why);
        self.has_news = true;
        if let Some(lease) = &self.lease {
            lease.finish();
        }
    }

    /// Ends the worker of a slot, and nothing that it has not begun. The item that runs gets `reason`.
    pub fn doom(&mut self, at: usize, reason: DoomReason) {
        let is_corrupt = matches!(reason, DoomReason::Corrupt);
        let slot = &mut self.slots[at];
        if slot.is_broken || matches!(slot.phase, Phase::Empty(_) | Phase::Gone) {
            return;
        }
        slot.is_broken = is_corrupt;
        if let Some(doom) = &mut slot.doom {
            // The reason that it has stays; the grace ends.
            if is_corrupt {
                doom.kill_at = None;
                let id = slot.worker_id;
                self.signal(at, id, SIGKILL);
            }
            return;
        }
        slot.phase = Phase::Doomed;
        slot.lane.revoke();
        let grace = if is_corrupt { Duration::ZERO } else { self.settings.grace };
        slot.doom = Some(Doom { reason, seq: slot.acked_seq, kill_at: Some(Instant::now() + grace) });
        let signal = if grace.is_zero() { SIGKILL } else { SIGTERM };
        let id = slot.worker_id;
        self.signal(at, id, signal);
        self.event.raise();
    }

    fn signal(&mut self, at: usize, id: u64, signal: i32) {
        let sent = self.lease.as_ref().is_some_and(|l| l.send(&Request::Signal { id, signal }, &[]).is_ok());
        if let (false, Some(pidfd)) = (sent, &self.slots[at].pidfd) {
            procession_os::kill_pidfd(pidfd.as_fd());
        }
    }

    /// Does what is due, and tells when to look again.
    pub fn on_clock(&mut self, now: Instant) -> Option<Duration> {
        let mut next: Option<Instant> = None;
        let mut at_latest = |when: Instant| next = Some(next.map_or(when, |n| n.min(when)));
        // Retries.
        let (due, later) = std::mem::take(&mut self.delayed).into_iter().partition(|(when, _)| *when <= now);
        self.delayed = later;
        let due: Vec<(Instant, Chunk)> = due;
        self.pending.extend(due.into_iter().map(|(_, chunk)| chunk));
        self.delayed.iter().for_each(|(when, _)| at_latest(*when));
        // Tasks that take too long.
        if let Some(limit) = self.settings.timeout {
            for at in 0..self.slots.len() {
                self.collect(at, &mut None);
                let slot = &mut self.slots[at];
                if slot.queue.is_empty() || !matches!(slot.phase, Phase::Running | Phase::Stopping) {
                    continue;
                }
                let is_running = slot.watch_progress(now);
                let ends = slot.progress_at + if is_running { limit } else { limit.max(STANDSTILL) };
                if ends <= now { self.time_out(at, limit, now) } else { at_latest(ends.min(now + limit / 4)) }
            }
            self.is_ticking = self.outstanding > 0;
            if self.is_ticking {
                at_latest(now + (limit / 4).clamp(Duration::from_millis(1), Duration::from_millis(100)));
            }
        }
        // Workers that did not end when asked to.
        for at in 0..self.slots.len() {
            let Some(Doom { kill_at, .. }) = &mut self.slots[at].doom else { continue };
            match *kill_at {
                Some(when) if when <= now => {
                    *kill_at = None;
                    let id = self.slots[at].worker_id;
                    self.signal(at, id, SIGKILL);
                }
                Some(when) => at_latest(when),
                None => {}
            }
        }
        self.start_workers(now);
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            match slot.phase {
                Phase::Empty(when) => at_latest(when.max(now + Duration::from_millis(1))),
                Phase::Starting if !slot.lane.has_arrived() => {
                    let limit = slot.asked_at + ARRIVAL_LIMIT;
                    if limit <= now { self.never_arrived(at) } else { at_latest(limit) }
                }
                _ => {}
            }
        }
        let due = next.map(|when| when.saturating_duration_since(now));
        self.is_unattended &= self.outstanding > 0;
        let tick = match self.is_driven || self.outstanding == 0 {
            _ if self.is_unattended => Some(TICK),
            true => None,
            // A worker may write what it likes beside the bell: the engine does not rely on it for good.
            false => Some(self.tick().unwrap_or(TAKE_OVER)),
        };
        due.into_iter().chain(tick).min()
    }

    /// A new process did not get as far as `init`.
    fn never_arrived(&mut self, at: usize) {
        let is_supervisor = self.slots[at].pid == 0;
        let what = if is_supervisor { "the supervisor" } else { "a worker" };
        self.give_up(format!(
            "failed to start a worker: {what} did not reach procession::init() within {ARRIVAL_LIMIT:?}; is it the first \
             call in main?"
        ));
        if is_supervisor {
            Lease::kill_supervisor();
        }
    }

    /// A worker has been at its item for too long, or, if that is not begun, at doing nothing: it stands still.
    fn time_out(&mut self, at: usize, limit: Duration, now: Instant) {
        let slot = &mut self.slots[at];
        let (begun, is_revoked) = slot.lane.claimed();
        let had_begun = begun > slot.acked_seq;
        // If it is revoked then what it had not begun was taken back before.
        if !is_revoked {
            let back = slot.revoke();
            if !had_begun && !slot.queue.is_empty() {
                // It has begun in this very moment.
                slot.progress_at = now;
                self.put_back(at, back);
                if self.slots[at].resume().is_err() {
                    self.doom(at, DoomReason::Corrupt);
                }
                return;
            }
            self.put_back(at, back);
        }
        self.doom(at, DoomReason::TimedOut(limit));
        if let (false, Some(doom)) = (had_begun, &mut self.slots[at].doom) {
            // It is meant for no item.
            doom.seq = u64::MAX;
        }
    }

    /// Passes on what a worker wrote to its standard error.
    pub fn read_stderr(&mut self, at: usize) {
        let mut text = Vec::new();
        let is_open = self.slots[at].read_stderr(&mut text);
        if !is_open && let Some(pipe) = self.slots[at].stderr.take() {
            self.poller.remove(&pipe);
        }
        self.stderr.append(&mut text);
    }

    // ---------------------------------------------------------------- sleeping

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

pub(crate) fn failure_kind(fault: Fault) -> FailureKind {
    match fault {
        Fault::Failed(message) => FailureKind::Failed { message },
        Fault::Panicked { message, location, backtrace } => FailureKind::Panicked { message, location, backtrace },
        Fault::BadArgument(message) => FailureKind::BadArgument { message },
        Fault::BadResult(message) => FailureKind::BadResult { message },
    }
}

fn describe(end: End) -> String {
    use std::os::unix::process::ExitStatusExt;
    let status = end.exit_status();
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}, {}", crate::outcome::signal_name(signal)),
        _ => "no status".to_string(),
    }
}
