//! The supervisor: one small process per program that starts all of its workers and outlives none of them.
//!
//! It is this program, started once more: in it `init` never returns. It has one thread, takes in every orphan below it
//! (a child subreaper), and holds one connection per pool or process of the program, a *lease*. A lease that is closed
//! ends its workers; the program's own connection, when it closes because the program died by whatever means, ends
//! everything below the supervisor and then the supervisor. Workers in turn die with the supervisor, by the kernel's
//! parent-death signal.

mod client;
mod groups;
mod serve;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use procession_os::FileId;
use serde::{Deserialize, Serialize};

pub(crate) use client::{Event, Lease, disown, ensure_running, own};
pub(crate) use serve::{StartedWorker, serve};

const SIGKILL: i32 = 9;

/// How workers come to life; Python's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StartMethod {
    /// A copy of the supervisor, which is this program as it was at [`init`](crate::init): the fastest. Falls back to
    /// `Spawn`, with a warning, if there were other threads at `init`.
    #[default]
    ForkServer,
    /// The program, executed anew: `main` runs up to [`init`](crate::init).
    Spawn,
}

/// What kind of work a started process does. The descriptors that it needs travel with the request, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Descriptors: lane, pool bell, pool event, standard error, the socket for handles.
    PoolWorker,
    /// Descriptors: the segment with the call, and the handles in its argument.
    Process {
        /// How many those are.
        handles: u16,
    },
}

impl Role {
    pub fn fd_count(self) -> usize {
        match self {
            Role::PoolWorker => 5,
            Role::Process { handles } => 1 + usize::from(handles),
        }
    }
}

/// Program to supervisor. `id` numbers the workers of one lease.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// On the program's own connection: take over the lease that comes along.
    Lease,
    Start {
        id: u64,
        name: String,
        method: StartMethod,
        role: Role,
        /// Start it in a control group with this limit.
        memory_bytes: Option<u64>,
    },
    /// On the program's own connection: unlink this when the program is gone.
    Own(NamedMemory),
    /// On the program's own connection: it is unlinked already.
    Disown(NamedMemory),
    /// Send a signal to the worker's process group.
    Signal { id: u64, signal: i32 },
}

/// Shared memory with a name, which is to go with the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedMemory {
    pub name: String,
    /// The file behind the name when it was given. If it is another by then it is not ours to unlink.
    pub device: u64,
    pub inode: u64,
}

impl NamedMemory {
    /// Takes the name away, if it is still that of this memory.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn unlink(&self) -> io::Result<bool> {
        procession_os::unlink_shm(&self.name, FileId { device: self.device, inode: self.inode })
    }
}

/// Supervisor to program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// Comes with a pidfd.
    Started {
        id: u64,
        pid: i32,
    },
    NotStarted {
        id: u64,
        cause: String,
    },
    /// The worker has ended; its process group was killed.
    Exited {
        id: u64,
        end: End,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// As wait(2) gives it.
    pub status: i32,
    pub peak_rss_bytes: u64,
    pub cpu: Duration,
    /// Most memory that its control group had, if the kernel has killed there because of the group's limit.
    pub over_memory_bytes: Option<u64>,
}

impl End {
    /// Killed, and nobody knows more.
    pub const UNKNOWN: End = End { status: SIGKILL, peak_rss_bytes: 0, cpu: Duration::ZERO, over_memory_bytes: None };

    pub fn exit_status(self) -> ExitStatus {
        ExitStatus::from_raw(self.status)
    }
}

/// The argument that makes this program a supervisor.
pub(crate) const SUPERVISOR_ARGUMENT: &str = "--procession-supervisor";
/// The start of the argument that makes this program a worker: `--procession-worker=ROLE:DOORS:SUPERVISOR_PID:NAME`, with
/// one door, the descriptor of a control group, or none.
pub(crate) const WORKER_ARGUMENT: &str = "--procession-worker=";
