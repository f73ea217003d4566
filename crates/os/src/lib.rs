//! The kernel's side of procession: what is unsafe or specific to an operating system, behind safe calls.
//!
//! This is the only crate of the workspace with `unsafe` code. It knows nothing of pools or tasks.

#[cfg(not(target_os = "linux"))]
compile_error!("procession runs on Linux so far; another system needs its own version of crates/os");

mod cgroup;
mod channel;
mod deferred_close;
mod futex;
mod identity;
mod image;
mod lock;
mod machine;
mod mapping;
mod poller;
mod proc;
mod process;
mod resources;
mod sandbox;
mod sandbox_allowed;
mod sandbox_calls;
mod sandbox_paths;
mod sealed;
mod segment;
mod shm;
mod slab;
mod slab_parts;
mod stream;
#[cfg(test)]
mod test_child;

pub use cgroup::{CgroupVersion, MemoryEvents, MemoryGroup, MemoryGroups, enter_group};
pub use channel::{Channel, Received};
pub use deferred_close::DeferredClose;
pub use futex::{futex_wait, futex_wake};
pub use identity::Identity;
pub use image::{BadCall, Call, ImageId, OutsideImage, Plain, Shim, Target, WithContext};
pub use lock::{try_lock_file, unlock_file};
pub use machine::{CpuCounts, ResourceLimits, space_bytes, total_memory_bytes, try_sealed_memory};
pub use poller::{Interest, Notifier, Poller, readable, set_nonblocking};
pub use proc::{ProcessUsage, children_of_all, descendants, has_only_argument, has_other_threads, process_usage};
pub use process::{
    Child, Forked, Reaped, SelfSpawn, become_supervisor, become_worker, ended_child, fork_single_threaded,
    has_children, is_privileged, kill_pidfd, open_pidfd, parent_pid, passed_fds, reap, redirect_stderr,
    redirect_stdout_to_stderr, signal_group, signal_process,
};
pub use resources::{
    IoClass, Limited, available_memory_bytes, limit_resource, private_memory_bytes, process_cpu_time, resident_bytes,
    runnable_threads, set_cpus, set_io_class, set_nice,
};
pub use sandbox::{PathGrants, SandboxSupport, confine_calls, confine_paths};
pub use sealed::Sealed;
pub use segment::{Segment, advise_huge_pages};
pub use shm::{FileId, create_shm, name_shm, open_shm, read_shm, shm_id, shm_len, unlink_shm, write_shm};
pub use slab::{MAX_SLAB_PARTS, SlabDraft, SlabView};
pub use slab_parts::{Claim, SlabParts};
pub use stream::{finish_stream, is_stream, receive_stream, send_stream, stream_pair};

/// Runs a `fn()` when the program is loaded, before its `main` (an entry of .init_array, elf(5)). For test binaries,
/// whose `main` belongs to the test harness.
#[macro_export]
macro_rules! run_before_main {
    ($function:path) => {
        #[used]
        // SAFETY: the section holds pointers to functions that the loader calls once, in turn, on the first thread;
        // what they are passed (argc, argv, envp) may be ignored.
        #[unsafe(link_section = ".init_array")]
        static BEFORE_MAIN: extern "C" fn() = {
            extern "C" fn before_main() {
                $function()
            }
            before_main
        };
    };
}
