//! Control groups that cap the memory of one worker each: version 2 where it is delegated to us, version 1 where that is
//! what there is (cgroups(7); Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::Pid;

/// Which kind of control groups there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// A place below which this process may make groups with a memory limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryGroups {
    parent: PathBuf,
    version: CgroupVersion,
}

/// A group with a memory limit, which is there until it is [`remove`](MemoryGroup::remove)d.
#[derive(Debug)]
pub struct MemoryGroup {
    path: PathBuf,
    version: CgroupVersion,
}

/// What has happened in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryEvents {
    /// Processes that the kernel killed because the group was over its limit.
    pub kills: u64,
    /// Most memory that it ever had, in bytes, page cache included; None where the kernel does not tell (version 2
    /// before Linux 5.19).
    pub peak_bytes: Option<u64>,
}

/// Names of our groups begin with this and the number of the process that makes them.
const PREFIX: &str = "procession-";

impl MemoryGroups {
    /// Finds a place where groups can be made, and tries it out.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn find() -> io::Result<MemoryGroups> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mut cause = io::Error::new(io::ErrorKind::NotFound, "there is no memory controller");
        for groups in candidates(&own, &mounts) {
            match groups.try_out() {
                Ok(()) => return Ok(groups),
                Err(e) => cause = e,
            }
        }
        Err(cause)
    }

    /// Where they are made.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// Which kind they are of.
    pub fn version(&self) -> CgroupVersion {
        self.version
    }

    /// Makes a group that may use `limit_bytes`, swap included where the kernel counts it. `number` tells it from the
    /// others of this process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(&self, number: u64, limit_bytes: u64) -> io::Result<MemoryGroup> {
        let path = self.parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            // Left by a killed process that had our number: in a container they are the same in each run.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&path)?;
                fs::create_dir(&path)?;
            }
            made => made?,
        }
        let group = MemoryGroup { path, version: self.version };
        match group.set_limit(limit_bytes) {
            Ok(()) => Ok(group),
            Err(e) => {
                group.remove();
                Err(e)
            }
        }
    }

    /// Removes the groups of processes that are no more: they were killed before they could.
    pub fn sweep(&self) {
        for entry in fs::read_dir(&self.parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<i32>().ok());
            if owner.and_then(Pid::from_raw).is_some_and(is_gone) {
                // It fails if something runs there still.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }

    fn try_out(&self) -> io::Result<()> {
        // Several threads may try at once; workers are numbered from the other end.
        static NEXT: AtomicU64 = AtomicU64::new(u64::MAX);
        let group = self.create(NEXT.fetch_sub(1, Ordering::Relaxed), 64 << 20)?;
        let door = group.door();
        group.remove();
        door.map(drop)
    }
}

/// Whether there is no process of that number. Another user's may not be signalled, but is there.
fn is_gone(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid) == Err(Errno::SRCH)
}

fn write_if_there(path: &Path, text: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => io::Write::write_all(&mut file, text.as_bytes()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

impl MemoryGroup {
    fn set_limit(&self, limit_bytes: u64) -> io::Result<()> {
        let limit = limit_bytes.to_string();
        match self.version {
            CgroupVersion::V1 => {
                fs::write(self.path.join("memory.limit_in_bytes"), &limit)?;
                // There only if the kernel counts swap.
                write_if_there(&self.path.join("memory.memsw.limit_in_bytes"), &limit)?;
            }
            CgroupVersion::V2 => {
                fs::write(self.path.join("memory.max"), &limit)?;
                write_if_there(&self.path.join("memory.swap.max"), "0")?;
                // What a task has started ends with it.
                write_if_there(&self.path.join("memory.oom.group"), "1")?;
            }
        }
        Ok(())
    }

    /// A file for [`enter_group`]. It can be opened here and passed on.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn door(&self) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))?.into())
    }

    /// What has happened in it so far.
    pub fn events(&self) -> MemoryEvents {
        let (events, peak) = match self.version {
            CgroupVersion::V1 => ("memory.oom_control", "memory.max_usage_in_bytes"),
            CgroupVersion::V2 => ("memory.events", "memory.peak"),
        };
        let read = |name: &str| fs::read_to_string(self.path.join(name)).unwrap_or_default();
        let kills = read(events).lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        MemoryEvents { kills: kills.unwrap_or(0), peak_bytes: read(peak).trim().parse().ok() }
    }

    /// Removes the group; false if something runs in it still.
    pub fn remove(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// Puts this process into the group that `door` belongs to ([`MemoryGroup::door`]), and what it starts from now on.
///
/// # Errors
/// When the kernel refuses.
pub fn enter_group(door: OwnedFd) -> io::Result<()> {
    // 0 is the process that writes.
    io::Write::write_all(&mut fs::File::from(door), b"0")
}

/// Where groups could be made, by the contents of /proc/self/cgroup and /proc/self/mountinfo: below our own group in
/// version 1; in version 2, where a group with processes may have no controlled groups below it, beside our own, as far up
/// as the memory controller is handed down.
fn candidates(own: &str, mounts: &str) -> Vec<MemoryGroups> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            let Some((mount, root)) = mount_of(mounts, "cgroup2", None) else { continue };
            let Some(group) = below(&mount, &root, path) else { continue };
            let is_handed_down = |group: &&Path| {
                let handed_down = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
                handed_down.split_whitespace().any(|controller| controller == "memory")
            };
            let places = group.ancestors().take_while(|group| group.starts_with(&mount)).filter(is_handed_down);
            let places = places.map(|place| MemoryGroups { parent: place.to_path_buf(), version: CgroupVersion::V2 });
            found.extend(places.take(2));
        } else if controllers.split(',').any(|controller| controller == "memory") {
            let Some((mount, root)) = mount_of(mounts, "cgroup", Some("memory")) else { continue };
            found.extend(below(&mount, &root, path).map(|parent| MemoryGroups { parent, version: CgroupVersion::V1 }));
        }
    }
    found
}

/// Mount point and root of the hierarchy of a kind (proc_pid_mountinfo(5)), that has the controller.
fn mount_of(mounts: &str, kind: &str, controller: Option<&str>) -> Option<(PathBuf, String)> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let is_kind = after.next()? == kind;
        let options = after.nth(1)?;
        let has_it = controller.is_none_or(|controller| options.split(',').any(|option| option == controller));
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        (is_kind && has_it).then(|| (PathBuf::from(point), root.to_string()))
    })
}

/// Where the group `path` is seen, if the mount shows it.
fn below(mount: &Path, root: &str, path: &str) -> Option<PathBuf> {
    let inner = if root == "/" { path } else { path.strip_prefix(root)? };
    let inner = inner.trim_start_matches('/');
    (!inner.split('/').any(|part| part == "..")).then(|| mount.join(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 22 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
30 25 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 25 0:28 /outer /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn the_own_group_is_found() {
        let found = candidates("4:memory:/a/b\n1:cpu,cpuacct:/outer/c\n0::/\n", MOUNTS);
        let expected = MemoryGroups { parent: "/sys/fs/cgroup/memory/a/b".into(), version: CgroupVersion::V1 };
        assert_eq!(found, [expected]);
        assert_eq!(candidates("4:memory:/../b\n", MOUNTS), []);
        assert_eq!(candidates("nonsense\n::\n\n", "nonsense\n - \n"), []);
        assert_eq!(mount_of(MOUNTS, "cgroup", Some("cpu")), Some(("/sys/fs/cgroup/cpu".into(), "/outer".into())));
        assert_eq!(below(Path::new("/m"), "/outer", "/outer/c"), Some("/m/c".into()));
        assert_eq!(below(Path::new("/m"), "/outer", "/else"), None);
    }

    /// A folder stands for the hierarchy: a unified one cannot be had everywhere.
    #[test]
    fn in_version_2_groups_are_made_where_the_controller_is_handed_down() {
        let folder = std::env::temp_dir().join(format!("procession-os-cgroup-{}", std::process::id()));
        let scope = folder.join("user.slice/app.slice/run.scope");
        fs::create_dir_all(&scope).unwrap();
        for (group, controllers) in
            [("", "cpu memory"), ("user.slice", "cpu memory pids"), ("user.slice/app.slice", "pids")]
        {
            fs::write(folder.join(group).join("cgroup.subtree_control"), controllers).unwrap();
        }
        let mounts = format!("29 25 0:29 / {} rw - cgroup2 cgroup2 rw\n", folder.display());
        let found = candidates("0::/user.slice/app.slice/run.scope\n", &mounts);
        let parents: Vec<&Path> = found.iter().map(MemoryGroups::parent).collect();
        assert_eq!(parents, [folder.join("user.slice"), folder.clone()]);
        let group = found[0].create(7, 1 << 20).unwrap();
        assert_eq!(fs::read_to_string(group.path.join("memory.max")).unwrap(), (1 << 20).to_string());
        fs::write(group.path.join("memory.events"), "low 0\noom 2\noom_kill 1\n").unwrap();
        fs::write(group.path.join("memory.peak"), "1048576\n").unwrap();
        assert_eq!(group.events(), MemoryEvents { kills: 1, peak_bytes: Some(1 << 20) });
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(group.events(), MemoryEvents::default());
    }

    /// Where there are groups: neither what a killed process of our number has left nor another thread is in the way.
    #[test]
    fn a_group_is_made_whatever_is_there() {
        let Ok(groups) = MemoryGroups::find() else {
            eprintln!("NOT COVERED: no memory groups can be made here");
            return;
        };
        let left = groups.create(2, 32 << 20).unwrap();
        assert!(groups.create(2, 16 << 20).unwrap().remove() && left.remove());
        let find = || std::thread::spawn(|| (0..25).all(|_| MemoryGroups::find().is_ok()));
        let threads = [find(), find(), find(), find()];
        assert!(threads.map(|thread| thread.join().unwrap()).iter().all(|&has_found| has_found));
    }

    #[test]
    fn groups_of_living_processes_stay() {
        let folder = std::env::temp_dir().join(format!("procession-os-sweep-{}", std::process::id()));
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let names = [format!("{PREFIX}1-3"), format!("{PREFIX}{}-3", std::process::id()), "other-1-3".to_string()];
        for name in names.iter().chain([&format!("{PREFIX}{}-3", ended.id())]) {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let groups = MemoryGroups { parent: folder.clone(), version: CgroupVersion::V1 };
        groups.sweep();
        assert!(names.iter().all(|name| folder.join(name).exists()));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), names.len());
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Where there are groups: a child that is over the limit is killed, and that is told.
    #[test]
    fn a_group_caps_and_tells() {
        let Ok(groups) = MemoryGroups::find() else {
            eprintln!("NOT COVERED: no memory groups can be made here");
            return;
        };
        groups.sweep();
        let group = groups.create(1, 32 << 20).unwrap();
        // The shell enters the group, then holds 64 MiB in a variable.
        let script = format!(
            "echo 0 > {}/cgroup.procs && x=$(head -c 67108864 /dev/zero | tr '\\0' x) && echo survived",
            group.path.display()
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("survived"), "{output:?}");
        let events = group.events();
        assert!(events.kills > 0 && events.peak_bytes.unwrap_or(32 << 20) >= 16 << 20, "{events:?}");
        // The rest of the pipeline ends in its own time.
        while !group.remove() {
            std::thread::yield_now();
        }
        assert!(!group.path.exists());
    }
}
