//! What keeps processes out of each other's way: Python's `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore`, `Event`,
//! `Condition` and `Barrier`, in shared memory.
//!
//! Each is a handle: clone it, send it as an argument to a [`Process`](crate::Process) or a task, and all who have it
//! share one object. A process may die at any moment, whatever it holds or waits for; nobody hangs for it, and who
//! comes next is told where that matters.

mod lock;
mod owner_died;
mod word;

pub use lock::{Lock, LockGuard};
pub use owner_died::{LockResult, OwnerDied};
#[allow(unused_imports)]
pub(crate) use word::{LockWord, Taken};
