//! Why a call as a whole cannot go on.

use std::fmt;
use std::io;

use crate::Failure;
use crate::sandbox::explain_refused_start;

/// Why a pool or a process cannot do what was asked. A task that fails is no error of the pool but an
/// [`Outcome`](crate::Outcome); the calls that return plain results ([`Pool::map`](crate::Pool::map),
/// [`Pool::apply`](crate::Pool::apply)) give the first failed one as an error of kind [`ErrorKind::Task`].
///
/// It prints as one sentence, with `{:?}` too, so that `main` may return it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    failure: Option<Failure>,
    source: Option<io::Error>,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// [`init`](crate::init) was not called.
    NotInitialized,
    /// The function is not part of the program's own image.
    OutsideImage,
    /// A process could not be started.
    Start,
    /// Workers die before they take a task, again and again.
    Broken,
    /// The pool or the queue is closed, or terminated.
    Closed,
    /// The call as a whole ran out of time.
    Timeout,
    /// A value could not be encoded, or what arrived is no value of the type that is asked for, or an argument is none
    /// that the call takes.
    BadArgument,
    /// The other end of a pipe is closed, and all that it has sent was received: Python's `EOFError`.
    EndOfStream,
    /// There is no room in the queue now: Python's `queue.Full`.
    Full,
    /// There is nothing in the queue now: Python's `queue.Empty`.
    Empty,
    /// The system refused, or another process left or sent something that is no message of ours.
    Io,
    /// A task failed; see [`Error::failure`].
    Task,
    /// What processes share (a lock, a queue...) could not be made: memory or descriptors ran out.
    Create,
    /// An object in a manager has panicked in a call: Python's `RemoteError`.
    Remote,
    /// A semaphore was released more often than it was acquired, or more items of a queue were done than taken.
    NotAcquired,
    /// Somebody whom the others waited for at a barrier died, gave up or was not to be waited for.
    BrokenBarrier,
    /// A process died, or panicked, while it held a lock.
    OwnerDied,
    /// Shared memory of that name exists, or a file where a journal is to begin.
    Exists,
    /// There is no shared memory of that name.
    NotFound,
    /// The kernel does not give what is required: see [`Sandbox::require`](crate::Sandbox::require).
    Unsupported,
    /// Some process still writes, or could: try again when it has let go.
    Busy,
    /// The journal was made for another purpose.
    OtherPurpose,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), failure: None, source: None }))
    }

    pub(crate) fn start(what: &str, source: io::Error) -> Error {
        let message = format!("failed to start {what}: {}", describe(&source));
        Error(Box::new(Inner { kind: ErrorKind::Start, message, failure: None, source: Some(source) }))
    }

    pub(crate) fn create(what: &str, source: io::Error) -> Error {
        let message = format!("failed to make {what}: {}", describe(&source));
        Error(Box::new(Inner { kind: ErrorKind::Create, message, failure: None, source: Some(source) }))
    }

    /// `what` is the action and its thing, as in "receive from a pipe".
    pub(crate) fn io(what: &str, source: io::Error) -> Error {
        let message = format!("failed to {what}: {}", describe(&source));
        Error(Box::new(Inner { kind: ErrorKind::Io, message, failure: None, source: Some(source) }))
    }

    pub(crate) fn with_source(kind: ErrorKind, message: String, source: io::Error) -> Error {
        Error(Box::new(Inner { kind, message, failure: None, source: Some(source) }))
    }

    pub(crate) fn task(failure: Failure) -> Error {
        let message = format!("task {} failed: {failure}", failure.index());
        Error(Box::new(Inner { kind: ErrorKind::Task, message, failure: Some(failure), source: None }))
    }

    pub(crate) fn outside_image() -> Error {
        Error::new(
            ErrorKind::OutsideImage,
            "failed to pass the function to a worker: it belongs to a shared library, not to the program's own image; \
             wrap it in a function of the program",
        )
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The failed task, for [`ErrorKind::Task`].
    pub fn failure(&self) -> Option<&Failure> {
        self.0.failure.as_ref()
    }

    /// Whether the call, or the task that failed, ran out of time.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout || self.failure().is_some_and(Failure::is_timeout)
    }

    /// Whether the other end of a pipe is closed: there is nothing more to receive, or nobody to send to.
    pub fn is_end_of_stream(&self) -> bool {
        self.0.kind == ErrorKind::EndOfStream
    }
}

/// errno(3): this process may not have more descriptors.
pub(crate) const EMFILE: i32 = 24;

/// Why something could not be started, and what helps.
pub(crate) fn describe(cause: &io::Error) -> String {
    match cause.raw_os_error() {
        Some(EMFILE) => format!("{cause}: raise the limit with `ulimit -n`, or have fewer workers"),
        _ => match explain_refused_start(cause) {
            Some(why) => format!("{cause}: {why}"),
            None => cause.to_string(),
        },
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}
