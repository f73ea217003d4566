//! Messages between processes: pipes with two ends, and queues for any number of processes.

mod core;
mod deque;
mod dying;
mod joinable;
pub(crate) mod link;
mod pipe;
mod queue;
mod sleepers;
mod undone;

pub use joinable::{JoinableQueue, Joined};
pub use pipe::{Connection, Pipe, Receiver, Sender};
pub use queue::{Queue, QueueBuilder};
