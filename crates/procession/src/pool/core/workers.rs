//! The lives of workers: how they start, how they are ended, and what becomes of what they had.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession_os::{Channel, Received};

use super::{Core, ON_LEASE, ON_SOCKET, SIGKILL, Stage, TICK};
use crate::outcome::Details;
use crate::pool::batch::{Chunk, Event, all_of};
use crate::pool::settings::Settings;
use crate::pool::slot::{Doom, DoomReason, Phase, Slot};
use crate::ring::Corrupt;
use crate::supervisor::{self, End, Lease, Notice, Request, Role};
use crate::wire::{Frame, FrameKind};
use crate::{Clock, Failure, FailureKind, MemoryGuard, error, logging};

const SIGABRT: i32 = 6;
const SIGTERM: i32 = 15;
/// Workers that may end before their first task, one after the other, before the pool gives up.
const MAX_FAILED_STARTS: u32 = 5;
/// How long to wait before another try to start a worker for which the system had no room, while there are others.
const LACK_PAUSE: Duration = Duration::from_secs(1);
/// Workers that may end or stand still before the same item, one after the other, without having begun it.
const MAX_UNBEGUN: u8 = 10;
/// Workers that may be asked for at once.
const MAX_ASKED: usize = 32;

impl Core {
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

    pub(super) fn start_worker(&mut self, at: usize) -> io::Result<()> {
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
        let (channel, channel_end) = Channel::pair()?;
        let wanted = logging::wanted();
        if wanted > 0 {
            self.poller.add(&channel, ON_SOCKET | slot.worker_id)?;
        }
        slot.lane.set_wanted_events(wanted);
        slot.channel = Some(channel);
        let (stderr, stderr_end) = io::pipe()?;
        procession_os::set_nonblocking(&stderr)?;
        self.poller.add(&stderr, slot.worker_id)?;
        slot.stderr = Some(stderr);
        let confinement = self.settings.confinement.to_bytes()?;
        let len = confinement.len();
        let confine = Frame { len: len as u64, ..Frame::plain(FrameKind::Confine) };
        let first = slot.send(confine, Arc::new(confinement), 0..len);
        let second = match &self.settings.initializer {
            Some(init) => {
                let beside = all_of(&init.handles);
                slot.send_handles(beside)?;
                let frame = Frame {
                    call: init.call,
                    len: init.argument.len() as u64,
                    handles: beside.count(),
                    ..Frame::plain(FrameKind::Initialize)
                };
                slot.send(frame, Arc::clone(&init.argument), 0..init.argument.len())
            }
            None => slot.send_plain(Frame::plain(FrameKind::Begin)),
        };
        let sent = first.and(second);
        sent.map_err(|Corrupt| io::Error::other("its memory was changed while it had none"))?;
        let request = Request::Start {
            id: slot.worker_id,
            name: format!("{}-{at}", self.settings.name),
            method: self.settings.method,
            role: Role::PoolWorker,
            memory_bytes: match self.settings.memory_guard {
                Some(MemoryGuard::CgroupV1 | MemoryGuard::CgroupV2) => self.settings.confinement.limits.memory_bytes,
                _ => None,
            },
        };
        let fds =
            [slot.lane_fd(), self.bell_fd.as_fd(), self.worker_event.as_fd(), stderr_end.as_fd(), channel_end.as_fd()];
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
    pub(super) fn supervisor_lost(&mut self) {
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
                    if let (Ok(fresh), old) = (Slot::new(self.settings.max_result_bytes), &mut self.slots[at]) {
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
    pub(super) fn worker_ended(&mut self, at: usize, told: Option<End>) {
        let end = told.unwrap_or(End::UNKNOWN);
        let now = Instant::now();
        self.collect(at, &mut Some(now));
        self.read_stderr(at);
        if let Some(pipe) = self.slots[at].stderr.take() {
            self.poller.remove(&pipe);
        }
        self.read_events(at);
        if let Some(channel) = self.slots[at].channel.take() {
            self.poller.remove(&channel);
        }
        self.counts.ended_cpu += end.cpu;
        self.counts.ended_peak_rss_bytes = self.counts.ended_peak_rss_bytes.max(end.peak_rss_bytes);
        let slot = &mut self.slots[at];
        let was_ready = slot.lane.is_ready();
        let was_told = slot.doom.as_ref().is_some_and(|doom| !matches!(doom.reason, DoomReason::Corrupt))
            || slot.phase == Phase::Stopping && slot.queue.is_empty();
        let begun = slot.lane.claimed().0.clamp(slot.acked_seq, slot.acked_seq + 1);
        let mut back = slot.withdraw(begun);
        let is_meant = slot
            .doom
            .as_ref()
            .is_none_or(|doom| doom.seq == slot.acked_seq && !matches!(doom.reason, DoomReason::PutBack));
        // What is left in the queue is the one item that ran.
        let running = slot.queue.pop_front().map(|mut f| {
            slot.bytes_done += f.chunk.split_front(f.done).range.len();
            f.chunk
        });
        let is_standstill = self.slots[at].doom.as_ref().is_some_and(|doom| doom.seq == u64::MAX);
        if running.is_none() && (is_standstill || self.slots[at].is_own_end()) {
            let suspect = suspect(&mut back);
            self.put_back(at, back);
            if let Some(suspect) = suspect {
                self.lost_task(at, suspect, end, now);
            }
        } else {
            self.put_back(at, back);
        }
        match running {
            Some(chunk) if is_meant => self.lost_task(at, chunk, end, now),
            // It is begun anew later, or it began in the moment in which its worker was killed for the task before.
            Some(chunk) => self.pending.push_front(chunk),
            None => {}
        }
        if was_ready {
            self.failed_starts = 0;
        } else if told.is_some() && self.slots[at].is_own_end() {
            let slot = &self.slots[at];
            let status = match self.over_memory(slot, end) {
                Some(over) => over.to_string(),
                None => describe(end),
            };
            let cause = match (&slot.not_ready, slot.stderr_text().trim()) {
                (Some(cause), _) => cause.clone(),
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
    pub(super) fn lost_task(&mut self, at: usize, chunk: Chunk, end: End, now: Instant) {
        let slot = &self.slots[at];
        let kind = match slot.doom.as_ref().map(|d| &d.reason) {
            Some(&DoomReason::TimedOut(limit)) => FailureKind::TimedOut { limit, clock: Clock::Wall },
            Some(&DoomReason::OverCpu(limit)) => FailureKind::TimedOut { limit, clock: Clock::Cpu },
            Some(DoomReason::Cancelled(reason)) => FailureKind::Cancelled { reason: reason.clone() },
            _ => self.over_memory(slot, end).unwrap_or_else(|| crashed(end)),
        };
        let peak_rss_bytes = Some(end.peak_rss_bytes).filter(|&b| b > 0);
        self.fail_or_retry(at, chunk, kind, peak_rss_bytes, now);
    }

    /// An attempt at the one item of a chunk has failed for a reason that may pass.
    pub(super) fn fail_or_retry(
        &mut self,
        at: usize,
        mut chunk: Chunk,
        kind: FailureKind,
        peak_rss_bytes: Option<u64>,
        now: Instant,
    ) {
        if !matches!(kind, FailureKind::Cancelled { .. }) && may_retry(&chunk, &self.settings) {
            return self.retry(chunk, now);
        }
        chunk.attempts += 1;
        let slot = &self.slots[at];
        let failure = Failure::new(Details {
            kind,
            index: chunk.first,
            attempts: chunk.attempts,
            worker_pid: Some(slot.pid()).filter(|&pid| pid > 0),
            elapsed: now.saturating_duration_since(slot.progress_at),
            peak_rss_bytes,
            stderr_tail: slot.stderr_text(),
        });
        self.bytes = self.bytes.saturating_sub(chunk.range.len());
        self.deliver(&chunk.batch, Event::Failed(failure), 1);
    }

    /// Begins the one item of a chunk anew after a while.
    pub(super) fn retry(&mut self, mut chunk: Chunk, now: Instant) {
        let wait = self.settings.backoff.saturating_mul(1 << chunk.attempts.min(16));
        chunk.attempts += 1;
        self.counts.retried += 1;
        self.delayed.push((now + wait.min(self.settings.max_backoff), chunk));
        // The engine looks at the clock.
        self.event.raise();
    }

    /// What became of a worker's task, if it was that it used too much memory.
    fn over_memory(&self, slot: &Slot, end: End) -> Option<FailureKind> {
        let limit_bytes = self.settings.confinement.limits.memory_bytes?;
        let guard = self.settings.memory_guard?;
        let signal = end.exit_status().signal();
        let is_doomed = matches!(&slot.doom, Some(Doom { reason: DoomReason::OverMemory, .. }));
        let (guard, peak) = match (guard, end.over_memory_bytes) {
            (MemoryGuard::Watchdog, _) if is_doomed => (MemoryGuard::Watchdog, slot.peak_bytes),
            // The allocator could not get what the limit forbids, and the program gave up.
            (MemoryGuard::Watchdog, _) if signal == Some(SIGABRT) && says_no_memory(&slot.stderr_text()) => {
                (MemoryGuard::Rlimit, slot.peak_bytes)
            }
            (guard, Some(peak)) if signal == Some(SIGKILL) => (guard, peak),
            _ => return None,
        };
        Some(FailureKind::OverMemory { limit_bytes, peak_bytes: peak.max(end.peak_rss_bytes), guard })
    }

    /// There was no descriptor, memory or process for a worker: the pool makes do with the others, if it has any.
    pub(super) fn not_started(&mut self, at: usize, cause: &str) {
        let lives = |slot: &Slot| matches!(slot.phase, Phase::Running | Phase::Starting);
        let has_others = self.slots.iter().enumerate().any(|(other, slot)| other != at && lives(slot));
        if has_others && self.stage != Stage::Ending {
            self.slots[at].phase = Phase::Empty(Instant::now() + LACK_PAUSE);
        } else {
            self.start_failed(at, cause);
        }
    }

    /// A worker has ended before its first task, or none can be started.
    pub(super) fn start_failed(&mut self, at: usize, cause: &str) {
        let wait = Duration::from_millis(10) * (2 << self.failed_starts.min(5));
        self.slots[at].phase =
            if self.stage == Stage::Ending { Phase::Gone } else { Phase::Empty(Instant::now() + wait) };
        self.count_failed_start(cause);
    }

    pub(super) fn count_failed_start(&mut self, cause: &str) {
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
    pub(super) fn death(&mut self, now: Instant) {
        let Some((max, period)) = self.settings.restart_intensity else { return };
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|&t| now.saturating_duration_since(t) > period) {
            self.deaths.pop_front();
        }
        if self.deaths.len() > max as usize {
            self.give_up(format!("more than {max} workers died within {period:?}"));
        }
    }

    pub(super) fn give_up(&mut self, why: String) {
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
        // What takes memory does so while it is asked to stop.
        let is_urgent = matches!(reason, DoomReason::Corrupt | DoomReason::OverMemory);
        let grace = if is_urgent { Duration::ZERO } else { self.settings.grace };
        slot.doom = Some(Doom { reason, seq: slot.acked_seq, kill_at: Some(Instant::now() + grace) });
        let signal = if grace.is_zero() { SIGKILL } else { SIGTERM };
        let id = slot.worker_id;
        self.signal(at, id, signal);
        self.event.raise();
    }

    pub(super) fn signal(&mut self, at: usize, id: u64, signal: i32) {
        let sent = self.lease.as_ref().is_some_and(|l| l.send(&Request::Signal { id, signal }, &[]).is_ok());
        if let (false, Some(pidfd)) = (sent, &self.slots[at].pidfd) {
            procession_os::kill_pidfd(pidfd.as_fd());
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

    /// Takes the log events that a worker has sent.
    pub fn read_events(&mut self, at: usize) {
        let slot = &self.slots[at];
        let Some(channel) = &slot.channel else { return };
        // A flood must not keep us here.
        for _ in 0..256 {
            match channel.receive() {
                Ok(Received::Message(bytes, _)) => self.events.extend(logging::parse(&bytes).map(|e| (slot.pid(), e))),
                Ok(Received::Empty) => return,
                // It has ended, or broken the protocol: nothing more is heard of it.
                Ok(Received::Closed) | Err(_) => return self.poller.remove(channel),
            }
        }
    }
}

/// Whether there is another try for the one item of a chunk.
pub(super) fn may_retry(chunk: &Chunk, settings: &Settings) -> bool {
    chunk.attempts < settings.retries && !chunk.batch.is_cancelled()
}

/// The item that a worker must have begun, though it says that it has not: so many in a row have died or stood still with
/// it before them. Without this a task that writes into its lane could be begun for ever.
pub(super) fn suspect(back: &mut [Chunk]) -> Option<Chunk> {
    let first = back.first_mut()?;
    first.unbegun += 1;
    if first.unbegun <= MAX_UNBEGUN || first.count == 0 {
        return None;
    }
    first.unbegun = 0;
    Some(first.split_front(1))
}

fn crashed(end: End) -> FailureKind {
    let status = end.exit_status();
    FailureKind::Crashed { exit_code: status.code(), signal: status.signal(), core_dumped: status.core_dumped() }
}

/// Whether these are the last words of a program that got no memory: Rust's `handle_alloc_error`, C++'s `bad_alloc`.
fn says_no_memory(stderr: &str) -> bool {
    stderr.contains("memory allocation of ") && stderr.contains(" bytes failed") || stderr.contains("std::bad_alloc")
}

fn describe(end: End) -> String {
    let status = end.exit_status();
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}, {}", crate::outcome::signal_name(signal)),
        _ => "no status".to_string(),
    }
}
