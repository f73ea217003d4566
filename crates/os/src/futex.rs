//! Sleeping on a word of shared memory until another process changes it (futex(2), without FUTEX_PRIVATE_FLAG).

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex;
use rustix::time::Timespec;

/// Sleeps until woken, unless `word` no longer holds `expected`. May also return early for no reason, so callers look
/// again at what they wait for. Returns false when `timeout` ran out.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let timeout = timeout
        .map(|t| Timespec { tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: t.subsec_nanos().into() });
    !matches!(futex::wait(word, futex::Flags::empty(), expected, timeout.as_ref()), Err(rustix::io::Errno::TIMEDOUT))
}

/// Wakes up to `count` sleepers on `word`, at most `i32::MAX`, and returns how many.
pub fn futex_wake(word: &AtomicU32, count: u32) -> usize {
    // It fails only for a bad address, and a reference is none.
    futex::wake(word, futex::Flags::empty(), count.min(i32::MAX as u32)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_not_slept_on_and_a_timeout_ends() {
        let word = AtomicU32::new(1);
        assert!(futex_wait(&word, 0, None));
        assert!(!futex_wait(&word, 1, Some(Duration::from_millis(1))));
        assert_eq!(futex_wake(&word, 1), 0);
    }
}
