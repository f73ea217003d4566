//! Keeps what a library does not expect of a file from being a failure of the program.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a step of a library that reads a file, which is not used further if the step fails.
///
/// # Errors
/// When it panics: it does so over bytes that no writer has made, and which cannot all be checked before.
pub fn guarded<R>(step: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        format!("it is damaged: {}", text.unwrap_or("its reader gave up"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| 1), Ok(1));
        let lists: Vec<usize> = Vec::new();
        let error = guarded(|| lists[std::hint::black_box(3)]).unwrap_err();
        assert!(error.starts_with("it is damaged: index out of bounds"), "{error}");
        assert_eq!(guarded(|| -> u8 { panic!("at once") }), Err("it is damaged: at once".to_string()));
    }
}
