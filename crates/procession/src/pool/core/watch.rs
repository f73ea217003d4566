//! What workers use of the machine, looked at now and then: for limits that the kernel does not keep for us.

use std::time::{Duration, Instant};

use super::Core;
use crate::MemoryGuard;
use crate::pool::slot::{DoomReason, Phase};
use crate::wire::{Frame, FrameKind};

/// How often memory is looked at.
const MEMORY_TICK: Duration = Duration::from_millis(10);

impl Core {
    /// Whether somebody has to look while there are tasks.
    pub(super) fn needs_watch(&self) -> bool {
        let limits = &self.settings.confinement.limits;
        self.watched_memory().is_some() || limits.recycle_above_bytes.is_some() || limits.cpu_time.is_some()
    }

    /// The limit on memory that nobody but us keeps.
    fn watched_memory(&self) -> Option<u64> {
        let limit = self.settings.confinement.limits.memory_bytes;
        limit.filter(|_| self.settings.memory_guard == Some(MemoryGuard::Watchdog))
    }

    /// Ends the workers that are beyond a limit, and replaces those above the mark. Tells when to look again.
    pub(super) fn watch(&mut self, now: Instant) -> Option<Instant> {
        if !self.needs_watch() {
            return None;
        }
        let (recycle_above, cpu_limit) =
            (self.settings.confinement.limits.recycle_above_bytes, self.settings.confinement.limits.cpu_time);
        let memory_limit = self.watched_memory();
        let mut tick = Duration::MAX;
        if memory_limit.is_some() || recycle_above.is_some() {
            tick = MEMORY_TICK;
            for at in 0..self.slots.len() {
                self.watch_memory(at, memory_limit, recycle_above);
            }
        }
        if let Some(limit) = cpu_limit {
            tick = tick.min((limit / 4).clamp(Duration::from_millis(1), Duration::from_millis(100)));
            for at in 0..self.slots.len() {
                self.watch_cpu(at, limit);
            }
        }
        Some(now + tick)
    }

    fn watch_memory(&mut self, at: usize, limit: Option<u64>, mark: Option<u64>) {
        let slot = &mut self.slots[at];
        if slot.pid == 0 || !matches!(slot.phase, Phase::Starting | Phase::Running | Phase::Stopping) {
            return;
        }
        let Some(resident) = procession_os::resident_bytes(slot.pid as i32) else { return };
        slot.peak_bytes = slot.peak_bytes.max(resident);
        if limit.is_some_and(|limit| resident > limit) {
            self.collect(at, &mut None);
            self.doom(at, DoomReason::OverMemory);
        } else if mark.is_some_and(|mark| resident > mark)
            && slot.phase == Phase::Running
            && (slot.acked_seq > 0 || slot.has_begun())
        {
            // One that has begun nothing has what its successor would have, too.
            self.recycle(at);
        }
    }

    /// Lets a worker finish the item that runs, and end.
    fn recycle(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if slot.lane.claimed().1 || slot.is_sending() {
            // It is being told something else; the next look is soon.
            return;
        }
        let back = slot.revoke();
        slot.phase = Phase::Stopping;
        let sent = slot.send_plain(Frame::plain(FrameKind::Stop));
        self.put_back(at, back);
        if sent.is_err() {
            self.doom(at, DoomReason::Corrupt);
        }
    }

    fn watch_cpu(&mut self, at: usize, limit: Duration) {
        self.collect(at, &mut None);
        let slot = &mut self.slots[at];
        if slot.pid == 0 || !slot.has_begun() || !matches!(slot.phase, Phase::Running | Phase::Stopping) {
            return;
        }
        let Some(used) = procession_os::process_cpu_time(slot.pid as i32) else { return };
        match slot.cpu_at_begin {
            // The item was seen to run before, so it began no later than that.
            Some((seq, before)) if seq == slot.acked_seq => {
                if used.saturating_sub(before) > limit {
                    self.doom(at, DoomReason::OverCpu(limit));
                }
            }
            _ => slot.cpu_at_begin = Some((slot.acked_seq, used)),
        }
    }
}
