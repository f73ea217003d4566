//! Stopping a job from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use procession::Pool;

/// Stops a running job from another thread.
#[derive(Debug, Default)]
pub struct Interrupt {
    is_raised: AtomicBool,
    is_pulling: AtomicBool,
    pool: Mutex<Weak<Pool>>,
}

impl Interrupt {
    /// Ends the workers. What is done so far is reported.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Relaxed);
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(pool) = pool {
            pool.terminate();
        }
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// Whether the program looks for its next input just now. If it does so for long, it waits for a fifo or a terminal,
    /// and nothing that is raised wakes it up.
    pub fn is_pulling(&self) -> bool {
        self.is_pulling.load(Ordering::Relaxed)
    }

    pub(super) fn pulling<R>(&self, pull: impl FnOnce() -> R) -> R {
        self.is_pulling.store(true, Ordering::Relaxed);
        let pulled = pull();
        self.is_pulling.store(false, Ordering::Relaxed);
        pulled
    }

    pub(super) fn watch(&self, pool: &Arc<Pool>) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(pool);
    }
}
