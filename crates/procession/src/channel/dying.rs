//! Death at every step: before each store to shared memory a queue says so here, and a test can end it there.

/// Called before each store. Nothing, but in tests.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn step() {}

#[cfg(test)]
pub(super) use in_tests::{dies_at, step};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    thread_local! {
        static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// What a thread unwinds with in the place of dying.
    struct Death;

    pub fn step() {
        match STEPS_LEFT.get() {
            Some(0) => resume_unwind(Box::new(Death)),
            Some(steps) => STEPS_LEFT.set(Some(steps - 1)),
            None => {}
        }
    }

    /// Runs `f` up to its store number `steps`, counted from 0; true if it got there, and was ended before it.
    pub fn dies_at(steps: u32, f: impl FnOnce()) -> bool {
        STEPS_LEFT.set(Some(steps));
        let result = catch_unwind(AssertUnwindSafe(f));
        STEPS_LEFT.set(None);
        match result {
            Ok(()) => false,
            Err(death) if death.is::<Death>() => true,
            Err(panic) => resume_unwind(panic),
        }
    }
}
