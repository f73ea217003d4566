//! Panics of tasks: kept for their outcome instead of printed.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::wire::Fault;

thread_local! {
    /// What the panic hook saw last in this thread, while a task runs.
    static PANIC: RefCell<Option<(String, Option<String>)>> = const { RefCell::new(None) };
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panics of tasks for their outcome instead of printing them. Those of other threads are printed as ever.
pub(crate) fn catch_panics() {
    // Without unwinding the process ends in the hook's wake, so the message has to be printed.
    if cfg!(panic = "abort") {
        return;
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_TASK.get() {
                return default(info);
            }
            let backtrace = Backtrace::capture();
            let stack = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
            let location = info.location().map(ToString::to_string).unwrap_or_default();
            PANIC.with_borrow_mut(|panic| *panic = Some((location, stack)));
        }));
    });
}

/// Runs `f`; its panic is a fault, and is not printed if [`catch_panics`] was called.
pub(crate) fn catch<T>(f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    PANIC.take();
    let outer = IN_TASK.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(f));
    IN_TASK.set(outer);
    caught.unwrap_or_else(|payload| Err(describe_panic(payload)))
}

/// What a panic says, if that is text.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> Option<String> {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return Some(*text),
        Err(payload) => payload,
    };
    match payload.downcast::<&str>() {
        Ok(text) => Some(text.to_string()),
        Err(payload) => {
            // Its drop may panic again.
            std::mem::forget(payload);
            None
        }
    }
}

fn describe_panic(payload: Box<dyn Any + Send>) -> Fault {
    let message = panic_text(payload).unwrap_or_else(|| "a value that is no text".to_string());
    let (location, backtrace) = PANIC.take().unwrap_or_default();
    Fault::Panicked { message, location, backtrace }
}
