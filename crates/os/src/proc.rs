//! What /proc tells about processes (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Whether this process has more than one thread. True when that cannot be told.
pub fn has_other_threads() -> bool {
    fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() != 1)
}

/// The children of every process, by parent: one look at the whole of /proc. Ended ones that nobody has reaped yet are
/// left out.
pub fn children_of_all() -> HashMap<i32, Vec<i32>> {
    let mut children = HashMap::<i32, Vec<i32>>::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(parent) = stat_fields(pid).and_then(|f| parent_if_alive(&f)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// All processes below `root` in `children`, nearest first.
pub fn descendants(children: &HashMap<i32, Vec<i32>>, root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children.get(&pid).into_iter().flatten().filter(|&&p| p != root));
        next += 1;
    }
    found.remove(0);
    found
}

/// The fields of /proc/PID/stat after the name in parentheses: state, parent, ...
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let after_name = text.rsplit_once(')')?.1;
    Some(after_name.split_ascii_whitespace().map(str::to_string).collect())
}

fn parent_if_alive(fields: &[String]) -> Option<i32> {
    if matches!(fields.first()?.as_str(), "Z" | "X") { None } else { fields.get(1)?.parse().ok() }
}

/// Whether a process was started with this as its only argument (proc_pid_cmdline(5)). A process may change what is told.
pub fn has_only_argument(pid: i32, argument: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).skip(1);
    words.next() == Some(argument.as_bytes()) && words.all(<[u8]>::is_empty)
}

/// When a process was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// User and system time, in the kernel's ticks of 10 ms.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Most memory that it ever had resident.
    pub peak_rss_bytes: u64,
}

/// What process `pid` has used, or None if there is none.
pub fn process_usage(pid: i32) -> Option<ProcessUsage> {
    let fields = stat_fields(pid)?;
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    // USER_HZ is 100 on every architecture that we build for.
    let cpu = Duration::from_millis((number(11) + number(12)) * 10);
    Some(ProcessUsage {
        cpu,
        rss_bytes: kilobytes("VmRSS:").unwrap_or(0) * 1024,
        peak_rss_bytes: kilobytes("VmHWM:").unwrap_or(0) * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_walked_without_the_root() {
        let children = HashMap::from([(1, vec![2, 3]), (3, vec![4]), (9, vec![10])]);
        assert_eq!(descendants(&children, 1), [2, 3, 4]);
        assert!(descendants(&children, 4).is_empty());
    }

    #[test]
    fn this_process_is_seen() {
        let me = std::process::id() as i32;
        let usage = process_usage(me).unwrap();
        assert!(usage.rss_bytes > 0 && usage.peak_rss_bytes >= usage.rss_bytes);
        assert!(children_of_all().values().flatten().any(|&p| p == me));
        assert_eq!(process_usage(-5), None);
    }
}
