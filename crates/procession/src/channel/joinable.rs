//! A queue that knows when all its items are done: Python's `JoinableQueue`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::core::{self, Core, Patience};
use super::queue::{self, QueueBuilder};
use crate::Error;
use crate::segment::Kind;

const KIND: Kind = *b"JOINABLE";

/// A [`Queue`](crate::Queue) whose consumers say when an item is done, so that others can wait until all are: Python's
/// `JoinableQueue`.
///
/// The process that got an item is the one that calls [`task_done`](JoinableQueue::task_done) for it. A process that
/// ends, in whatever way, without having done so holds up nobody: its items count as over, and
/// [`join`](JoinableQueue::join) tells how many were lost so.
///
/// # Examples
/// ```
/// use procession::{JoinableQueue, Process};
///
/// fn work(queue: JoinableQueue<u64>) {
///     while let Ok(_n) = queue.get() {
///         queue.task_done().unwrap();
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let queue = JoinableQueue::unbounded()?;
///     let mut process = Process::spawn(work, queue.clone())?;
///     for n in 0..10 {
///         queue.put(n)?;
///     }
///     assert_eq!(queue.join()?.lost, 0);
///     queue.close()?;
///     process.join()?;
///     Ok(())
/// }
/// ```
pub struct JoinableQueue<T> {
    core: Arc<Core>,
    items: PhantomData<fn(T) -> T>,
}

/// What [`JoinableQueue::join`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Items that processes had taken and not done when they ended, in the life of the queue.
    pub lost: u64,
}

impl<T> JoinableQueue<T> {
    /// A queue without a limit; see [`Queue::unbounded`](crate::Queue::unbounded).
    ///
    /// # Errors
    /// As [`QueueBuilder::build`].
    pub fn unbounded() -> Result<JoinableQueue<T>, Error> {
        JoinableQueue::bounded(0)
    }

    /// A queue of at most `max_items`; see [`Queue::bounded`](crate::Queue::bounded).
    ///
    /// # Errors
    /// As [`QueueBuilder::build`].
    pub fn bounded(max_items: usize) -> Result<JoinableQueue<T>, Error> {
        QueueBuilder::default().max_items(max_items).build_joinable()
    }

    /// Says that an item is done that this process got.
    ///
    /// # Errors
    /// [`ErrorKind::NotAcquired`](crate::ErrorKind::NotAcquired) if this process has done all that it got,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the queue's memory is no queue any more.
    pub fn task_done(&self) -> Result<(), Error> {
        self.core.task_done()
    }

    /// Waits until no item is in the queue and each that was taken is done, or lost with its process.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the queue's memory is no queue any more.
    pub fn join(&self) -> Result<Joined, Error> {
        Ok(Joined { lost: self.core.join(Patience::Forever)? })
    }

    /// As [`join`](JoinableQueue::join), at most for `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), and as [`join`](JoinableQueue::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<Joined, Error> {
        Ok(Joined { lost: self.core.join(Patience::For(timeout))? })
    }

    /// As [`Queue::qsize`](crate::Queue::qsize).
    pub fn qsize(&self) -> usize {
        self.core.len()
    }

    /// As [`Queue::is_empty`](crate::Queue::is_empty).
    pub fn is_empty(&self) -> bool {
        self.core.is_empty()
    }

    /// As [`Queue::is_full`](crate::Queue::is_full).
    pub fn is_full(&self) -> bool {
        self.core.len() as u64 >= self.core.max_items()
    }

    /// As [`Queue::close`](crate::Queue::close).
    ///
    /// # Errors
    /// As [`Queue::close`](crate::Queue::close).
    pub fn close(&self) -> Result<(), Error> {
        self.core.close()
    }

    /// As [`Queue::is_closed`](crate::Queue::is_closed).
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }
}

impl QueueBuilder {
    /// Makes a [`JoinableQueue`].
    ///
    /// # Errors
    /// As [`build`](QueueBuilder::build).
    pub fn build_joinable<T>(self) -> Result<JoinableQueue<T>, Error> {
        Ok(JoinableQueue { core: Arc::new(self.core(KIND)?), items: PhantomData })
    }
}

impl<T: Serialize + 'static> JoinableQueue<T> {
    /// As [`Queue::put`](crate::Queue::put).
    ///
    /// # Errors
    /// As [`Queue::put`](crate::Queue::put).
    pub fn put(&self, value: T) -> Result<(), Error> {
        queue::put(&self.core, value, Patience::Forever)
    }

    /// As [`Queue::put_timeout`](crate::Queue::put_timeout).
    ///
    /// # Errors
    /// As [`Queue::put_timeout`](crate::Queue::put_timeout).
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), Error> {
        queue::put(&self.core, value, Patience::For(timeout))
    }

    /// As [`Queue::try_put`](crate::Queue::try_put).
    ///
    /// # Errors
    /// As [`Queue::try_put`](crate::Queue::try_put).
    pub fn try_put(&self, value: T) -> Result<(), Error> {
        queue::put(&self.core, value, Patience::No)
    }
}

impl<T: DeserializeOwned + 'static> JoinableQueue<T> {
    /// As [`Queue::get`](crate::Queue::get). The item is to be [done](JoinableQueue::task_done) by this process, also
    /// if it is no value of this type.
    ///
    /// # Errors
    /// As [`Queue::get`](crate::Queue::get), and [`ErrorKind::Full`](crate::ErrorKind::Full) if 4096 living processes
    /// have got items of the queue.
    pub fn get(&self) -> Result<T, Error> {
        queue::get(&self.core, Patience::Forever, true)
    }

    /// As [`get`](JoinableQueue::get), at most for `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), and as [`get`](JoinableQueue::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        queue::get(&self.core, Patience::For(timeout), true)
    }

    /// As [`get`](JoinableQueue::get), without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`](crate::ErrorKind::Empty), and as [`get`](JoinableQueue::get).
    pub fn try_get(&self) -> Result<T, Error> {
        queue::get(&self.core, Patience::No, true)
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> JoinableQueue<T> {
        JoinableQueue { core: Arc::clone(&self.core), items: PhantomData }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue").field("qsize", &self.qsize()).field("is_closed", &self.is_closed()).finish()
    }
}

impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.core.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JoinableQueue<T>, D::Error> {
        Ok(JoinableQueue { core: Arc::new(core::receive(KIND, deserializer)?), items: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn join_waits_for_the_last_item() {
        let queue = JoinableQueue::unbounded().unwrap();
        assert_eq!(queue.join().unwrap(), Joined { lost: 0 });
        (0..100u64).for_each(|n| queue.put(n).unwrap());
        assert!(queue.join_timeout(Duration::ZERO).unwrap_err().is_timeout());
        std::thread::scope(|scope| {
            let joiners: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.join().unwrap())).collect();
            for n in 0..100 {
                assert_eq!(queue.get().unwrap(), n);
                assert!(joiners.iter().all(|joiner| !joiner.is_finished()));
                queue.task_done().unwrap();
            }
            joiners.into_iter().for_each(|joiner| assert_eq!(joiner.join().unwrap().lost, 0));
        });
        assert_eq!(queue.task_done().unwrap_err().kind(), ErrorKind::NotAcquired);
    }

    #[test]
    fn an_item_that_is_taken_is_not_yet_done() {
        let queue = QueueBuilder::default().max_items(1).build_joinable::<u8>().unwrap();
        queue.put(1).unwrap();
        assert!(queue.is_full() && queue.try_put(2).unwrap_err().kind() == ErrorKind::Full);
        assert_eq!(queue.try_get().unwrap(), 1);
        assert!(queue.is_empty() && queue.qsize() == 0);
        assert!(queue.join_timeout(Duration::from_millis(1)).is_err());
        queue.task_done().unwrap();
        queue.join().unwrap();
        queue.close().unwrap();
        assert!(queue.is_closed() && queue.get().unwrap_err().kind() == ErrorKind::Closed);
    }
}
