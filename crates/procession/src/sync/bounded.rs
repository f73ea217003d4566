//! A semaphore that is never released too often: Python's `BoundedSemaphore`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::semaphore::{Permit, Semaphore};
use crate::segment::Kind;
use crate::{Error, ErrorKind};

const KIND: Kind = *b"BOUNDED ";

/// A [`Semaphore`] that never has more permits than at first: Python's `BoundedSemaphore`.
///
/// One [`release`](BoundedSemaphore::release) too many is an error, and not one more permit.
///
/// # Examples
/// ```
/// # procession::init();
/// let semaphore = procession::BoundedSemaphore::new(1)?;
/// semaphore.acquire_signal();
/// semaphore.release()?;
/// assert!(semaphore.release().is_err());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// A semaphore with so many permits.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] if the system refuses the memory or the descriptor.
    pub fn new(permits: usize) -> Result<BoundedSemaphore, Error> {
        Semaphore::create(KIND, permits).map(BoundedSemaphore)
    }

    /// As [`Semaphore::acquire`].
    pub fn acquire(&self) -> Permit<'_> {
        self.0.acquire()
    }

    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.0.try_acquire()
    }

    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.0.acquire_timeout(timeout)
    }

    /// As [`Semaphore::acquire_signal`].
    pub fn acquire_signal(&self) {
        self.0.acquire_signal();
    }

    /// As [`Semaphore::try_acquire_signal`].
    pub fn try_acquire_signal(&self) -> bool {
        self.0.try_acquire_signal()
    }

    /// As [`Semaphore::acquire_signal_timeout`].
    pub fn acquire_signal_timeout(&self, timeout: Duration) -> bool {
        self.0.acquire_signal_timeout(timeout)
    }

    /// Gives back what [`BoundedSemaphore::acquire_signal`] has taken away. A [`Permit`] comes back by itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotAcquired`] if all signals have been given back.
    pub fn release(&self) -> Result<(), Error> {
        if self.0.add_bounded() {
            return Ok(());
        }
        let message = "failed to release a bounded semaphore: it has all the permits that it was made with; call \
                       `release` once for each `acquire_signal`, and not for a `Permit`";
        Err(Error::new(ErrorKind::NotAcquired, message))
    }

    /// As [`Semaphore::available`].
    pub fn available(&self) -> usize {
        self.0.available()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

impl Serialize for BoundedSemaphore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BoundedSemaphore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BoundedSemaphore, D::Error> {
        Semaphore::receive(deserializer, KIND).map(BoundedSemaphore)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_release_too_many_is_an_error() {
        let semaphore = BoundedSemaphore::new(2).unwrap();
        semaphore.acquire_signal();
        assert!(semaphore.try_acquire_signal() && !semaphore.acquire_signal_timeout(Duration::ZERO));
        semaphore.release().unwrap();
        // A permit is not given back by a release.
        let permit = semaphore.acquire();
        semaphore.release().unwrap();
        assert_eq!(semaphore.release().unwrap_err().kind(), ErrorKind::NotAcquired);
        assert_eq!(semaphore.available(), 1);
        drop(permit);
        assert!(semaphore.release().is_err());
        assert_eq!(semaphore.available(), 2);
        drop((semaphore.try_acquire().unwrap(), semaphore.acquire_timeout(Duration::MAX).unwrap()));
    }
}
