//! How a pool is set up.

use std::sync::Arc;
use std::time::Duration;

use procession_os::{Call, OutsideImage, Plain};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Pool;
use super::batch::carried;
use super::core::Gate;
use super::settings::{Initializer, Settings};
use crate::confinement::Confinement;
use crate::worker::{Initialize, Tasks};
use crate::{Error, ErrorKind, Limits, Sandbox, StartMethod, init, supervisor, wire};

/// Longer limits are as good as none, and would not fit into a clock.
const ENDLESS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Settings for a new [`Pool`]; [`Pool::builder`] makes one.
#[derive(Debug)]
pub struct PoolBuilder {
    settings: Settings,
    workers: Option<usize>,
    sandbox: Option<Sandbox>,
    /// What was wrong with a setting; told by [`PoolBuilder::build`].
    problem: Option<Error>,
}

impl PoolBuilder {
    pub(crate) fn new() -> PoolBuilder {
        let settings = Settings {
            workers: 1,
            name: "pool".to_string(),
            method: StartMethod::default(),
            initializer: None,
            max_tasks_per_worker: None,
            timeout: None,
            grace: Duration::from_secs(1),
            retries: 0,
            backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(5),
            max_items: None,
            max_bytes: 64 << 20,
            max_result_bytes: 1 << 30,
            restart_intensity: None,
            gate: Gate::default(),
            confinement: Confinement::default(),
            memory_guard: None,
            sandbox: None,
            is_inline: false,
        };
        PoolBuilder { settings, workers: None, sandbox: None, problem: None }
    }

    /// How many workers. Default: the CPUs that this process may use, by its affinity and its cgroup's quota. At least 1.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count.max(1));
        self
    }

    /// The pool's name in process listings, where its workers are called `NAME-0`, `NAME-1`, ... (cut to 15 bytes), and of
    /// its threads. Default: `pool`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into().replace('\0', "");
        self
    }

    /// How workers come to life. Default: [`StartMethod::ForkServer`].
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.settings.method = method;
        self
    }

    /// Runs `function` once in each new worker, before its first task. What it returns can be had there from
    /// [`worker_state`](crate::worker_state). A worker whose initializer panics is replaced; if that happens five times in
    /// a row the pool gives up.
    pub fn initializer<A, T>(mut self, function: fn(A) -> T, argument: A) -> Self
    where
        A: Serialize + DeserializeOwned + 'static,
        T: Send + Sync + 'static,
    {
        let mut bytes = Vec::new();
        match (Call::<Tasks>::new::<Initialize, _>(Plain(function)), wire::encode_argument(argument, &mut bytes)) {
            (Ok(call), Ok(handles)) => {
                let (argument, handles) = (Arc::new(bytes), carried(handles));
                self.settings.initializer = Some(Initializer { call: call.to_raw(), argument, handles });
            }
            (Err(OutsideImage), _) => self.problem = Some(Error::outside_image()),
            (_, Err(message)) => {
                let message = format!("failed to encode the argument of the initializer: {message}");
                self.problem = Some(Error::new(ErrorKind::BadArgument, message));
            }
        }
        self
    }

    /// Replaces a worker by a fresh one after so many tasks: Python's `maxtasksperchild`. Default: never.
    pub fn max_tasks_per_worker(mut self, count: u64) -> Self {
        self.settings.max_tasks_per_worker = Some(count.max(1));
        self
    }

    /// How long one task may run. One that takes longer is [`TimedOut`](crate::FailureKind::TimedOut), and its worker is
    /// killed: SIGTERM, then SIGKILL after [`grace`](PoolBuilder::grace). Measured from where the pool saw the task
    /// begin, so never too early, and late by a few milliseconds up to a quarter of the limit (at most 100 ms). Default: no limit.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = Some(limit.min(ENDLESS));
        self
    }

    /// How long a worker that is to be killed has between SIGTERM and SIGKILL. Default: 1 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace.min(ENDLESS);
        self
    }

    /// How often a task is tried again if its worker crashed, or it ran out of time or memory, or returned a
    /// [`TaskError`](crate::TaskError) that says that another try may help. Other errors, and panics, would come again, and
    /// are not tried. Default: 0. An inline pool tries once.
    pub fn retries(mut self, count: u32) -> Self {
        self.settings.retries = count;
        self
    }

    /// How long to wait before the first retry; each further one waits twice as long, up to `max`. Default: 10 ms, 5 s.
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        (self.settings.backoff, self.settings.max_backoff) = (first, max.min(ENDLESS));
        self
    }

    /// How many items a call may have pulled whose outcome the caller has not got, and how many encoded bytes may be on
    /// their way (at least one item may, whatever its size). Default: 8,192 items for each worker, 64 MiB.
    pub fn max_in_flight(mut self, items: usize, bytes: usize) -> Self {
        (self.settings.max_items, self.settings.max_bytes) = (Some(items.max(1)), bytes.max(1));
        self
    }

    /// How long the encoding of one result may be, in bytes. A longer one is
    /// [`BadResult`](crate::FailureKind::BadResult), and a worker that sends one all the same is killed: what a worker has
    /// the program allocate has a bound. Default: 1 GiB.
    pub fn max_result(mut self, bytes: usize) -> Self {
        self.settings.max_result_bytes = bytes;
        self
    }

    /// Gives the pool up if more than `count` workers die within `period` without having been told to. Default: no limit,
    /// but for workers that die before their first task.
    pub fn restart_intensity(mut self, count: u32, period: Duration) -> Self {
        self.settings.restart_intensity = Some((count, period));
        self
    }

    /// What each worker may use. Default: as much as the program. An inline pool has no limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.confinement.limits = limits;
        self
    }

    /// Starts a task only while so many bytes of memory are available on the machine. If less than half of it is, the task
    /// that began last is ended and begun anew later, unless it is the only one. Default: starts at once. (`--memfree` of
    /// parallel(1).)
    pub fn memory_free(mut self, bytes: u64) -> Self {
        self.settings.gate.memory_free_bytes = Some(bytes);
        self
    }

    /// Starts a task only while fewer than `threads` threads run or want to, on the whole machine. Default: starts at
    /// once. (`--load` of parallel(1).)
    pub fn max_load(mut self, threads: f64) -> Self {
        self.settings.gate.max_load = Some(threads);
        self
    }

    /// Waits for so long after the start of each task before the next one starts. Default: starts at once. (`--delay` of
    /// parallel(1).)
    pub fn delay(mut self, delay: Duration) -> Self {
        self.settings.gate.delay = Some(delay.min(ENDLESS));
        self
    }

    /// What each worker may reach. Default: what the program may. An inline pool has no sandbox.
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// Makes a pool without processes, that runs each task at once in the thread that hands it over: for tests and
    /// debuggers. Nothing can be killed there, so there are no timeouts, and a crash is the program's.
    pub fn inline(mut self) -> Self {
        self.settings.is_inline = true;
        self
    }

    /// Starts the pool. Does not wait for its workers: tasks can be handed over at once.
    ///
    /// # Errors
    /// [`ErrorKind::NotInitialized`] without [`init`](crate::init), [`ErrorKind::Start`] if there is no memory or there
    /// are no descriptors for it, [`ErrorKind::BadArgument`] or [`ErrorKind::OutsideImage`] for the initializer,
    /// [`ErrorKind::Unsupported`] for a sandbox that is required and cannot be had.
    pub fn build(mut self) -> Result<Pool, Error> {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        self.settings.workers = self.workers.unwrap_or_else(cpus);
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.settings.confinement.max_result_bytes = self.settings.max_result_bytes as u64;
        if !self.settings.is_inline {
            init::check()?;
            // It gets ready while this process goes on. What goes wrong is told to whoever needs it first.
            let _ = supervisor::ensure_running();
            let guard = self.settings.confinement.limits.choose_guard();
            self.settings.memory_guard =
                guard.map_err(|e| Error::start("a control group for the memory of workers", e))?;
        }
        if let Some(sandbox) = self.sandbox {
            let (walls, status) = sandbox.build(self.settings.is_inline)?;
            self.settings.confinement.sandbox = Some(walls);
            self.settings.sandbox = Some(status);
        }
        Pool::start(self.settings)
    }
}
