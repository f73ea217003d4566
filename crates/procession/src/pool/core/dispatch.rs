//! What runs where: chunks given to workers, taken back from them, and given to others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Core, TICK};
use crate::FailureKind;
use crate::pool::batch::{Batch, Chunk};
use crate::pool::slot::{DoomReason, Phase, Slot};
use crate::ring::Corrupt;
use crate::wire::{Frame, FrameKind};

/// A worker may have this much work waiting behind the chunk that it runs, so that it need not wait for us.
const AHEAD: Duration = Duration::from_millis(4);
/// One more item may wait even if it takes this long.
const AHEAD_ONE: Duration = Duration::from_millis(50);
/// Frames that may wait in a lane.
const AHEAD_FRAMES: usize = 64;
/// Work worth taking back from a worker to give it to an idle one.
const WORTH_TAKING: Duration = Duration::from_micros(200);

impl Core {
    /// Gives what waits to workers with room.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some(chunk) = self.pending.front() {
            let cancelled = chunk.batch.state().cancelled.clone();
            if let Some(reason) = cancelled {
                if let Some(chunk) = self.pending.pop_front() {
                    self.deliver_failures(&chunk, &FailureKind::Cancelled { reason });
                }
                continue;
            }
            let is_gated = self.settings.gate.is_set();
            if is_gated && self.is_held_back(now) {
                break;
            }
            let Some(at) = self.best_slot(chunk) else { break };
            let Some(mut chunk) = self.pending.pop_front() else { break };
            let until_recycled = self.settings.max_tasks_per_worker.map(|max| max.saturating_sub(self.slots[at].given));
            let most = if is_gated { Some(1) } else { until_recycled.map(|left| left.max(1)) };
            if let Some(most) = most.filter(|&most| u64::from(chunk.count) > most) {
                let front = chunk.split_front(most as u32);
                self.pending.push_front(std::mem::replace(&mut chunk, front));
            }
            match self.slots[at].prepare(&chunk) {
                Ok(true) => {}
                // Descriptors on their way arrive: the next tick tries again.
                Ok(false) => {
                    self.pending.push_front(chunk);
                    break;
                }
                Err(Corrupt) => {
                    self.pending.push_front(chunk);
                    self.doom(at, DoomReason::Corrupt);
                    continue;
                }
            }
            if is_gated {
                self.started_at = Some(now);
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
    pub(super) fn best_slot(&self, chunk: &Chunk) -> Option<usize> {
        let (time, mut best) = (chunk.time(), None);
        for (at, slot) in self.slots.iter().enumerate() {
            // Handles wait behind nothing: who listens at the other end would hear of it late when they are closed. Nor
            // does what is started at a time of its own.
            let is_alone = slot.phase == Phase::Running && slot.queue.is_empty();
            let has_to_wait = (chunk.is_single && chunk.handles.is_some() || self.settings.gate.is_set()) && !is_alone;
            if has_to_wait || !self.has_room(slot, time) {
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
    pub(super) fn has_room(&self, slot: &Slot, time: Option<Duration>) -> bool {
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

    /// Whether a worker has nothing to do.
    pub fn has_idle_worker(&self) -> bool {
        self.slots.iter().any(|slot| slot.phase == Phase::Running && slot.queue.is_empty())
    }

    /// How many more chunks of a batch could be given out at once.
    pub fn appetite(&self, pace: Option<Duration>) -> usize {
        self.slots.iter().filter(|slot| self.has_room(slot, pace)).count().saturating_sub(self.pending.len())
    }

    /// Takes work back from busy workers if others have nothing to do.
    pub(super) fn even_out(&mut self) {
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

    /// How long somebody who waits may sleep before he looks by himself.
    pub fn tick(&self) -> Option<Duration> {
        let is_idle = |s: &Slot| s.phase == Phase::Running && s.queue.is_empty();
        let has_several = |s: &Slot| s.queue.iter().any(|f| f.chunk.count - f.done > 1);
        // Work that waits behind a slow item is taken back by whoever looks.
        let may_even_out = self.slots.iter().any(is_idle) && self.slots.iter().any(|s| s.queue.len() > 1);
        let may_send = !self.pending.is_empty() && self.slots.iter().any(is_idle);
        let has_handles = |s: &Slot| s.queue.front().is_some_and(|f| f.chunk.is_single && f.chunk.handles.is_some());
        let may_release = self.settings.retries == 0 && self.slots.iter().any(has_handles);
        (may_send || may_release || may_even_out || self.slots.iter().any(has_several)).then_some(TICK)
    }

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

    /// Puts what was taken back from a slot in front of what waits.
    pub(super) fn put_back(&mut self, at: usize, chunks: Vec<Chunk>) {
        for chunk in chunks.into_iter().rev().filter(|chunk| chunk.count > 0) {
            self.pending.push_front(chunk);
        }
        self.settle(at);
    }

    /// The items that a slot has answered are no longer on their way.
    pub(super) fn settle(&mut self, at: usize) {
        self.bytes = self.bytes.saturating_sub(std::mem::take(&mut self.slots[at].bytes_done));
    }
}
