//! What every job lets its user decide.

use std::time::Duration;

use procession::Limits;

/// What every job lets its user decide.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker processes. Unless told otherwise as many as this process may use CPUs.
    pub workers: usize,
    /// How long one task may run.
    pub timeout: Option<Duration>,
    /// How often a task is tried again whose worker crashed or ran out of time.
    pub retries: u32,
    /// Whether the first failed task ends the job.
    pub fail_fast: bool,
    /// What each worker may use.
    pub limits: Limits,
    /// Tasks start only while so much memory is available, in bytes.
    pub memory_free_bytes: Option<u64>,
    /// Tasks start only while fewer threads run on the machine.
    pub max_load: Option<f64>,
    /// Tasks start so long after one another.
    pub delay: Option<Duration>,
    /// Whether the workers can reach only what the plan names.
    pub sandbox: SandboxMode,
    /// How many small files may be open in this process to be handed to workers in a sandbox, to which opening is dear: 0
    /// unless told otherwise. See [`OpenFile`](procession::OpenFile) for what it costs.
    pub files_ahead: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            timeout: None,
            retries: 0,
            fail_fast: false,
            limits: Limits::default(),
            memory_free_bytes: None,
            max_load: None,
            delay: None,
            sandbox: SandboxMode::default(),
            files_ahead: 0,
        }
    }
}

/// Whether workers run in a sandbox ([`Sandbox::compute`](procession::Sandbox::compute) with the plan's [`Access`](crate::Access)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SandboxMode {
    /// In what the kernel gives.
    #[default]
    Auto,
    /// In a whole one, or not at all.
    Require,
    /// In none.
    Off,
}
