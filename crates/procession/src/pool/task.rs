//! A submitted task: the handle of `submit`, and waiting for several.

use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::batch::{Batch, Event, Hook, undecodable};
use super::shared::Shared;
use crate::outcome::{Details, Outcome};
use crate::{Failure, FailureKind, wire};

/// A task that was submitted to a pool: Python's `AsyncResult`.
///
/// It is also a [`Future`] of the task's [`Outcome`] that works under any executor. Dropping it changes nothing for the
/// task, which runs all the same.
///
/// # Examples
/// ```
/// # procession::init();
/// let pool = procession::Pool::new()?;
/// let task = pool.submit(|n: u64| n * n, 7)?;
/// assert_eq!(task.wait().result, Ok(49));
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Task<R> {
    shared: Arc<Shared>,
    batch: Arc<Batch>,
    result: PhantomData<fn() -> R>,
}

impl<R> std::fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl<R> Task<R> {
    pub(crate) fn new(shared: Arc<Shared>, batch: Arc<Batch>) -> Task<R> {
        Task { shared, batch, result: PhantomData }
    }

    /// Whether the task has its outcome.
    pub fn is_ready(&self) -> bool {
        !self.batch.state().events.is_empty()
    }

    /// Gives the task up. If it has not begun it never will; if it runs, its worker is killed and replaced. Its outcome
    /// is then [`FailureKind::Cancelled`], unless it has one already.
    pub fn cancel(&self) {
        let mut core = self.shared.lock();
        if !self.is_ready() {
            core.cancel(&self.batch, "its handle was cancelled", true);
            core.hand_over();
        }
        self.shared.release(core);
    }

    fn take(&self) -> Option<Event> {
        self.batch.state().events.pop()
    }
}

impl<R: DeserializeOwned + 'static> Task<R> {
    /// Waits for the outcome.
    pub fn wait(self) -> Outcome<R> {
        match self.shared.drive(None, false, |_| self.take()) {
            Some(event) => decode(event),
            None => decode_none(),
        }
    }

    /// Waits for the outcome, at most for `timeout`; then gives the handle back. The task goes on.
    ///
    /// # Errors
    /// The handle, if the task takes longer.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Outcome<R>, Task<R>> {
        match self.shared.drive(Instant::now().checked_add(timeout), false, |_| self.take()) {
            Some(event) => Ok(decode(event)),
            None => Err(self),
        }
    }

    /// Has `callback` called with the outcome: once, on a thread of the pool that serves all callbacks in turn. A
    /// callback that takes long holds up others, but not the pool.
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<R>) + Send + 'static) {
        let hook = move |event: Event| callback(&decode(event));
        let mut state = self.batch.state();
        match state.events.last() {
            None => state.hooks.push(Hook::Call(Box::new(hook))),
            Some(event) => {
                let event = event.clone();
                drop(state);
                self.shared.call_back(Box::new(move || hook(event)));
            }
        }
    }

    /// As [`Task::on_done`], for the result of a task that is done: Python's `callback`.
    pub fn on_success(&self, callback: impl FnOnce(&R) + Send + 'static) {
        self.on_done(|outcome| {
            if let Ok(result) = &outcome.result {
                callback(result);
            }
        });
    }

    /// As [`Task::on_done`], for the failure of a task that is not: Python's `error_callback`.
    pub fn on_error(&self, callback: impl FnOnce(&Failure) + Send + 'static) {
        self.on_done(|outcome| {
            if let Err(failure) = &outcome.result {
                callback(failure);
            }
        });
    }
}

impl<R: DeserializeOwned + 'static> Future for Task<R> {
    type Output = Outcome<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        // Wakers are the executor's code: cloned and dropped outside of the lock.
        let waker = Hook::Wake(cx.waker().clone());
        let mut state = self.batch.state();
        if let Some(event) = state.events.pop() {
            drop(state);
            return Poll::Ready(decode(event));
        }
        // An executor may poll often: one waker is enough, the latest.
        let is_waker = |hook: &mut Hook| matches!(hook, Hook::Wake(_));
        let old: Vec<Hook> = state.hooks.extract_if(.., is_waker).collect();
        state.hooks.push(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

fn decode<R: DeserializeOwned + 'static>(event: Event) -> Outcome<R> {
    let mut outcome = None;
    event.for_each(|index, attempts, elapsed, bytes| outcome = Some(decode_item(index, attempts, elapsed, bytes)));
    outcome.unwrap_or_else(decode_none)
}

/// An event without items does not occur; should it, it is no reason to panic.
fn decode_none<R>() -> Outcome<R> {
    let kind = FailureKind::BadResult { message: "it is empty".to_string() };
    Outcome { index: 0, attempts: 0, elapsed: Duration::ZERO, result: Err(Failure::new(Details::of(kind, 0))) }
}

/// One item's outcome from its encoded result.
#[inline]
pub(crate) fn decode_item<R: DeserializeOwned + 'static>(
    index: usize,
    attempts: u32,
    elapsed: Duration,
    bytes: Result<wire::Bytes<'_>, Failure>,
) -> Outcome<R> {
    let result = bytes.and_then(|bytes| wire::decode(bytes).map_err(|message| undecodable(index, attempts, message)));
    Outcome { index, attempts, elapsed, result }
}

/// Numbers of tasks that have become ready, and those who wait for them.
#[derive(Default)]
struct Ready {
    numbers: Mutex<VecDeque<usize>>,
    changed: Condvar,
}

impl Ready {
    fn watch<R>(self: &Arc<Self>, number: usize, task: &Task<R>) {
        let ready = Arc::clone(self);
        let tell = move || {
            ready.numbers.lock().unwrap_or_else(PoisonError::into_inner).push_back(number);
            ready.changed.notify_all();
        };
        let mut state = task.batch.state();
        if state.events.is_empty() {
            state.hooks.push(Hook::Tell(Box::new(tell)));
        } else {
            drop(state);
            tell();
        }
    }

    fn next(&self, deadline: Option<Instant>) -> Option<usize> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(number) = numbers.pop_front() {
                return Some(number);
            }
            numbers = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => self.changed.wait_timeout(numbers, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(numbers).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The outcomes of tasks, of one pool or of several, as they finish. Each comes with the task's position in `tasks`.
///
/// # Examples
/// ```
/// # procession::init();
/// let pool = procession::Pool::new()?;
/// let tasks = [3u64, 4].map(|n| pool.submit(|n: u64| n * n, n).unwrap());
/// let mut squares: Vec<u64> = procession::as_completed(tasks).map(|(_, o)| o.result.unwrap()).collect();
/// squares.sort();
/// assert_eq!(squares, [9, 16]);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn as_completed<R: DeserializeOwned + 'static>(
    tasks: impl IntoIterator<Item = Task<R>>,
) -> impl Iterator<Item = (usize, Outcome<R>)> {
    let ready = Arc::<Ready>::default();
    let mut tasks: Vec<Option<Task<R>>> = tasks.into_iter().map(Some).collect();
    for (number, task) in tasks.iter().enumerate() {
        if let Some(task) = task {
            ready.watch(number, task);
        }
    }
    let mut left = tasks.len();
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        left -= 1;
        let number = ready.next(None)?;
        Some((number, tasks[number].take()?.wait()))
    })
}

/// Waits until at least `count` of `tasks` have their outcome, or `timeout` has passed; returns how many have. With
/// `count` 1 this is Python's `FIRST_COMPLETED`, with `tasks.len()` its `ALL_COMPLETED`.
pub fn wait<R>(tasks: &[Task<R>], count: usize, timeout: Option<Duration>) -> usize {
    let ready = Arc::<Ready>::default();
    let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
    for (number, task) in tasks.iter().enumerate() {
        ready.watch(number, task);
    }
    for _ in 0..count.min(tasks.len()) {
        if ready.next(deadline).is_none() {
            break;
        }
    }
    tasks.iter().filter(|task| task.is_ready()).count()
}
