//! A queue of any number of producers and consumers: Python's `Queue`.

use std::any::TypeId;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::core::{self, Core, MAX_BYTES, Patience};
use crate::segment::Kind;
use crate::wire::{self, Bytes};
use crate::{Error, ErrorKind};

const KIND: Kind = *b"QUEUE   ";
/// A buffer of more bytes is not kept for the next item.
const KEPT_BUFFER: usize = 64 << 10;

/// A queue that any number of processes and threads put items into and get them from, first in, first out: Python's
/// `Queue`.
///
/// Clones are the same queue, and so is what a [`Process`](crate::Process) or a task gets that a queue is sent to.
/// It lies in shared memory; there is no thread that feeds it, so an item that was put is there at once, and stays when
/// the process dies that has put it. A process that is killed at any moment leaves the queue whole: an item is in it or
/// it is not, nobody gets one twice, and only what the dead one had taken is gone with it. Others may have to wait a
/// tenth of a second for the lock that it held.
///
/// Items are plain data: they carry no handles (locks, queues, ends of pipes); a [`Pipe`](crate::Pipe) does. The queue
/// takes memory for what lies in it, and gives back all but some megabytes when it is empty.
///
/// # Examples
/// ```
/// use procession::{Process, Queue};
///
/// fn count((words, counts): (Queue<String>, Queue<(String, usize)>)) {
///     while let Ok(word) = words.get() {
///         let len = word.len();
///         counts.put((word, len)).unwrap();
///     }
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let (words, counts) = (Queue::unbounded()?, Queue::bounded(100)?);
///     let mut process = Process::spawn(count, (words.clone(), counts.clone()))?;
///     words.put("pipe".to_string())?;
///     words.close()?;
///     assert_eq!(counts.get()?, ("pipe".to_string(), 4));
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
pub struct Queue<T> {
    core: Arc<Core>,
    items: PhantomData<fn(T) -> T>,
}

/// Settings for a new [`Queue`]; [`Queue::builder`] makes one.
#[derive(Debug, Clone)]
pub struct QueueBuilder {
    max_items: u64,
    max_bytes: usize,
}

impl Default for QueueBuilder {
    fn default() -> QueueBuilder {
        QueueBuilder { max_items: u64::MAX, max_bytes: MAX_BYTES }
    }
}

impl QueueBuilder {
    /// How many items it may hold; 0 as in Python for any number, which is the default.
    pub fn max_items(mut self, max_items: usize) -> Self {
        self.max_items = if max_items == 0 { u64::MAX } else { max_items as u64 };
        self
    }

    /// How many bytes its items may take, rounded up to a power of two, at least 64 KiB. Default: 16 GiB. It is address
    /// space in each process that has the queue, and memory only for what lies in the queue.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    /// [`ErrorKind::Create`] if the system refuses the memory or the descriptor.
    pub fn build<T>(self) -> Result<Queue<T>, Error> {
        Ok(Queue { core: Arc::new(self.core(KIND)?), items: PhantomData })
    }

    pub(super) fn core(self, kind: Kind) -> Result<Core, Error> {
        Core::create(kind, self.max_items, self.max_bytes)
    }
}

impl Queue<()> {
    /// Settings for a new queue, of any type.
    pub fn builder() -> QueueBuilder {
        QueueBuilder::default()
    }
}

impl<T> Queue<T> {
    /// A queue without a limit but that of its address space, 16 GiB: `put` waits when that is full.
    ///
    /// # Errors
    /// As [`QueueBuilder::build`].
    pub fn unbounded() -> Result<Queue<T>, Error> {
        Queue::builder().build()
    }

    /// A queue of at most `max_items`: `put` waits when it is full. 0 is no limit, as in Python.
    ///
    /// # Errors
    /// As [`QueueBuilder::build`].
    pub fn bounded(max_items: usize) -> Result<Queue<T>, Error> {
        Queue::builder().max_items(max_items).build()
    }

    /// How many items there are. Others may put and get some before this returns.
    pub fn qsize(&self) -> usize {
        self.core.len()
    }

    /// Whether there was nothing in it a moment ago.
    pub fn is_empty(&self) -> bool {
        self.core.is_empty()
    }

    /// Whether there was no room for another item a moment ago.
    pub fn is_full(&self) -> bool {
        self.core.len() as u64 >= self.core.max_items()
    }

    /// Refuses items from now on. What is there can still be got; after that `get` says that the queue is closed, in all
    /// processes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the queue's memory is no queue any more.
    pub fn close(&self) -> Result<(), Error> {
        self.core.close()
    }

    /// Whether [`close`](Queue::close) was called, by whichever process.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }
}

impl<T: Serialize + 'static> Queue<T> {
    /// Puts an item in; waits while the queue is full.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the queue is closed, [`ErrorKind::BadArgument`] if the item cannot be encoded, carries
    /// handles, or takes more bytes than the queue has; [`ErrorKind::Io`] if its memory is no queue any more.
    pub fn put(&self, value: T) -> Result<(), Error> {
        put(&self.core, value, Patience::Forever)
    }

    /// Puts an item in; waits at most for `timeout` while the queue is full. An item that finds no room is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`], and as [`put`](Queue::put).
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), Error> {
        put(&self.core, value, Patience::For(timeout))
    }

    /// Puts an item in if there is room now: Python's `put_nowait`. An item that finds none is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Full`], and as [`put`](Queue::put).
    pub fn try_put(&self, value: T) -> Result<(), Error> {
        put(&self.core, value, Patience::No)
    }
}

impl<T: DeserializeOwned + 'static> Queue<T> {
    /// Takes the first item; waits until there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the queue is closed and nothing is left in it, [`ErrorKind::BadArgument`] if the item is
    /// no value of this type (it is gone then), [`ErrorKind::Io`] if the queue's memory is no queue any more.
    pub fn get(&self) -> Result<T, Error> {
        get(&self.core, Patience::Forever, false)
    }

    /// Takes the first item; waits at most for `timeout` until there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`], and as [`get`](Queue::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        get(&self.core, Patience::For(timeout), false)
    }

    /// Takes the first item if there is one now: Python's `get_nowait`.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`], and as [`get`](Queue::get).
    pub fn try_get(&self) -> Result<T, Error> {
        get(&self.core, Patience::No, false)
    }
}

thread_local! {
    /// Where items of this thread are encoded, and copied to before they are decoded.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Neither encoding nor decoding is done under the queue's lock.
#[inline]
pub(super) fn put<T: Serialize + 'static>(core: &Core, value: T, wait: Patience) -> Result<(), Error> {
    let mut bytes = take_buffer();
    wire::encode(value, &mut bytes)
        .map_err(|e| Error::new(ErrorKind::BadArgument, format!("failed to encode an item for a queue: {e}")))?;
    let result = core.put(&bytes, wait);
    keep(bytes);
    result
}

#[inline]
pub(super) fn get<T: DeserializeOwned + 'static>(core: &Core, wait: Patience, is_kept: bool) -> Result<T, Error> {
    let is_vec = TypeId::of::<T>() == TypeId::of::<Vec<u8>>();
    let mut bytes = if is_vec { Vec::new() } else { take_buffer() };
    core.get(&mut bytes, wait, is_kept)?;
    let value = if is_vec {
        wire::decode(Bytes::Owned(bytes))
    } else {
        let value = wire::decode(Bytes::Borrowed(&bytes));
        keep(bytes);
        value
    };
    value.map_err(|e| Error::new(ErrorKind::BadArgument, format!("failed to decode an item of a queue: {e}")))
}

/// A thread that ends has none any more.
#[inline]
fn take_buffer() -> Vec<u8> {
    BUFFER.try_with(RefCell::take).unwrap_or_default()
}

#[inline]
fn keep(mut bytes: Vec<u8>) {
    if bytes.capacity() <= KEPT_BUFFER {
        bytes.clear();
        let _ = BUFFER.try_with(|buffer| buffer.replace(bytes));
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { core: Arc::clone(&self.core), items: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("qsize", &self.qsize()).field("is_closed", &self.is_closed()).finish()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.core.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        Ok(Queue { core: Arc::new(core::receive(KIND, deserializer)?), items: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Sending, with_received};
    use std::os::fd::AsFd;

    /// The handle as another process would get it.
    fn sent<A: Serialize, B: for<'de> Deserialize<'de>>(handle: &A) -> Result<B, postcard::Error> {
        let sending = Sending::begin();
        let bytes = postcard::to_stdvec(handle).unwrap();
        let fds = sending.take().iter().map(|handle| handle.as_fd().try_clone_to_owned().unwrap()).collect();
        with_received(fds, || postcard::from_bytes(&bytes))
    }

    fn kind<T>(result: Result<T, Error>) -> ErrorKind {
        result.err().expect("an error").kind()
    }

    #[test]
    fn first_in_first_out_through_every_handle() {
        let queue = Queue::unbounded().unwrap();
        let theirs: Queue<(u64, String)> = sent(&queue).unwrap();
        for n in 0..1000 {
            (if n % 2 == 0 { &queue } else { &theirs }).put((n, n.to_string())).unwrap();
        }
        assert_eq!((queue.qsize(), theirs.qsize(), theirs.is_empty(), theirs.is_full()), (1000, 1000, false, false));
        for n in 0..1000 {
            assert_eq!((if n % 3 == 0 { &queue } else { &theirs }).get().unwrap(), (n, n.to_string()));
        }
        assert!(queue.is_empty() && queue.qsize() == 0);
        assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
        assert_eq!(kind(queue.get_timeout(Duration::from_millis(1))), ErrorKind::Timeout);
    }

    #[test]
    fn a_full_one_says_so() {
        let queue = Queue::bounded(2).unwrap();
        queue.put(1).unwrap();
        assert!(!queue.is_full());
        queue.try_put(2).unwrap();
        assert!(queue.is_full());
        assert_eq!(kind(queue.try_put(3)), ErrorKind::Full);
        assert_eq!(kind(queue.put_timeout(3, Duration::from_millis(1))), ErrorKind::Timeout);
        std::thread::scope(|scope| {
            scope.spawn(|| queue.put(4).unwrap());
            assert_eq!((queue.get().unwrap(), queue.get().unwrap(), queue.get().unwrap()), (1, 2, 4));
        });
        assert!(!Queue::<u8>::bounded(0).unwrap().is_full());
    }

    #[test]
    fn bytes_have_a_limit_too() {
        let queue = Queue::builder().max_bytes(100_000).build::<Vec<u8>>().unwrap();
        assert_eq!(kind(queue.put(vec![0; 200_000])), ErrorKind::BadArgument);
        queue.put(vec![1; 100_000]).unwrap();
        assert_eq!(kind(queue.try_put(vec![2; 100_000])), ErrorKind::Full);
        std::thread::scope(|scope| {
            scope.spawn(|| queue.put(vec![3; 131_064]).unwrap());
            assert_eq!(queue.get().unwrap(), vec![1; 100_000]);
            assert_eq!(queue.get().unwrap(), vec![3; 131_064]);
        });
    }

    #[test]
    fn a_closed_one_gives_what_is_left() {
        let queue = Queue::<u64>::bounded(1).unwrap();
        let theirs: Queue<u64> = sent(&queue).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| (theirs.get(), theirs.get()));
            queue.put(7).unwrap();
            queue.close().unwrap();
            let (first, second) = waits.join().unwrap();
            assert_eq!((first.unwrap(), kind(second)), (7, ErrorKind::Closed));
        });
        assert!(theirs.is_closed());
        assert_eq!((kind(theirs.put(8)), kind(theirs.try_get())), (ErrorKind::Closed, ErrorKind::Closed));
        let full = Queue::bounded(1).unwrap();
        full.put(1).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| full.put(2));
            full.close().unwrap();
            assert_eq!(kind(waits.join().unwrap()), ErrorKind::Closed);
        });
        assert_eq!(full.get().unwrap(), 1);
    }

    #[test]
    fn many_threads_lose_nothing() {
        let queue = Queue::<(usize, usize, Vec<u8>)>::bounded(50).unwrap();
        let (producers, items) = (4, 3000);
        let mut all: Vec<(usize, usize, Vec<u8>)> = std::thread::scope(|scope| {
            for producer in 0..producers {
                let queue: Queue<(usize, usize, Vec<u8>)> = sent(&queue).unwrap();
                scope.spawn(move || {
                    for n in 0..items {
                        let len = if n % 100 == 0 { 90_000 } else { n % 50 };
                        queue.put((producer, n, vec![n as u8; len])).unwrap();
                    }
                });
            }
            let consumers: Vec<_> = (0..3)
                .map(|_| {
                    let queue: Queue<(usize, usize, Vec<u8>)> = sent(&queue).unwrap();
                    scope.spawn(move || (0..producers * items / 3).map(|_| queue.get().unwrap()).collect::<Vec<_>>())
                })
                .collect();
            let all: Vec<Vec<_>> = consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect();
            for got in &all {
                for producer in 0..producers {
                    let numbers = got.iter().filter(|item| item.0 == producer).map(|item| item.1);
                    assert!(numbers.is_sorted(), "out of order");
                }
            }
            all.concat()
        });
        all.sort();
        let numbers = (0..producers).flat_map(|producer| (0..items).map(move |n| (producer, n)));
        assert!(all.iter().map(|item| (item.0, item.1)).eq(numbers));
        assert!(all.iter().all(|(_, n, bytes)| bytes.iter().all(|&byte| byte == *n as u8)));
    }

    #[test]
    fn handles_and_other_types_are_refused() {
        let queue = Queue::<Queue<u8>>::unbounded().unwrap();
        assert_eq!(kind(queue.put(Queue::unbounded().unwrap())), ErrorKind::BadArgument);
        let bytes = Queue::<Vec<u8>>::unbounded().unwrap();
        let words: Queue<String> = sent(&bytes).unwrap();
        bytes.put(vec![9]).unwrap();
        words.put("next".to_string()).unwrap();
        assert_eq!(kind(words.get()), ErrorKind::BadArgument);
        assert_eq!(words.get().unwrap(), "next");
        assert!(sent::<_, Queue<u8>>(&crate::Lock::new().unwrap()).is_err());
        assert!(format!("{words:?}").contains("qsize: 0"));
    }

    #[test]
    fn memory_that_is_no_queue_any_more_is_an_error() {
        let queue = Queue::<u64>::unbounded().unwrap();
        queue.put(1).unwrap();
        queue.core.overwrite();
        assert_eq!((kind(queue.put(2)), kind(queue.get())), (ErrorKind::Io, ErrorKind::Io));
    }
}
