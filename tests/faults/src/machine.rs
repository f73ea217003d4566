//! What the kernel tells: memory, descriptors, processes with a mark, names in shared memory.

use std::collections::BTreeSet;
use std::path::Path;

/// Processes started with this in their environment, and what they start, are of one run.
pub const MARK: &str = "PROCESSION_FAULTS_MARK";

pub fn own_pid() -> i32 {
    std::process::id() as i32
}

/// Resident memory of this process.
pub fn rss_bytes() -> u64 {
    procession_os::process_usage(own_pid()).map_or(0, |usage| usage.rss_bytes)
}

pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// Open descriptors of a process; one more than it has if it is this one.
pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The supervisor of this process, if it has one.
pub fn supervisor() -> Option<i32> {
    let children = procession_os::children_of_all();
    let mut own = children.get(&own_pid())?.iter().copied();
    own.find(|&pid| procession_os::has_only_argument(pid, "--procession-supervisor"))
}

/// Processes that live and carry this mark.
pub fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let has_mark = |pid: &i32| {
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has_mark).filter(|&pid| is_running(pid)).collect()
}

/// Whether a process is there, and no zombie.
pub fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What is in a folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The kernel's release.
pub fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string()
}

/// Memory that the machine has to give (proc_meminfo(5), MemAvailable).
pub fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
