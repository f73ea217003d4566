//! Log events of workers on their way to the program's `tracing` subscriber or `log` logger.
//!
//! A worker sends each as one message through its socket, and never waits: what finds no room is counted, and the count
//! goes with the next one that does. The program passes them on in a thread of its own. Without the feature `tracing`, or
//! without a subscriber in the program, workers send none.

#[cfg(feature = "tracing")]
mod forward;
#[cfg(feature = "tracing")]
mod replay;
#[cfg(feature = "tracing")]
mod spans;

use std::sync::Arc;

use procession_os::Channel;
use serde::{Deserialize, Serialize};

/// A longer text is cut: a message has 16 KiB at most.
#[cfg(feature = "tracing")]
const MAX_TEXT: usize = 8 * 1024;

/// One event, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    source: Source,
    /// 1 (error) to 5 (trace).
    level: u8,
    target: String,
    file: Option<String>,
    line: Option<u32>,
    message: String,
    /// The other fields, as `name=value`.
    fields: String,
    /// The spans that it is in, the outermost first.
    span: String,
    /// The number of the task within its call.
    task: Option<u64>,
    /// Events of this worker that were lost before this one.
    lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    Tracing,
    Log,
}

/// What the program wants to hear: the most verbose levels of `tracing` and of `log`, none of them at 0.
pub(crate) fn wanted() -> u32 {
    #[cfg(feature = "tracing")]
    return replay::wanted();
    #[cfg(not(feature = "tracing"))]
    0
}

/// In a worker: sends from now on what the program wants to hear.
pub(crate) fn forward(wanted: u32, channel: &Arc<Channel>) {
    #[cfg(feature = "tracing")]
    forward::install(wanted, channel);
    let _ = (wanted, channel);
}

/// In a worker: the events of this thread belong to this task from now on.
#[inline]
pub(crate) fn set_task(task: Option<u64>) {
    #[cfg(feature = "tracing")]
    forward::TASK.set(task);
    let _ = task;
}

/// In the program: an event that a worker has sent; none for bytes that are no event.
pub(crate) fn parse(bytes: &[u8]) -> Option<Event> {
    postcard::from_bytes(bytes).ok()
}

/// In the program: gives the subscriber or the logger an event of the worker with this process id.
pub(crate) fn pass_on(event: &Event, worker_pid: u32) {
    #[cfg(feature = "tracing")]
    replay::pass_on(event, worker_pid);
    let _ = (event, worker_pid);
}
