//! What a pool is told once, when it is built.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Carried;
use super::core::Gate;
use crate::confinement::Confinement;
use crate::{MemoryGuard, SandboxStatus, StartMethod};

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub workers: usize,
    pub name: String,
    pub method: StartMethod,
    pub initializer: Option<Initializer>,
    pub max_tasks_per_worker: Option<u64>,
    pub timeout: Option<Duration>,
    pub grace: Duration,
    pub retries: u32,
    pub backoff: Duration,
    pub max_backoff: Duration,
    pub max_items: Option<usize>,
    pub max_bytes: usize,
    pub max_result_bytes: usize,
    pub restart_intensity: Option<(u32, Duration)>,
    pub gate: Gate,
    pub confinement: Confinement,
    /// What keeps the limit on memory, if there is one.
    pub memory_guard: Option<MemoryGuard>,
    /// What of a sandbox is in force, if there is one.
    pub sandbox: Option<SandboxStatus>,
    pub is_inline: bool,
}

/// Items in flight for each worker, unless said otherwise: two full chunks of numbers.
const ITEMS_A_WORKER: usize = 8192;

impl Settings {
    pub fn max_items(&self) -> usize {
        self.max_items.unwrap_or(self.workers.saturating_mul(ITEMS_A_WORKER))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Initializer {
    pub call: (u64, u64),
    pub argument: Arc<Vec<u8>>,
    pub handles: Carried,
}
