//! What a pool's workers may use.

use std::fmt;
use std::io;
use std::time::Duration;

use procession_os::{CgroupVersion, IoClass, Limited, MemoryGroups};
use serde::{Deserialize, Serialize};

/// What each worker of a pool may use; see [`PoolBuilder::limits`](crate::PoolBuilder::limits). Without a call of the
/// methods below there is no limit but those of the program.
///
/// How long a task may take is a matter of [`PoolBuilder::timeout`](crate::PoolBuilder::timeout).
///
/// # Examples
/// ```
/// # procession::init();
/// use procession::{Limits, Pool};
///
/// fn fill(mebibytes: usize) -> usize {
///     vec![1u8; mebibytes << 20].len()
/// }
///
/// let pool = Pool::builder().workers(1).limits(Limits::new().memory(64 << 20)).build()?;
/// let error = pool.apply(fill, 512).unwrap_err();
/// assert!(error.failure().unwrap().is_over_memory());
/// assert_eq!(pool.apply(fill, 1)?, 1 << 20);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_control: MemoryControl,
    pub(crate) recycle_above_bytes: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    open_files: Option<u64>,
    file_size_bytes: Option<u64>,
    nice: Option<i32>,
    io_priority: Option<IoPriority>,
    cpus: Option<Vec<usize>>,
}

/// How a limit on memory is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MemoryControl {
    /// By control groups where they can be had, else as `Watchdog` does.
    #[default]
    Auto,
    /// By a control group for each worker: version 2 where a group with the memory controller is delegated to this
    /// program, or version 1. Counts what the worker's children use, and the page cache.
    Cgroup,
    /// By looking at the worker's resident memory every 10 ms, and RLIMIT_DATA for what is asked for at once. Counts the
    /// worker alone, not its children.
    Watchdog,
}

/// What kept a limit on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryGuard {
    /// A control group of version 2.
    CgroupV2,
    /// A control group of version 1.
    CgroupV1,
    /// RLIMIT_DATA: the kernel refused memory, and the worker aborted.
    Rlimit,
    /// The pool, which saw the worker's resident memory above the limit.
    Watchdog,
}

impl fmt::Display for MemoryGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryGuard::CgroupV2 => "cgroup v2",
            MemoryGuard::CgroupV1 => "cgroup v1",
            MemoryGuard::Rlimit => "RLIMIT_DATA",
            MemoryGuard::Watchdog => "watchdog on resident memory",
        })
    }
}

/// Which turns at the disk workers have (ionice(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoPriority {
    /// By level, from 0, the most favoured, to 7. Without a word of the user it is 4.
    BestEffort(u8),
    /// Only when nobody else wants it.
    Idle,
}

impl Limits {
    /// No limits.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// How much memory a worker may use, in bytes: a task that goes beyond it is
    /// [`OverMemory`](crate::FailureKind::OverMemory), and its worker is replaced.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// How that is to be kept. Default: [`MemoryControl::Auto`].
    pub fn memory_control(mut self, control: MemoryControl) -> Self {
        self.memory_control = control;
        self
    }

    /// Replaces a worker, once it has finished the task that it runs, if its resident memory is above `bytes`: a mark,
    /// and no limit, for tasks that leave something behind.
    pub fn recycle_above(mut self, bytes: u64) -> Self {
        self.recycle_above_bytes = Some(bytes);
        self
    }

    /// How much CPU time a task may use, on all threads of its worker together. One that uses more is
    /// [`TimedOut`](crate::FailureKind::TimedOut). Looked at every quarter of the limit (at most every 100 ms), so never
    /// kept too early.
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.cpu_time = Some(limit);
        self
    }

    /// How many files a worker may have open (RLIMIT_NOFILE). It needs about ten for itself.
    pub fn open_files(mut self, count: u64) -> Self {
        self.open_files = Some(count);
        self
    }

    /// How long a file may become that a worker writes (RLIMIT_FSIZE), in bytes. Writing on is an error, "file too large",
    /// that the task sees.
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size_bytes = Some(bytes);
        self
    }

    /// The workers' nice value: from -20, the most favoured, to 19. A program without privileges may only raise it.
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = Some(nice);
        self
    }

    /// Which turns at the disk workers have.
    pub fn io_priority(mut self, priority: IoPriority) -> Self {
        self.io_priority = Some(priority);
        self
    }

    /// The CPUs on which workers may run, by number.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// Decides how a limit on memory is kept here; None without one.
    ///
    /// # Errors
    /// When it must be kept by a control group and cannot.
    pub(crate) fn choose_guard(&mut self) -> io::Result<Option<MemoryGuard>> {
        if self.memory_bytes.is_none() {
            return Ok(None);
        }
        let guard = match (self.memory_control, MemoryGroups::find()) {
            (MemoryControl::Auto | MemoryControl::Cgroup, Ok(groups)) => match groups.version() {
                CgroupVersion::V1 => MemoryGuard::CgroupV1,
                CgroupVersion::V2 => MemoryGuard::CgroupV2,
            },
            (MemoryControl::Cgroup, Err(e)) => return Err(e),
            (MemoryControl::Auto | MemoryControl::Watchdog, _) => MemoryGuard::Watchdog,
        };
        let is_watched = guard == MemoryGuard::Watchdog;
        self.memory_control = if is_watched { MemoryControl::Watchdog } else { MemoryControl::Cgroup };
        Ok(Some(guard))
    }

    /// Puts in force, in a worker, what is not kept by others.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let about = |what: &'static str| move |e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
        if let Some(nice) = self.nice {
            procession_os::set_nice(nice).map_err(about("failed to set the nice value"))?;
        }
        if let Some(priority) = self.io_priority {
            let class = match priority {
                IoPriority::BestEffort(level) => IoClass::BestEffort(level),
                IoPriority::Idle => IoClass::Idle,
            };
            procession_os::set_io_class(class).map_err(about("failed to set the priority of input and output"))?;
        }
        if let Some(cpus) = &self.cpus {
            procession_os::set_cpus(cpus).map_err(about("failed to choose its CPUs"))?;
        }
        // What the worker has before its first task is not the tasks'.
        let own = procession_os::private_memory_bytes();
        let data = self.memory_bytes.filter(|_| self.memory_control == MemoryControl::Watchdog);
        for (what, limit) in [
            (Limited::PrivateMemory, data.map(|bytes| bytes.saturating_add(own))),
            (Limited::OpenFiles, self.open_files),
            (Limited::FileSize, self.file_size_bytes),
        ] {
            if let Some(limit) = limit {
                procession_os::limit_resource(what, limit).map_err(about("failed to set a limit of its resources"))?;
            }
        }
        Ok(())
    }
}
