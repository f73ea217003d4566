//! The process that workers come from, before it is needed: Python's `multiprocessing.forkserver`.

use crate::{Error, init, supervisor};

/// Starts this program's supervisor, the process that all its workers come from, if there is none. Does not wait until it
/// is ready.
///
/// The first pool, process or manager starts it in any case. A program that is sure to need one can have it get ready
/// (about a millisecond: the program is executed and linked once more) while it reads its arguments and its input. It is
/// not needed for [inline](crate::PoolBuilder::inline) pools. Should it end before it is used, the next use starts another.
///
/// Python's [`multiprocessing.forkserver.ensure_running`](https://docs.python.org/3/library/multiprocessing.html), for
/// both [start methods](crate::StartMethod).
///
/// # Errors
/// [`ErrorKind::NotInitialized`](crate::ErrorKind::NotInitialized) without [`init`],
/// [`ErrorKind::Start`](crate::ErrorKind::Start) if it cannot be started, which says nothing of later: whoever needs it
/// tries again.
///
/// # Examples
/// ```
/// # procession::init();
/// procession::forkserver::ensure_running()?;
/// let numbers: Vec<u64> = "1 2 3".split(' ').filter_map(|word| word.parse().ok()).collect(); // meanwhile
/// let pool = procession::Pool::new()?;
/// assert_eq!(pool.map(|n: u64| n * n, numbers)?, [1, 4, 9]);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn ensure_running() -> Result<(), Error> {
    init::check()?;
    supervisor::ensure_running().map_err(|e| Error::start("the supervisor", e))
}
