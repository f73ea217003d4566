//! Holding back new tasks while the machine is busy, or for a while after each: `--memfree`, `--load` and `--delay` of GNU
//! parallel (parallel(1)).

use std::time::{Duration, Instant};

use super::Core;
use crate::pool::slot::{DoomReason, Phase};

/// How often the machine is looked at while tasks are held back.
const LOOK: Duration = Duration::from_millis(50);
/// Memory that is given back by one worker that is ended should be there before the next is.
const BETWEEN_KILLS: Duration = Duration::from_secs(1);

/// When a new task may start. By default always.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Gate {
    /// Only while so much memory is available, in bytes.
    pub memory_free_bytes: Option<u64>,
    /// Only while fewer threads than this run or want to, on the whole machine.
    pub max_load: Option<f64>,
    /// So long after the one before.
    pub delay: Option<Duration>,
}

impl Gate {
    /// Whether there is anything to look at.
    pub fn is_set(&self) -> bool {
        *self != Gate::default()
    }
}

impl Core {
    /// Whether no task may start now.
    pub(super) fn is_held_back(&self, now: Instant) -> bool {
        let gate = &self.settings.gate;
        let is_too_soon = gate.delay.zip(self.started_at).is_some_and(|(delay, at)| at + delay > now);
        is_too_soon
            || gate
                .memory_free_bytes
                .is_some_and(|least| procession_os::available_memory_bytes().is_some_and(|a| a < least))
            || gate.max_load.is_some_and(|max| procession_os::runnable_threads().is_some_and(|n| n as f64 >= max))
    }

    /// When to look again, and ends the task that began last if there is less than half of the memory that should be free:
    /// it is begun anew later.
    pub(super) fn watch_gate(&mut self, now: Instant) -> Option<Instant> {
        let gate = &self.settings.gate;
        let is_low =
            |least: u64| procession_os::available_memory_bytes().is_some_and(|available| available < least / 2);
        if gate.memory_free_bytes.is_some_and(is_low) && self.put_back_at.is_none_or(|at| at + BETWEEN_KILLS <= now) {
            let is_running = |at: &usize| self.slots[*at].phase == Phase::Running && self.slots[*at].has_begun();
            let running: Vec<usize> = (0..self.slots.len()).filter(is_running).collect();
            // One goes on, or nothing would ever be done.
            if let (2.., Some(&youngest)) =
                (running.len(), running.iter().max_by_key(|&&at| self.slots[at].progress_at))
            {
                self.put_back_at = Some(now);
                self.doom(youngest, DoomReason::PutBack);
            }
        }
        let gate = &self.settings.gate;
        let next_start = gate.delay.zip(self.started_at).map(|(delay, at)| at + delay).filter(|&at| at > now);
        (!self.pending.is_empty() || gate.memory_free_bytes.is_some()).then(|| next_start.unwrap_or(now + LOOK))
    }
}
