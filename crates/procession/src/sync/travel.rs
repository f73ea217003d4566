//! How the objects of this module travel: each is a segment of shared memory, of a kind and size of its own.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::segment::{Kind, SharedSegment};

/// Receives a segment, and checks that it is of this kind and has so many bytes.
pub(super) fn receive<'de, D: Deserializer<'de>>(
    deserializer: D,
    kind: Kind,
    bytes: usize,
) -> Result<SharedSegment, D::Error> {
    let segment = SharedSegment::deserialize(deserializer)?;
    segment.check(kind, bytes).map_err(|e| D::Error::custom(crate::handle::note(e)))?;
    Ok(segment)
}

/// Implements `Serialize` and `Deserialize` for a handle that is made of a segment alone.
macro_rules! travels {
    ($handle:ident, $kind:expr, $bytes:expr) => {
        impl serde::Serialize for $handle {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $handle {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$handle, D::Error> {
                crate::sync::travel::receive(deserializer, $kind, $bytes)
                    .map(|segment| $handle(std::sync::Arc::new(segment)))
            }
        }
    };
}
pub(super) use travels;

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use crate::handle::{Sending, with_received};
    use crate::segment::AT_BODY;
    use crate::sync::*;
    use proptest::prelude::{Strategy, any};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// The handle as another process would get it.
    pub fn sent<A: Serialize, B: DeserializeOwned>(handle: &A) -> Result<B, postcard::Error> {
        let sending = Sending::begin();
        let bytes = postcard::to_stdvec(handle).unwrap();
        let fds = sending.take().iter().map(|handle| handle.as_fd().try_clone_to_owned().unwrap()).collect();
        with_received(fds, || postcard::from_bytes(&bytes))
    }

    /// As who holds or waits for something and has died: no process has such a number (proc_sys_kernel_pid_max(5)).
    pub const DEAD: u64 = 7 << 32 | 1 << 23;

    fn check<T: Serialize + DeserializeOwned + std::fmt::Debug>(handle: &T, kind: &Kind) {
        let same: T = sent(handle).unwrap();
        assert_eq!(format!("{same:?}"), format!("{handle:?}"));
        assert!(postcard::to_stdvec(handle).is_err(), "sent without a descriptor");
        let other = SharedSegment::create(*b"OTHER   ", 100_000).unwrap();
        assert!(sent::<_, T>(&other).is_err(), "another kind was taken");
        let short = SharedSegment::create(*kind, 0).unwrap();
        assert!(sent::<_, T>(&short).is_err(), "a segment of {AT_BODY} bytes was taken");
    }

    #[test]
    fn handles_are_the_same_object_elsewhere_and_others_are_refused() {
        check(&Lock::new().unwrap(), b"LOCK    ");
        check(&RLock::new().unwrap(), b"RLOCK   ");
        check(&Semaphore::new(3).unwrap(), b"SEMAPHOR");
        check(&BoundedSemaphore::new(3).unwrap(), b"BOUNDED ");
        check(&Event::new().unwrap(), b"EVENT   ");
        check(&Condition::new().unwrap(), b"CONDITIO");
        check(&Barrier::new(3).unwrap(), b"BARRIER ");
    }

    proptest::proptest! {
        /// Whatever another process writes into an object, in the midst of its use: nobody panics.
        #[test]
        fn hostile_objects_are_objects_too(words in proptest::collection::vec((0..20usize, word()), 1..30)) {
            let object = |kind: &Kind| {
                let segment = SharedSegment::create(*kind, 70_000).unwrap();
                for &(at, word) in &words {
                    // Not the lock word: a live process that says it has it can keep all waiting.
                    let at = if at < 8 { AT_BODY + 8 + at * 8 } else { AT_BODY + 128 + (at - 8) * 8 };
                    segment.u64(at).store(word, std::sync::atomic::Ordering::Relaxed);
                }
                segment
            };
            let (now, soon) = (Duration::ZERO, Duration::from_micros(50));
            let lock: RLock = sent(&object(b"RLOCK   ")).unwrap();
            drop((lock.acquire(), lock.try_acquire()));
            let event: Event = sent(&object(b"EVENT   ")).unwrap();
            event.set();
            event.clear();
            event.wait_timeout(soon);
            let semaphore: Semaphore = sent(&object(b"SEMAPHOR")).unwrap();
            drop((semaphore.try_acquire(), semaphore.release(), semaphore.acquire_timeout(soon), semaphore.available()));
            let bounded: BoundedSemaphore = sent(&object(b"BOUNDED ")).unwrap();
            let _ = (bounded.try_acquire_signal(), bounded.release(), bounded.try_acquire());
            let condition: Condition = sent(&object(b"CONDITIO")).unwrap();
            let mut guard = condition.acquire().unwrap();
            guard.notify(1);
            let _ = guard.wait_timeout(now);
            guard.notify_all();
            let _ = (guard.wait_timeout(soon), guard.wait_for_timeout(|| false, now));
            let barrier: Barrier = sent(&object(b"BARRIER ")).unwrap();
            let _ = (barrier.wait_timeout(now), barrier.n_waiting(), barrier.parties());
            barrier.abort();
            barrier.reset();
            let _ = barrier.wait_timeout(soon);
        }
    }

    fn word() -> impl Strategy<Value = u64> {
        proptest::prop_oneof![
            any::<u64>(),
            0..5u64,
            proptest::prelude::Just(DEAD),
            (0..5u64).prop_map(|n| u64::MAX - n)
        ]
    }
}
