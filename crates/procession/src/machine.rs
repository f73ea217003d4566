//! What a machine gives, and what that means for pools.

use std::fmt;
use std::fs;
use std::path::Path;

use procession_os::{CgroupVersion, CpuCounts, MemoryGroups, ResourceLimits, SandboxSupport};

/// What this machine gives to this process, found out by looking and trying. Nothing is kept.
///
/// # Examples
/// ```
/// # procession::init();
/// let machine = procession::Machine::look();
/// for fact in machine.facts() {
///     println!("{}: {} ({})", fact.name, fact.found, fact.meaning);
/// }
/// assert!(machine.is_enough());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    facts: Vec<Fact>,
}

/// One thing that a machine has or has not.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Its name, in lower case with `_`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub state: FactState,
    /// What there is, in words.
    pub found: String,
    /// The same in numbers, where it has some: their names end with their units.
    pub numbers: Vec<(&'static str, u64)>,
    /// What that means for pools, and what helps if it is not as it should be.
    pub meaning: String,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactState {
    /// It is.
    Good,
    /// Pools do without, or with less.
    Less,
    /// Pools need it.
    Missing,
}

impl fmt::Display for FactState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FactState::Good => "good",
            FactState::Less => "less",
            FactState::Missing => "missing",
        })
    }
}

/// With fewer descriptors a pool of many workers fails: each costs four.
const FEW_FILES: u64 = 256;
/// Fewer do not do for one worker.
const TOO_FEW_FILES: u64 = 32;
/// Less address space does not do for the buffers and stacks of a worker.
const LITTLE_ADDRESS_SPACE_BYTES: u64 = 1 << 30;

impl Machine {
    /// Looks around. Takes some milliseconds.
    pub fn look() -> Machine {
        let SandboxSupport { landlock, seccomp } = SandboxSupport::look();
        let limits = ResourceLimits::look();
        let facts = vec![
            kernel(),
            cpus(CpuCounts::look()),
            memory(procession_os::total_memory_bytes(), procession_os::available_memory_bytes()),
            control_groups(),
            landlock_fact(landlock),
            seccomp_fact(seccomp),
            sealed_memory(),
            pidfd(),
            own_program(),
            open_files(limits.open_files),
            processes(limits.processes),
            file_size(limits.file_bytes),
            address_space(limits.address_space_bytes),
            core_files(limits.core_bytes),
            shared_memory_folder(),
            huge_pages(),
            good("io_uring", "not needed", Vec::new(), "pools wait with futexes and epoll"),
        ];
        Machine { facts }
    }

    /// What was found.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Whether all is there that pools need.
    pub fn is_enough(&self) -> bool {
        self.facts.iter().all(|fact| fact.state != FactState::Missing)
    }
}

type Numbers = Vec<(&'static str, u64)>;

fn fact(
    name: &'static str,
    state: FactState,
    found: impl Into<String>,
    numbers: Numbers,
    meaning: impl Into<String>,
) -> Fact {
    Fact { name, state, found: found.into(), numbers, meaning: meaning.into() }
}

fn good(name: &'static str, found: impl Into<String>, numbers: Numbers, meaning: impl Into<String>) -> Fact {
    fact(name, FactState::Good, found, numbers, meaning)
}

/// The first line of a small file of the kernel.
fn line_of(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.trim().to_string())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn kernel() -> Fact {
    let release = line_of("/proc/sys/kernel/osrelease").unwrap_or_else(|| "of unknown version".to_string());
    good("kernel", format!("Linux {release}, {}", std::env::consts::ARCH), Vec::new(), "what matters of it follows")
}

fn cpus(counts: CpuCounts) -> Fact {
    let CpuCounts { online, allowed, usable } = counts;
    let mut numbers = vec![("allowed", allowed as u64), ("usable", usable as u64)];
    numbers.extend(online.map(|online| ("online", online as u64)));
    let of = online.map_or_else(String::new, |online| format!(" of {online}"));
    let found = match usable < allowed {
        true => format!("{allowed}{of} by affinity, time for {usable} by the control group's quota"),
        false => format!("{allowed}{of}"),
    };
    good("cpus", found, numbers, format!("a pool has {usable} workers unless it is told otherwise"))
}

fn memory(total: Option<u64>, available: Option<u64>) -> Fact {
    let (Some(total), Some(available)) = (total, available) else {
        let meaning = "tasks cannot be held back by free memory: mount /proc";
        return fact("memory", FactState::Less, "unknown", Vec::new(), meaning);
    };
    let numbers = vec![("total_bytes", total), ("available_bytes", available)];
    let found = format!("{} available of {}", mebibytes(available), mebibytes(total));
    good("memory", found, numbers, "what all workers and the program have together")
}

fn control_groups() -> Fact {
    match MemoryGroups::find() {
        Ok(groups) => {
            let version = if groups.version() == CgroupVersion::V2 { 2 } else { 1 };
            let found = format!("version {version}, groups can be made in {}", groups.parent().display());
            good("cgroup", found, vec![("version", version)], "the kernel keeps limits on the memory of workers")
        }
        Err(e) => {
            let meaning = "limits on memory are kept by a watchdog, later and less exactly; a service with Delegate=yes \
                           (systemd.resource-control(5)), or root, can have groups";
            fact("cgroup", FactState::Less, e.to_string(), Vec::new(), meaning)
        }
    }
}

fn landlock_fact(landlock: &Result<u32, String>) -> Fact {
    let numbers = |abi: u32| vec![("abi", u64::from(abi))];
    match landlock {
        Ok(abi @ 6..) => {
            let meaning = "a sandbox guards paths, ports, signals and abstract sockets";
            good("landlock", format!("ABI {abi}"), numbers(*abi), meaning)
        }
        Ok(abi) => {
            let lacks = match abi {
                ..=2 => "truncation, ports, signals and abstract sockets",
                3 => "ports, signals and abstract sockets",
                _ => "signals and abstract sockets",
            };
            let meaning = format!("a sandbox guards paths, and leaves {lacks} to seccomp; ABI 6 comes with Linux 6.12");
            fact("landlock", FactState::Less, format!("ABI {abi}"), numbers(*abi), meaning)
        }
        Err(why) => {
            let meaning = "a sandbox does not guard paths; Linux has it since 5.13, if `lsm=` at boot names landlock";
            fact("landlock", FactState::Less, why.clone(), Vec::new(), meaning)
        }
    }
}

fn seccomp_fact(seccomp: &Result<(), String>) -> Fact {
    match seccomp {
        Ok(()) => good("seccomp", "filters", Vec::new(), "a sandbox refuses system calls that computing does not need"),
        Err(why) => {
            let meaning = "a sandbox does not filter system calls; the kernel needs CONFIG_SECCOMP_FILTER";
            fact("seccomp", FactState::Less, why.clone(), Vec::new(), meaning)
        }
    }
}

fn sealed_memory() -> Fact {
    if let Err(e) = procession_os::try_sealed_memory() {
        return fact("memfd", FactState::Missing, e.to_string(), Vec::new(), "workers share memory by it: Linux 3.17");
    }
    // Documentation/admin-guide/sysctl/vm.rst, memfd_noexec.
    let restricted = line_of("/proc/sys/vm/memfd_noexec").filter(|value| value != "0");
    let found = match restricted {
        Some(value) => format!("with seals; vm.memfd_noexec={value}"),
        None => "with seals".to_string(),
    };
    good("memfd", found, Vec::new(), "tasks and results travel through it; pools execute none")
}

fn pidfd() -> Fact {
    match procession_os::open_pidfd(std::process::id() as i32) {
        Ok(_) => good("pidfd", "there", Vec::new(), "a worker is killed, and no other process that got its number"),
        Err(e) => fact("pidfd", FactState::Missing, e.to_string(), Vec::new(), "pools watch workers by it: Linux 5.3"),
    }
}

fn own_program() -> Fact {
    match fs::metadata("/proc/self/exe") {
        Ok(_) => good("proc", "mounted", Vec::new(), "workers are this program, found by /proc/self/exe"),
        Err(e) => {
            let meaning = "workers are this program, found by /proc/self/exe: mount /proc";
            fact("proc", FactState::Missing, e.to_string(), Vec::new(), meaning)
        }
    }
}

fn words_of(limit: Option<u64>) -> String {
    limit.map_or_else(|| "no limit".to_string(), |limit| limit.to_string())
}

fn open_files(limit: Option<u64>) -> Fact {
    let numbers: Numbers = limit.map(|limit| ("limit", limit)).into_iter().collect();
    let found = words_of(limit);
    let state = match limit {
        Some(..TOO_FEW_FILES) => FactState::Missing,
        Some(..FEW_FILES) => FactState::Less,
        _ => FactState::Good,
    };
    let most = limit.map_or(u64::MAX, |limit| limit.saturating_sub(TOO_FEW_FILES) / 4);
    let meaning = match state {
        FactState::Good => "four for each worker".to_string(),
        _ => format!("four for each worker, so enough for about {most}: raise it with `ulimit -n`"),
    };
    fact("open_files", state, found, numbers, meaning)
}

fn processes(limit: Option<u64>) -> Fact {
    let numbers: Numbers = limit.map(|limit| ("limit", limit)).into_iter().collect();
    let meaning = "workers count, and all other processes and threads of this user; raise it with `ulimit -u`";
    good("processes", words_of(limit), numbers, meaning)
}

fn file_size(limit: Option<u64>) -> Fact {
    match limit {
        None => good("file_size", "no limit", Vec::new(), "outputs may have any size"),
        Some(bytes) => {
            let meaning = "longer outputs fail, and so may shared memory: raise it with `ulimit -f`";
            fact("file_size", FactState::Less, format!("{bytes} bytes"), vec![("limit_bytes", bytes)], meaning)
        }
    }
}

fn address_space(limit: Option<u64>) -> Fact {
    let Some(bytes) = limit else {
        return good("address_space", "no limit", Vec::new(), "limits on memory are those of a pool alone");
    };
    let state = if bytes < LITTLE_ADDRESS_SPACE_BYTES { FactState::Less } else { FactState::Good };
    let meaning = "what is mapped counts, used or not: raise it with `ulimit -v` if tasks abort";
    fact("address_space", state, mebibytes(bytes), vec![("limit_bytes", bytes)], meaning)
}

fn core_files(limit: Option<u64>) -> Fact {
    let numbers: Numbers = limit.map(|limit| ("limit_bytes", limit)).into_iter().collect();
    let meaning = match limit {
        Some(0) => "a worker that crashes writes none",
        _ => "a worker that crashes may write one, which takes time and space: `ulimit -c 0` turns it off",
    };
    good("core_files", words_of(limit), numbers, meaning)
}

fn shared_memory_folder() -> Fact {
    match procession_os::space_bytes(Path::new("/dev/shm")) {
        Ok((size, free)) => {
            let numbers = vec![("size_bytes", size), ("free_bytes", free)];
            let found = format!("{} free of {}", mebibytes(free), mebibytes(size));
            good("dev_shm", found, numbers, "for shared memory with a name; all else needs none of it")
        }
        Err(e) => {
            let meaning = "there is no shared memory with a name: mount a tmpfs at /dev/shm; all else works";
            fact("dev_shm", FactState::Less, e.to_string(), Vec::new(), meaning)
        }
    }
}

fn huge_pages() -> Fact {
    let found = line_of("/sys/kernel/mm/transparent_hugepage/enabled");
    let state =
        if found.as_ref().is_some_and(|found| !found.contains("[never]")) { FactState::Good } else { FactState::Less };
    let meaning = match state {
        FactState::Good => "large arguments and results are received into huge pages",
        _ => "large arguments and results cost a page fault every 4 KiB",
    };
    fact("huge_pages", state, found.unwrap_or_else(|| "none".to_string()), Vec::new(), meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_says_something_and_has_a_name_of_its_own() {
        let machine = Machine::look();
        let names: std::collections::BTreeSet<_> = machine.facts().iter().map(|fact| fact.name).collect();
        assert_eq!(names.len(), machine.facts().len());
        assert!(machine.facts().iter().all(|fact| !fact.found.is_empty() && !fact.meaning.is_empty()));
        assert!(machine.is_enough(), "the tests run here: {machine:?}");
    }

    #[test]
    fn what_is_missing_is_not_enough() {
        assert_eq!(open_files(Some(20)).state, FactState::Missing);
        assert_eq!(open_files(Some(64)).state, FactState::Less);
        assert!(open_files(Some(64)).meaning.contains("about 8"), "{}", open_files(Some(64)).meaning);
        assert_eq!(open_files(None).state, FactState::Good);
        assert!(!Machine { facts: vec![kernel(), open_files(Some(3))] }.is_enough());
        assert!(Machine { facts: vec![kernel(), landlock_fact(&Err("none".to_string()))] }.is_enough());
        assert!(landlock_fact(&Ok(2)).meaning.contains("truncation") && landlock_fact(&Ok(7)).state == FactState::Good);
        let quota = cpus(CpuCounts { online: Some(8), allowed: 4, usable: 2 });
        assert_eq!(quota.found, "4 of 8 by affinity, time for 2 by the control group's quota");
    }
}
