//! A fixed number of worker processes that run tasks.

mod batch;
mod builder;
mod core;
mod held;
pub(crate) mod incoming;
mod inline;
mod outlet;
mod results;
mod settings;
mod shared;
mod slot;
mod stats;
mod stream;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use procession_os::{Call, OutsideImage, Plain, Shim, Target, WithContext};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::batch::{Batch, Chunk, Context, carried};
use self::shared::Shared;
use self::stream::{CallOptions, Feed};
use crate::worker::{Run, Tasks, TryRun};
use crate::{Error, ErrorKind, Journal, MemoryGuard, SandboxStatus, wire};

pub(crate) use self::batch::{Event, Records};
pub use self::builder::PoolBuilder;
pub use self::stats::{Stats, WorkerStats};
pub use self::stream::Imap;
pub use self::task::{Task, as_completed, wait};

/// A fixed number of worker processes that run tasks: Python's `multiprocessing.Pool`.
///
/// A task is a plain function, named, generic or a closure that captures nothing, and one argument: use a tuple for more
/// (`pool.map(|(a, b): (u64, u64)| a + b, pairs)` is Python's `starmap`). What all tasks of a call share goes into the
/// context of [`Pool::map_with`]. Arguments and results travel with serde, so they own their data.
///
/// Any number of threads may use one pool, and tasks may have pools of their own. Dropping a pool terminates it.
///
/// Handles of what processes share (ends of a [`Pipe`](crate::Pipe), a [`Queue`](crate::Queue), a [`Lock`](crate::Lock), a
/// proxy of a [`Manager`](crate::Manager)...) can be arguments, or fields of them, up to 250 in one. An item with handles
/// travels alone, to a worker that has nothing else to do; what every task needs is better sent once, by
/// [`Pool::map_with`] or an initializer. A handle leaves the program soon after its task has begun, so that the other end of a
/// pipe is closed by the task alone; if the task may be tried again ([`PoolBuilder::retries`]), with the last try; in a
/// context, with the end of the call. An [`OpenFile`](crate::OpenFile) has no other end, so items
/// of a call with many have it travel in chunks like any others.
///
/// # Logging
/// With the feature `tracing`, events of `tracing` in workers reach the program's global subscriber with their own level,
/// target, file and line, and with the fields `worker_pid`, `task` (its number in the call), `span` (`outer{a=1}:inner`)
/// and `fields` (the other fields, as text); records of `log` reach the program's logger. Those of one worker keep their
/// order. Nobody waits for them: what comes faster than it is passed on is lost, and how much is told. A worker started
/// while the program has no subscriber sends none.
///
/// # Examples
/// ```
/// use procession::Pool;
///
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let pool = Pool::builder().workers(2).build()?;
///     assert_eq!(pool.map(square, 1..=4)?, [1, 4, 9, 16]);
///     for outcome in pool.imap_unordered(square, 1..=4)? {
///         println!("{} -> {:?}", outcome.index, outcome.result);
///     }
///     Ok(())
/// }
/// ```
pub struct Pool {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("Pool").field("name", &settings.name).field("workers", &settings.workers).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.terminate();
    }
}

/// A call with options of its own: [`Pool::chunk_size`], [`Pool::call_timeout`], [`Pool::journal`].
#[derive(Debug, Clone, Copy)]
pub struct Calls<'p> {
    pool: &'p Pool,
    options: CallOptions<'p>,
}

impl Pool {
    /// A pool with the defaults of [`Pool::builder`].
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn new() -> Result<Pool, Error> {
        Pool::builder().build()
    }

    /// Settings for a new pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    fn start(settings: settings::Settings) -> Result<Pool, Error> {
        Ok(Pool { shared: Shared::start(settings)? })
    }

    /// What of the [`Sandbox`](crate::Sandbox) of its workers is in force; None if the pool was built without one.
    pub fn sandbox(&self) -> Option<&SandboxStatus> {
        self.shared.settings.sandbox.as_ref()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.shared.settings.workers
    }

    /// Whether a worker has nothing to do, as far as its answers have been seen. For an iterator of arguments that can leave
    /// more or less of the work to workers: this says that it is they who wait.
    ///
    /// A worker that is being started is not idle. False of an inline pool.
    pub fn has_idle_worker(&self) -> bool {
        self.shared.lock().has_idle_worker()
    }

    /// What keeps [`Limits::memory`](crate::Limits::memory) here; None if there is no such limit.
    pub fn memory_guard(&self) -> Option<MemoryGuard> {
        self.shared.settings.memory_guard
    }

    /// The same calls with chunks of `size` items, instead of chunks that grow to a few milliseconds of work: Python's
    /// `chunksize`.
    pub fn chunk_size(&self, size: usize) -> Calls<'_> {
        self.calls().chunk_size(size)
    }

    /// The same calls with a limit for the call as a whole. When it runs out what has not begun is given up, and workers
    /// that run a task of the call are killed and replaced.
    pub fn call_timeout(&self, limit: Duration) -> Calls<'_> {
        self.calls().call_timeout(limit)
    }

    /// The same calls with a journal: results that it has are not worked out again, and new ones are recorded before the
    /// caller gets them.
    ///
    /// If one cannot be recorded (the disk is full) the call ends. Those that return all results at once give the error;
    /// with `imap` and its like no more items are pulled, what has not begun is
    /// [`FailureKind::Cancelled`](crate::FailureKind::Cancelled) with the reason, and [`Journal::flush`] gives the error.
    pub fn journal<'p>(&'p self, journal: &'p Journal) -> Calls<'p> {
        self.calls().journal(journal)
    }

    fn calls(&self) -> Calls<'_> {
        Calls { pool: self, options: CallOptions::default() }
    }

    /// Runs one task and waits for its result: Python's `apply`.
    ///
    /// # Errors
    /// [`ErrorKind::Task`] if it failed, [`ErrorKind::Closed`] or [`ErrorKind::Broken`] if the pool cannot run it.
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<R, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.submit_quietly(function, argument)?.wait().into_result().map_err(Error::task)
    }

    /// Hands one task over and returns at once: Python's `apply_async`, and the executors' `submit`.
    ///
    /// There is no limit on how many tasks wait; each takes some memory, and no file descriptors.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] or [`ErrorKind::Broken`] if the pool takes no tasks, [`ErrorKind::OutsideImage`] for a
    /// function of a shared library. An argument that cannot be encoded is the task's own failure.
    pub fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let task = self.submit_quietly(function, argument)?;
        // Nobody may be waiting for it: the engine looks after it.
        self.shared.leave();
        Ok(task)
    }

    fn submit_quietly<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.shared.check_open()?;
        let batch = self.batch::<Run, _>(Plain(function), None)?;
        let task = Task::new(Arc::clone(&self.shared), Arc::clone(&batch));
        let mut payload = Vec::new();
        match wire::encode_argument(argument, &mut payload) {
            Ok(handles) => {
                let (range, payload) = (0..payload.len(), Arc::new(payload));
                let handles = carried(handles);
                self.shared.submit(Chunk {
                    batch,
                    first: 0,
                    count: 1,
                    attempts: 0,
                    unbegun: 0,
                    is_single: true,
                    payload,
                    range,
                    handles,
                });
            }
            Err(message) => {
                let kind = crate::FailureKind::BadArgument { message };
                let failure = crate::Failure::new(crate::outcome::Details::of(kind, 0));
                shared::deliver_locally(&self.shared, &batch, Event::Failed(failure));
            }
        }
        Ok(task)
    }

    /// Runs `function` for every item and returns the results in order. All tasks are run, even if one fails.
    ///
    /// # Errors
    /// [`ErrorKind::Task`] with the first failed task in order, if any failed; [`ErrorKind::Closed`] or
    /// [`ErrorKind::Broken`] if the pool cannot run it.
    pub fn map<A, R>(&self, function: fn(A) -> R, items: impl IntoIterator<Item = A>) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.calls().map(function, items)
    }

    /// As [`Pool::map`], for a function that returns a `Result`: its `Err` is the task's failure, with the error's text.
    ///
    /// # Errors
    /// As [`Pool::map`].
    pub fn try_map<A, R, E>(
        &self,
        function: fn(A) -> Result<R, E>,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
    {
        self.calls().try_map(function, items)
    }

    /// As [`Pool::map`], for a function that also takes a context, which is sent once to each worker that needs it.
    ///
    /// # Examples
    /// ```
    /// # procession::init();
    /// # let pool = procession::Pool::new()?;
    /// let words = vec!["zero".to_string(), "one".to_string()];
    /// let spelled = pool.map_with(&words, |words: &Vec<String>, n: usize| words[n].clone(), [1, 0])?;
    /// assert_eq!(spelled, ["one", "zero"]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::map`], and [`ErrorKind::BadArgument`] if the context cannot be encoded.
    pub fn map_with<C, A, R>(
        &self,
        context: &C,
        function: fn(&C, A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.calls().map_with(context, function, items)
    }

    /// Runs `function` for every item and gives the outcomes in order, as far as they are there. Items are pulled as
    /// workers need them, up to the limits of [`PoolBuilder::max_in_flight`].
    ///
    /// # Errors
    /// As [`Pool::submit`].
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().imap(function, items)
    }

    /// As [`Pool::imap`], in the order in which tasks finish.
    ///
    /// # Errors
    /// As [`Pool::submit`].
    pub fn imap_unordered<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().imap_unordered(function, items)
    }

    /// As [`Pool::imap_unordered`], with a context as in [`Pool::map_with`].
    ///
    /// # Errors
    /// As [`Pool::map_with`], but for tasks that fail.
    pub fn imap_unordered_with<C, A, R, I>(
        &self,
        context: &C,
        function: fn(&C, A) -> R,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().imap_unordered_with(context, function, items)
    }

    /// As [`Pool::imap`], for a function that returns a `Result`: its `Err` is the failure in that task's outcome.
    ///
    /// # Errors
    /// As [`Pool::imap`].
    pub fn try_imap<A, R, E, I>(&self, function: fn(A) -> Result<R, E>, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().try_imap(function, items)
    }

    /// As [`Pool::try_imap`], with a context as in [`Pool::map_with`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered_with`].
    pub fn try_imap_with<C, A, R, E, I>(
        &self,
        context: &C,
        function: fn(&C, A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().try_imap_with(context, function, items)
    }

    /// As [`Pool::try_imap`], in the order in which tasks finish.
    ///
    /// # Errors
    /// As [`Pool::imap`].
    pub fn try_imap_unordered<A, R, E, I>(
        &self,
        function: fn(A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().try_imap_unordered(function, items)
    }

    /// As [`Pool::try_imap_unordered`], with a context as in [`Pool::map_with`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered_with`].
    pub fn try_imap_unordered_with<C, A, R, E, I>(
        &self,
        context: &C,
        function: fn(&C, A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls().try_imap_unordered_with(context, function, items)
    }

    /// What the pool has done so far, and what its workers use.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Takes no more calls. Those that have begun are still done, with all of their items.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Closes the pool, waits for all tasks and their callbacks, and for the workers to end.
    pub fn join(self) {
        self.shared.close();
        self.shared.join();
        self.shared.finish_callbacks();
    }

    /// Ends all workers at once. Tasks without outcome get [`FailureKind::Cancelled`](crate::FailureKind::Cancelled).
    /// Dropping the pool does the same.
    pub fn terminate(&self) {
        self.shared.terminate();
    }

    fn batch<S, T>(&self, target: T, context: Option<Arc<Context>>) -> Result<Arc<Batch>, Error>
    where
        S: Shim<T, Context = Tasks>,
        T: Target,
    {
        let call = Call::<Tasks>::new::<S, T>(target).map_err(|OutsideImage| Error::outside_image())?.to_raw();
        Ok(Batch::new(call, context, self.shared.pace(call)))
    }
}

impl<'p> Calls<'p> {
    /// See [`Pool::chunk_size`].
    pub fn chunk_size(mut self, size: usize) -> Self {
        self.options.chunk_size = Some(size);
        self
    }

    /// See [`Pool::call_timeout`].
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// See [`Pool::journal`].
    pub fn journal(mut self, journal: &'p Journal) -> Self {
        self.options.journal = Some(journal);
        self
    }

    fn feed<I, R>(&self, batch: Arc<Batch>, items: I) -> Result<Feed<I::IntoIter, R>, Error>
    where
        I: IntoIterator,
        I::Item: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        self.pool.shared.check_open()?;
        Ok(Feed::new(&self.pool.shared, batch, items.into_iter(), self.options))
    }

    fn context<C: Serialize>(context: &C) -> Result<Option<Arc<Context>>, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (bytes, handles) = wire::encode_shared(context).map_err(|e| {
            Error::new(ErrorKind::BadArgument, format!("failed to encode the context of the call: {e}"))
        })?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Arc::new(Context { id, bytes: Arc::new(bytes), handles: carried(handles) })))
    }

    /// See [`Pool::map`].
    ///
    /// # Errors
    /// As [`Pool::map`], and [`ErrorKind::Timeout`].
    pub fn map<A, R>(self, function: fn(A) -> R, items: impl IntoIterator<Item = A>) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.feed(self.pool.batch::<Run, _>(Plain(function), None)?, items)?.collect_all()
    }

    /// See [`Pool::try_map`].
    ///
    /// # Errors
    /// As [`Pool::map`], and [`ErrorKind::Timeout`].
    pub fn try_map<A, R, E>(
        self,
        function: fn(A) -> Result<R, E>,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
    {
        self.feed(self.pool.batch::<TryRun, _>(Plain(function), None)?, items)?.collect_all()
    }

    /// See [`Pool::map_with`].
    ///
    /// # Errors
    /// As [`Pool::map_with`], and [`ErrorKind::Timeout`].
    pub fn map_with<C, A, R>(
        self,
        context: &C,
        function: fn(&C, A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let context = Self::context(context)?;
        self.feed(self.pool.batch::<Run, _>(WithContext(function), context)?, items)?.collect_all()
    }

    /// See [`Pool::imap`].
    ///
    /// # Errors
    /// As [`Pool::imap`].
    pub fn imap<A, R, I>(self, function: fn(A) -> R, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        Ok(Imap::new(self.feed(self.pool.batch::<Run, _>(Plain(function), None)?, items)?, true))
    }

    /// See [`Pool::imap_unordered`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered`].
    pub fn imap_unordered<A, R, I>(self, function: fn(A) -> R, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        Ok(Imap::new(self.feed(self.pool.batch::<Run, _>(Plain(function), None)?, items)?, false))
    }

    /// See [`Pool::imap_unordered_with`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered_with`].
    pub fn imap_unordered_with<C, A, R, I>(
        self,
        context: &C,
        function: fn(&C, A) -> R,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        let context = Self::context(context)?;
        Ok(Imap::new(self.feed(self.pool.batch::<Run, _>(WithContext(function), context)?, items)?, false))
    }

    /// See [`Pool::try_imap`].
    ///
    /// # Errors
    /// As [`Pool::imap`].
    pub fn try_imap<A, R, E, I>(self, function: fn(A) -> Result<R, E>, items: I) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        Ok(Imap::new(self.feed(self.pool.batch::<TryRun, _>(Plain(function), None)?, items)?, true))
    }

    /// See [`Pool::try_imap_with`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered_with`].
    pub fn try_imap_with<C, A, R, E, I>(
        self,
        context: &C,
        function: fn(&C, A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        let context = Self::context(context)?;
        Ok(Imap::new(self.feed(self.pool.batch::<TryRun, _>(WithContext(function), context)?, items)?, true))
    }

    /// See [`Pool::try_imap_unordered`].
    ///
    /// # Errors
    /// As [`Pool::imap`].
    pub fn try_imap_unordered<A, R, E, I>(
        self,
        function: fn(A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        Ok(Imap::new(self.feed(self.pool.batch::<TryRun, _>(Plain(function), None)?, items)?, false))
    }

    /// See [`Pool::try_imap_unordered_with`].
    ///
    /// # Errors
    /// As [`Pool::imap_unordered_with`].
    pub fn try_imap_unordered_with<C, A, R, E, I>(
        self,
        context: &C,
        function: fn(&C, A) -> Result<R, E>,
        items: I,
    ) -> Result<Imap<I::IntoIter, R>, Error>
    where
        C: Serialize + DeserializeOwned + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        E: std::fmt::Display + 'static,
        I: IntoIterator<Item = A>,
    {
        let context = Self::context(context)?;
        Ok(Imap::new(self.feed(self.pool.batch::<TryRun, _>(WithContext(function), context)?, items)?, false))
    }
}
