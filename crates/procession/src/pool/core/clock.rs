//! What is due: retries, limits of time, the end of a grace, new workers.

use std::time::{Duration, Instant};

use super::workers::suspect;
use super::{Core, SIGKILL, TAKE_OVER, TICK};
use crate::pool::batch::Chunk;
use crate::pool::slot::{Doom, DoomReason, Phase};
use crate::supervisor::Lease;
use crate::{Clock, FailureKind};

/// How long a worker may keep an item waiting, at least, before it counts as standing still: a busy machine has it wait,
/// too.
const STANDSTILL: Duration = Duration::from_secs(1);
/// How long the way to `init` may take in a new process.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

impl Core {
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
            if self.outstanding > 0 {
                at_latest(now + (limit / 4).clamp(Duration::from_millis(1), Duration::from_millis(100)));
            }
        }
        if self.outstanding > 0
            && let Some(when) = self.watch(now)
        {
            at_latest(when);
        }
        if self.outstanding > 0
            && self.settings.gate.is_set()
            && let Some(when) = self.watch_gate(now)
        {
            at_latest(when);
        }
        self.is_ticking = self.needs_clock() && self.outstanding > 0;
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
    pub(super) fn never_arrived(&mut self, at: usize) {
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
    pub(super) fn time_out(&mut self, at: usize, limit: Duration, now: Instant) {
        let slot = &mut self.slots[at];
        let (begun, is_revoked) = slot.lane.claimed();
        let had_begun = begun > slot.acked_seq;
        // If it is revoked then what it had not begun was taken back before.
        if !is_revoked {
            let mut back = slot.revoke();
            if !had_begun && !slot.queue.is_empty() {
                // It has begun in this very moment.
                slot.progress_at = now;
                self.put_back(at, back);
                if self.slots[at].resume().is_err() {
                    self.doom(at, DoomReason::Corrupt);
                }
                return;
            }
            let suspect = if had_begun { None } else { suspect(&mut back) };
            self.put_back(at, back);
            if let Some(suspect) = suspect {
                self.fail_or_retry(at, suspect, FailureKind::TimedOut { limit, clock: Clock::Wall }, None, now);
            }
        }
        self.doom(at, DoomReason::TimedOut(limit));
        if let (false, Some(doom)) = (had_begun, &mut self.slots[at].doom) {
            // It is meant for no item.
            doom.seq = u64::MAX;
        }
    }
}
