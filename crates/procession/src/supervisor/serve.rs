//! The supervisor's own loop.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use procession_os::{Channel, Forked, MemoryGroup, Poller, Received, SelfSpawn};

use super::groups::Groups;
use super::{End, NamedMemory, Notice, Request, Role, SUPERVISOR_ARGUMENT, StartMethod, WORKER_ARGUMENT};
use crate::error::{EMFILE, describe};

const SIGKILL: i32 = 9;
/// Tells the program's own connection from leases (numbered from 1) and pidfds (with the top bit).
const ROOT: u64 = 0;
const PIDFD: u64 = 1 << 63;
/// How long after a worker's end the supervisor looks for what that worker left behind: a look at /proc costs
/// milliseconds on a crowded machine, so several ends share one.
const SWEEP_DELAY: Duration = Duration::from_millis(20);
/// The kernel tells nobody that an adopted process has ended; while there are workers we look now and then.
const TICK: Duration = Duration::from_secs(1);
/// How long supervisors that are to be ended may take to clear up.
const FINISH_TIME: Duration = Duration::from_secs(1);

/// A process that was just forked from the supervisor and is to become a worker.
pub(crate) struct StartedWorker {
    pub role: Role,
    pub name: String,
    pub supervisor_pid: i32,
    pub fds: Vec<OwnedFd>,
    /// Leads into its control group.
    pub door: Option<OwnedFd>,
}

struct Worker {
    pidfd: OwnedFd,
    lease: u64,
    id: u64,
    group: Option<MemoryGroup>,
}

struct Supervisor {
    poller: Poller,
    leases: HashMap<u64, Channel>,
    next_lease: u64,
    /// By process id.
    workers: HashMap<i32, Worker>,
    owned: Vec<NamedMemory>,
    groups: Groups,
    sweep_at: Option<Instant>,
    finishing: Finishing,
    can_fork: bool,
    has_warned: bool,
}

/// Serves the program at the other end of `root` until it is gone, and ends all that is left of it. Returns only in a
/// process that was forked to be a worker, or when the program is gone.
pub(crate) fn serve(root: Channel) -> io::Result<Option<StartedWorker>> {
    procession_os::become_supervisor()?;
    let poller = Poller::new()?;
    poller.add(&root, ROOT)?;
    let mut supervisor = Supervisor {
        poller,
        leases: HashMap::new(),
        next_lease: 1,
        workers: HashMap::new(),
        owned: Vec::new(),
        groups: Groups::default(),
        sweep_at: None,
        finishing: Finishing::default(),
        can_fork: !procession_os::has_other_threads(),
        has_warned: false,
    };
    loop {
        let until_sweep = supervisor.sweep_at.map(|at| at.saturating_duration_since(Instant::now()));
        let tick = (!supervisor.workers.is_empty()).then_some(TICK);
        for ready in supervisor.poller.wait(until_sweep.or(tick))? {
            if ready == ROOT {
                if !supervisor.serve_root(&root)? {
                    for memory in &supervisor.owned {
                        // What cannot be unlinked is not ours any more, or its folder is gone.
                        let _ = memory.unlink();
                    }
                    end_all_below();
                    supervisor.remove_groups();
                    return Ok(None);
                }
            } else if ready & PIDFD != 0 {
                // A worker's end: it is reaped below.
            } else if let Some(started) = supervisor.serve_lease(ready)? {
                return Ok(Some(started));
            }
        }
        supervisor.reap();
        if supervisor.sweep_at.is_some_and(|at| at <= Instant::now()) {
            supervisor.sweep();
        }
    }
}

impl Supervisor {
    /// False when the program is gone.
    fn serve_root(&mut self, root: &Channel) -> io::Result<bool> {
        loop {
            match root.receive() {
                Ok(Received::Message(bytes, mut fds)) => match postcard::from_bytes(&bytes) {
                    Ok(Request::Own(memory)) => self.owned.push(memory),
                    Ok(Request::Disown(memory)) => self.owned.retain(|owned| *owned != memory),
                    // Take over a lease. If there is no descriptor left for it then that lease is closed, which its
                    // owner sees. The others go on.
                    _ => {
                        if let Some(fd) = fds.pop() {
                            let lease = Channel::from_fd(fd)?;
                            self.poller.add(&lease, self.next_lease)?;
                            self.leases.insert(self.next_lease, lease);
                            self.next_lease += 1;
                        }
                    }
                },
                Ok(Received::Empty) => return Ok(true),
                Ok(Received::Closed) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    fn serve_lease(&mut self, lease: u64) -> io::Result<Option<StartedWorker>> {
        while let Some(channel) = self.leases.get(&lease) {
            match channel.receive() {
                Ok(Received::Message(bytes, fds)) => match postcard::from_bytes(&bytes) {
                    Ok(Request::Start { id, role, .. }) if fds.len() < role.fd_count() => {
                        let cause = describe(&io::Error::from_raw_os_error(EMFILE));
                        self.notify(lease, &Notice::NotStarted { id, cause }, &[]);
                    }
                    Ok(Request::Start { id, name, method, role, memory_bytes }) => {
                        let group = match memory_bytes.map(|bytes| self.groups.create(bytes)).transpose() {
                            Ok(group) => group,
                            Err(e) => {
                                let cause = format!("failed to make a control group: {}", describe(&e));
                                self.notify(lease, &Notice::NotStarted { id, cause }, &[]);
                                continue;
                            }
                        };
                        let (group, door) = group.unzip();
                        let supervisor_pid = std::process::id() as i32;
                        let worker = StartedWorker { role, name, supervisor_pid, fds, door };
                        if let Some(worker) = self.start((lease, id), method, worker, group) {
                            return Ok(Some(worker));
                        }
                    }
                    Ok(Request::Signal { id, signal }) => {
                        let worker = self.workers.iter().find(|(_, w)| (w.lease, w.id) == (lease, id));
                        if let Some((&pid, _)) = worker {
                            // It has its own group once it has reached its first lines.
                            if !procession_os::signal_group(pid, signal) {
                                procession_os::signal_process(pid, signal);
                            }
                        }
                    }
                    Ok(Request::Lease | Request::Own(_) | Request::Disown(_)) | Err(_) => self.end_lease(lease),
                },
                Ok(Received::Empty) => return Ok(None),
                Ok(Received::Closed) | Err(_) => self.end_lease(lease),
            }
        }
        Ok(None)
    }

    /// Starts a worker. In the worker itself, if it was forked, returns what it needs to know.
    fn start(
        &mut self,
        (lease, id): (u64, u64),
        method: StartMethod,
        worker: StartedWorker,
        group: Option<MemoryGroup>,
    ) -> Option<StartedWorker> {
        if method == StartMethod::ForkServer && !self.can_fork && !self.has_warned {
            self.has_warned = true;
            eprintln!(
                "procession: warning: there were other threads when init() was called, so workers are started by \
                 `spawn` instead of `forkserver`; call init() first in main, before an async runtime starts"
            );
        }
        let started = if method == StartMethod::ForkServer && self.can_fork {
            match procession_os::fork_single_threaded() {
                Ok(Forked::Child) => return Some(worker),
                Ok(Forked::Parent(pid)) => Ok(pid),
                Err(e) => Err(e),
            }
        } else {
            spawn(&worker)
        };
        let watched = started.and_then(|pid| match self.watch(pid) {
            Ok(pidfd) => Ok((pid, pidfd)),
            Err(e) => {
                // Its memory is given to another once it is said not to run.
                procession_os::signal_process(pid, SIGKILL);
                procession_os::reap(pid);
                Err(e)
            }
        });
        match watched {
            Ok((pid, pidfd)) => {
                self.notify(lease, &Notice::Started { id, pid }, &[pidfd.as_fd()]);
                self.workers.insert(pid, Worker { pidfd, lease, id, group });
            }
            Err(e) => {
                if let Some(group) = group {
                    self.groups.close(group);
                }
                self.notify(lease, &Notice::NotStarted { id, cause: describe(&e) }, &[]);
            }
        }
        None
    }

    fn watch(&self, pid: i32) -> io::Result<OwnedFd> {
        let pidfd = procession_os::open_pidfd(pid)?;
        self.poller.add(&pidfd, PIDFD | pid as u64)?;
        Ok(pidfd)
    }

    fn notify(&mut self, lease: u64, notice: &Notice, fds: &[BorrowedFd<'_>]) {
        // A lease whose program side is closed is found out when it is read next.
        if let (Some(channel), Ok(bytes)) = (self.leases.get(&lease), postcard::to_stdvec(notice)) {
            let _ = channel.send(&bytes, fds);
        }
    }

    /// Ends the lease's workers and all that is below them.
    fn end_lease(&mut self, lease: u64) {
        if let Some(channel) = self.leases.get(&lease) {
            self.poller.remove(channel);
        }
        let doomed: Vec<i32> = self.workers.iter().filter(|(_, w)| w.lease == lease).map(|(&pid, _)| pid).collect();
        for &pid in &doomed {
            procession_os::signal_group(pid, SIGKILL);
            procession_os::signal_process(pid, SIGKILL);
        }
        if !doomed.is_empty() {
            self.sweep_at = Some(Instant::now());
        }
        // The program may wait for the lease to close: that says that its workers are gone.
        for pid in doomed {
            if let Some(worker) = self.workers.get(&pid) {
                let _ = procession_os::readable(&worker.pidfd, None);
            }
        }
        self.reap();
        self.leases.remove(&lease);
    }

    /// Takes in all children that have ended, and tells of the workers among them.
    fn reap(&mut self) {
        while let Some(pid) = procession_os::ended_child() {
            // Until it is reaped its number is its own, and so is that of its group.
            if self.workers.contains_key(&pid) {
                procession_os::signal_group(pid, SIGKILL);
            }
            let Some(reaped) = procession_os::reap(pid) else { break };
            if let Some(worker) = self.workers.remove(&pid) {
                self.poller.remove(&worker.pidfd);
                let end = End {
                    status: reaped.status.into_raw(),
                    peak_rss_bytes: reaped.peak_rss_bytes,
                    cpu: reaped.cpu,
                    over_memory_bytes: worker.group.and_then(|group| self.groups.close(group)),
                };
                self.notify(worker.lease, &Notice::Exited { id: worker.id, end }, &[]);
                self.sweep_at.get_or_insert_with(|| Instant::now() + SWEEP_DELAY);
            }
        }
    }

    /// Everything below is dead, so all groups are empty.
    fn remove_groups(&mut self) {
        for group in self.workers.drain().filter_map(|(_, worker)| worker.group) {
            self.groups.close(group);
        }
        self.groups.remove_empty();
    }

    /// Ends the processes that were given to us because a worker above them died.
    fn sweep(&mut self) {
        let children = procession_os::children_of_all();
        let me = std::process::id() as i32;
        let mut found = false;
        for &orphan in children.get(&me).into_iter().flatten().filter(|pid| !self.workers.contains_key(pid)) {
            found = true;
            for pid in procession_os::descendants(&children, orphan) {
                self.finishing.kill(pid);
            }
            self.finishing.kill(orphan);
        }
        self.finishing.0.retain(|pid, _| children.values().any(|of_one| of_one.contains(pid)));
        self.groups.remove_empty();
        // What was below them is given to us next.
        self.sweep_at = found.then(|| Instant::now() + SWEEP_DELAY);
        self.reap();
    }
}

/// Ends processes, but lets supervisors among them (of pools that tasks have made) finish first: one whose program is gone
/// takes away its shared memory, and ends. For that it has a moment, whoever it is that looks like one.
///
/// By process id, when its moment is over.
#[derive(Default)]
struct Finishing(HashMap<i32, Instant>);

impl Finishing {
    fn kill(&mut self, pid: i32) {
        // It has its name only once it has reached `init`.
        let may_finish = || procession_os::has_only_argument(pid, SUPERVISOR_ARGUMENT);
        let now = Instant::now();
        if !may_finish() || *self.0.entry(pid).or_insert(now + FINISH_TIME) <= now {
            procession_os::signal_process(pid, SIGKILL);
        }
    }
}

/// Starts a worker by executing this program again.
fn spawn(worker: &StartedWorker) -> io::Result<i32> {
    let StartedWorker { role, name, supervisor_pid, fds, door } = worker;
    let role = match role {
        Role::PoolWorker => "pool".to_string(),
        Role::Process { handles } => format!("process+{handles}"),
    };
    let doors = usize::from(door.is_some());
    let argument = format!("{WORKER_ARGUMENT}{role}:{doors}:{supervisor_pid}:{name}");
    let fds = fds.iter().chain(door).map(AsFd::as_fd).collect();
    Ok(SelfSpawn { argument: &argument, fds, stderr: None, new_session: false }.spawn()?.pid())
}

/// The program is gone: ends every process below this one, however it tried to get away.
fn end_all_below() {
    let me = std::process::id() as i32;
    let mut finishing = Finishing::default();
    loop {
        while procession_os::ended_child().and_then(procession_os::reap).is_some() {}
        // As a rule the program has ended its pools, and a look at all of /proc is not needed.
        if !procession_os::has_children() {
            break;
        }
        let below = procession_os::descendants(&procession_os::children_of_all(), me);
        if below.is_empty() {
            break;
        }
        for &pid in &below {
            finishing.kill(pid);
        }
        // They end at once; those that they had not yet told us of are ours at the next look.
        std::thread::sleep(Duration::from_millis(2));
    }
}
