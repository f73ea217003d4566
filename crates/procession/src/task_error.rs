//! An error of a task that says whether another try may help.

use std::fmt;

/// An error of a task, for functions of [`try_map`](crate::Pool::try_map) and its like, that says whether another try may
/// help: then it is tried again, as a crash is, if the pool has [`retries`](crate::PoolBuilder::retries). Errors of other
/// types never are.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession::{Pool, TaskError};
///
/// fn check(port: u16) -> Result<u16, TaskError> {
///     if port == 0 {
///         return Err(TaskError::new("port 0 is none"));
///     }
///     std::net::TcpStream::connect(("127.0.0.1", port)).map_err(TaskError::retryable)?;
///     Ok(port)
/// }
///
/// let pool = Pool::builder().workers(1).retries(2).build()?;
/// let error = pool.try_map(check, [0]).unwrap_err();
/// assert_eq!(error.failure().unwrap().attempts(), 1);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    message: String,
    is_retryable: bool,
}

impl TaskError {
    /// An error that comes again with the same argument.
    pub fn new(cause: impl fmt::Display) -> TaskError {
        TaskError { message: format!("{cause:#}"), is_retryable: false }
    }

    /// An error that may pass: of a network, of a service that starts, of a lock that another holds.
    pub fn retryable(cause: impl fmt::Display) -> TaskError {
        TaskError { is_retryable: true, ..TaskError::new(cause) }
    }

    /// Whether another try may help.
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TaskError {}
