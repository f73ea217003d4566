//! What keeps processes out of each other's way: Python's `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore`, `Event`,
//! `Condition` and `Barrier`, in shared memory.
//!
//! Each is a handle: clone it, send it as an argument to a [`Process`](crate::Process) or a task, and all who have it
//! share one object. A process may die at any moment, whatever it holds or waits for; nobody hangs for it, and who
//! comes next is told where that matters.

mod barrier;
mod bounded;
mod condition;
mod event;
mod lock;
mod owner_died;
mod parties;
mod recursive;
mod semaphore;
mod travel;
mod wait;
mod word;

pub use barrier::{Barrier, BrokenBarrier};
pub use bounded::BoundedSemaphore;
pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use owner_died::{LockResult, OwnerDied};
pub use recursive::{RLock, RLockGuard};
pub use semaphore::{Permit, Semaphore};
#[allow(unused_imports)]
pub(crate) use wait::Wait;
pub(crate) use word::{LockWord, Taken, pack, unpack};
