//! What a pool is told once, when it is built.

use std::sync::Arc;
use std::time::Duration;

use crate::StartMethod;

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
    pub max_items: usize,
    pub max_bytes: usize,
    pub restart_intensity: Option<(u32, Duration)>,
    pub is_inline: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Initializer {
    pub call: (u64, u64),
    pub argument: Arc<Vec<u8>>,
}
