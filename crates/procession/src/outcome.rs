//! How a task ended.

use std::fmt;
use std::time::Duration;

use crate::MemoryGuard;

/// How one task ended: its result, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<R> {
    /// Position of the task's argument in the input of the call, from 0.
    pub index: usize,
    /// How often the task was begun; more than 1 only with [`retries`](crate::PoolBuilder::retries). A result
    /// with 0 came from a [`Journal`](crate::Journal).
    pub attempts: u32,
    /// How long the last attempt ran, as the program saw it. Tasks that came back together share their time evenly.
    /// Zero for what came from a [`Journal`](crate::Journal).
    pub elapsed: Duration,
    /// The result, or why there is none.
    pub result: Result<R, Failure>,
}

impl<R> Outcome<R> {
    /// Whether the task gave a result.
    pub fn is_done(&self) -> bool {
        self.result.is_ok()
    }

    /// The result, if there is one.
    pub fn ok(self) -> Option<R> {
        self.result.ok()
    }

    /// Why there is no result, if so.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// The result, or why there is none.
    ///
    /// # Errors
    /// The [`Failure`].
    pub fn into_result(self) -> Result<R, Failure> {
        self.result
    }
}

/// Why a task has no result, and what is known of its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Details {
    pub kind: FailureKind,
    pub index: usize,
    pub attempts: u32,
    pub worker_pid: Option<u32>,
    pub elapsed: Duration,
    pub peak_rss_bytes: Option<u64>,
    pub stderr_tail: String,
}

impl Details {
    /// A failure of which no more is known.
    pub fn of(kind: FailureKind, index: usize) -> Details {
        Details {
            kind,
            index,
            attempts: 0,
            worker_pid: None,
            elapsed: Duration::ZERO,
            peak_rss_bytes: None,
            stderr_tail: String::new(),
        }
    }
}

/// What went wrong with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The function returned `Err` (with [`try_map`](crate::Pool::try_map) and its like): the error's text.
    Failed {
        /// The error as `{:#}` shows it.
        message: String,
    },
    /// The function panicked.
    Panicked {
        /// What it said.
        message: String,
        /// File, line and column; empty if unknown.
        location: String,
        /// The stack, if `RUST_BACKTRACE` asks for it.
        backtrace: Option<String>,
    },
    /// The task ran longer than it may, or used more CPU time; its worker was killed.
    TimedOut {
        /// The limit that was in force.
        limit: Duration,
        /// What it is a limit of.
        clock: Clock,
    },
    /// The task used more memory than it may; its worker was killed.
    OverMemory {
        /// The limit that was in force, in bytes.
        limit_bytes: u64,
        /// Most memory that the worker had, in bytes, as far as it was seen.
        peak_bytes: u64,
        /// What kept the limit.
        guard: MemoryGuard,
    },
    /// The worker ended while it ran the task.
    Crashed {
        /// Its exit code, if it exited.
        exit_code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// The argument could not be encoded by the program, or decoded by the worker.
    BadArgument {
        /// The codec's words.
        message: String,
    },
    /// The result could not be encoded by the worker, or decoded by the program.
    BadResult {
        /// The codec's words.
        message: String,
    },
    /// The task was cancelled, or its pool ended first.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// What a limit of time is a limit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The time that passes.
    Wall,
    /// The time for which the worker's threads are on a CPU.
    Cpu,
}

impl Failure {
    pub(crate) fn new(details: Details) -> Failure {
        Failure(Box::new(details))
    }

    /// What went wrong.
    pub fn kind(&self) -> &FailureKind {
        &self.0.kind
    }

    /// Position of the task's argument in the input of the call, from 0.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// How often the task was begun.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The worker that ran it last, if any did.
    pub fn worker_pid(&self) -> Option<u32> {
        self.0.worker_pid
    }

    /// How long the last attempt ran, as the program saw it.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Most memory that the worker ever had resident, if known.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.0.peak_rss_bytes
    }

    /// The last bytes (up to 4 KiB) that the worker wrote to its standard error; invalid UTF-8 is replaced.
    pub fn stderr_tail(&self) -> &str {
        &self.0.stderr_tail
    }

    /// Whether the function returned an error.
    pub fn is_failed(&self) -> bool {
        matches!(self.0.kind, FailureKind::Failed { .. })
    }

    /// Whether the function panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.kind, FailureKind::Panicked { .. })
    }

    /// Whether the task ran out of time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, FailureKind::TimedOut { .. })
    }

    /// Whether the task used more memory than it may.
    pub fn is_over_memory(&self) -> bool {
        matches!(self.0.kind, FailureKind::OverMemory { .. })
    }

    /// Whether the worker died.
    pub fn is_crash(&self) -> bool {
        matches!(self.0.kind, FailureKind::Crashed { .. })
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.kind, FailureKind::Cancelled { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.kind, f)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Failed { message } => f.write_str(message),
            FailureKind::Panicked { message, location, .. } if location.is_empty() => write!(f, "panicked: {message}"),
            FailureKind::Panicked { message, location, .. } => write!(f, "panicked at {location}: {message}"),
            FailureKind::TimedOut { limit, clock: Clock::Wall } => {
                write!(f, "ran longer than {limit:?} and was killed")
            }
            FailureKind::TimedOut { limit, clock: Clock::Cpu } => {
                write!(f, "used more than {limit:?} of CPU time and was killed")
            }
            FailureKind::OverMemory { limit_bytes, peak_bytes, guard } => write!(
                f,
                "used more memory than {} (at most {}, by {guard}) and was killed",
                mebibytes(*limit_bytes),
                mebibytes(*peak_bytes)
            ),
            FailureKind::Crashed { exit_code: Some(code), .. } => {
                write!(f, "the worker exited with code {code} in the middle of the task")
            }
            FailureKind::Crashed { signal: Some(signal), core_dumped, .. } => {
                let core = if *core_dumped { ", core dumped" } else { "" };
                write!(f, "the worker was killed by signal {signal} ({}){core}", signal_name(*signal))
            }
            FailureKind::Crashed { .. } => f.write_str("the worker ended in the middle of the task"),
            FailureKind::BadArgument { message } => write!(f, "the argument cannot be passed: {message}"),
            FailureKind::BadResult { message } => write!(f, "the result cannot be passed: {message}"),
            FailureKind::Cancelled { reason } => write!(f, "cancelled: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}

fn mebibytes(bytes: u64) -> String {
    match bytes {
        ..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// Names of the signals that end programs (signal(7); the numbers are the same on x86-64 and aarch64).
pub(crate) fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => "unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_explain_themselves() {
        let crash = FailureKind::Crashed { exit_code: None, signal: Some(9), core_dumped: false };
        assert_eq!(crash.to_string(), "the worker was killed by signal 9 (SIGKILL)");
        let failure = Failure::new(Details {
            kind: crash,
            index: 3,
            attempts: 2,
            worker_pid: Some(7),
            elapsed: Duration::from_millis(5),
            peak_rss_bytes: None,
            stderr_tail: String::new(),
        });
        assert!(failure.is_crash() && !failure.is_timeout());
        assert_eq!((failure.index(), failure.attempts(), failure.worker_pid()), (3, 2, Some(7)));
        let panic = FailureKind::Panicked { message: "oh".into(), location: "a.rs:1:2".into(), backtrace: None };
        assert_eq!(panic.to_string(), "panicked at a.rs:1:2: oh");
    }
}
