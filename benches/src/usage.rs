//! What processes hold: memory, descriptors, shared memory with a name.

use std::fs;

/// Resident memory of this process in bytes.
pub fn rss_bytes() -> f64 {
    procession_os::process_usage(own_pid()).map_or(f64::NAN, |usage| usage.rss_bytes as f64)
}

/// Open descriptors of a process.
pub fn fd_count(pid: i32) -> anyhow::Result<f64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as f64)
}

/// Entries of /dev/shm that may be ours.
pub fn shm_count() -> anyhow::Result<f64> {
    let is_ours = |name: &str| name.contains("procession");
    Ok(fs::read_dir("/dev/shm")?.flatten().filter(|e| e.file_name().to_str().is_some_and(is_ours)).count() as f64)
}

pub fn own_pid() -> i32 {
    std::process::id() as i32
}

/// The supervisor: the only child that a program has whose other processes are all workers.
pub fn supervisor_pid() -> Option<i32> {
    procession_os::children_of_all().get(&own_pid())?.first().copied()
}
