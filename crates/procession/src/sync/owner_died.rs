//! What a lock tells its next holder when the last one did not live to let go.

use std::fmt;

use crate::{Error, ErrorKind};

/// A guard, or the notice that comes with it: an earlier holder died or panicked while it held the lock.
pub type LockResult<G> = Result<G, OwnerDied<G>>;

/// The lock is yours, but a process died while it held it, or a thread panicked: what it guards may be half changed.
///
/// Each later holder gets this notice, until one calls `clear_poison` on the lock or its guard. As with
/// [`std::sync::PoisonError`], [`OwnerDied::into_guard`] goes on regardless.
///
/// As an [`Error`] it is [`ErrorKind::OwnerDied`], and lets go of the lock.
///
/// # Examples
/// ```
/// # procession::init();
/// let lock = procession::Lock::new()?;
/// let guard = lock.acquire().unwrap_or_else(|died| {
///     // ... repair what it guards ...
///     died.guard().clear_poison();
///     died.into_guard()
/// });
/// # drop(guard);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct OwnerDied<G>(G);

impl<G> OwnerDied<G> {
    pub(crate) fn new(guard: G) -> OwnerDied<G> {
        OwnerDied(guard)
    }

    /// The lock's guard, which lets go of it when dropped.
    pub fn into_guard(self) -> G {
        self.0
    }

    /// The lock's guard, to look at.
    pub fn guard(&self) -> &G {
        &self.0
    }

    /// The lock's guard, to change what it guards.
    pub fn guard_mut(&mut self) -> &mut G {
        &mut self.0
    }
}

impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").finish_non_exhaustive()
    }
}

impl<G> fmt::Display for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a process died or panicked while it held the lock: what the lock guards may be half changed; repair it and \
             call `clear_poison`",
        )
    }
}

impl<G> std::error::Error for OwnerDied<G> {}

impl<G> From<OwnerDied<G>> for Error {
    fn from(died: OwnerDied<G>) -> Error {
        Error::new(ErrorKind::OwnerDied, died.to_string())
    }
}
