//! Multiprocessing for Rust: worker processes that can be killed, capped, caged and replaced.
//!
//! A thread cannot be killed, and takes the whole program down when what it runs crashes. A worker process can, and
//! costs only the task that it ran. [`Pool`] runs plain functions in such processes, [`Process`] runs one; the names are
//! those of Python's `multiprocessing`.
//!
//! ```
//! fn main() -> Result<(), procession::Error> {
//!     procession::init(); // first: a worker process goes to work here and never returns
//!     let pool = procession::Pool::new()?;
//!     assert_eq!(pool.map(|n: u64| n * n, 1..=3)?, [1, 4, 9]);
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod channel;
mod confinement;
mod error;
pub mod forkserver;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod init;
mod journal;
mod lane;
mod limits;
mod logging;
mod machine;
mod manager;
mod open_file;
mod outcome;
mod panics;
mod pool;
mod process;
mod ring;
mod sandbox;
mod segment;
mod shared;
mod supervisor;
pub mod sync;
mod task_error;
mod wire;
mod worker;

pub use channel::{Connection, JoinableQueue, Joined, Pipe, Queue, QueueBuilder, Receiver, Sender};
pub use error::{Error, ErrorKind};
pub use init::init;
pub use journal::Journal;
pub use limits::{IoPriority, Limits, MemoryControl, MemoryGuard};
pub use machine::{Fact, FactState, Machine};
#[doc(hidden)]
pub use manager::macros as __managed;
pub use manager::{DictProxy, ListProxy, Managed, Manager, MethodCall, MethodReply, NamespaceProxy, Proxy, ValueProxy};
pub use open_file::OpenFile;
pub use outcome::{Clock, Failure, FailureKind, Outcome};
pub use pool::{Calls, Imap, Pool, PoolBuilder, Stats, Task, WorkerStats, as_completed, wait};
pub use process::{Process, ProcessBuilder};
pub use sandbox::{Sandbox, SandboxStatus};
pub use shared::{
    Array, ArrayGuard, Integer, PartGuard, SharedBuffer, SharedMemory, SharedPart, SharedParts, SharedSlice, Value,
    ValueGuard,
};
pub use supervisor::StartMethod;
pub use sync::{
    Barrier, BoundedSemaphore, BrokenBarrier, Condition, ConditionGuard, Event, Lock, LockGuard, LockResult, OwnerDied,
    Permit, RLock, RLockGuard, Semaphore,
};
pub use task_error::TaskError;
pub use worker::worker_state;

#[cfg(feature = "ctor")]
procession_os::run_before_main!(crate::init);

/// The programs of the guide for those who come from Python.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;
