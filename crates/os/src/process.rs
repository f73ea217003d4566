//! Starting this program again, forking it while it has one thread, and the rules that tie processes together.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// Descriptors are passed to a started program from this number on.
const FIRST_PASSED_FD: c_int = 3;

/// This program, started again from `/proc/self/exe`, which is the very file that runs even if it was replaced on disk.
#[derive(Debug, Default)]
pub struct SelfSpawn<'a> {
    /// The only argument: tells the new process what it is.
    pub argument: &'a str,
    /// Become the descriptors 3, 4, ... of the new process, which has no others but its standard streams.
    pub fds: Vec<BorrowedFd<'a>>,
    /// Becomes its standard error; inherited by default.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Whether it starts a session of its own, out of reach of the terminal's signals.
    pub new_session: bool,
}

impl SelfSpawn<'_> {
    /// Starts the process by posix_spawn(3), which does not copy this one's page tables: the cost does not grow with
    /// its memory, and other threads do not matter. Its standard input is `/dev/null`.
    ///
    /// # Errors
    /// Those of posix_spawn(3).
    pub fn spawn(&self) -> io::Result<Child> {
        let name = std::env::args_os().next().unwrap_or_default();
        let argv = [cstring(name.as_encoded_bytes())?, cstring(self.argument.as_bytes())?];
        let mut argv: Vec<*mut c_char> = argv.iter().map(|a| a.as_ptr().cast_mut()).collect();
        argv.push(std::ptr::null_mut());
        // Copies above the numbers that they get, so that no dup2 overwrites the source of a later one.
        let high = FIRST_PASSED_FD + self.fds.len() as c_int;
        let copies = self.fds.iter().chain(&self.stderr).map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, high));
        let copies = copies.collect::<Result<Vec<OwnedFd>, Errno>>()?;

        let mut actions = FileActions::new()?;
        actions.open_null(libc::STDIN_FILENO)?;
        for (copy, number) in copies.iter().zip(FIRST_PASSED_FD..).take(self.fds.len()) {
            actions.dup2(copy.as_raw_fd(), number)?;
        }
        if let (Some(copy), true) = (copies.last(), self.stderr.is_some()) {
            actions.dup2(copy.as_raw_fd(), libc::STDERR_FILENO)?;
        }
        for fd in inheritable(high) {
            // Of one beyond a limit that was lowered since it was opened (RLIMIT_NOFILE) the C library wants to know nothing.
            let _ = actions.close(fd);
        }
        let attributes = Attributes::new(self.new_session)?;
        let mut pid = 0;
        // SAFETY: path, argv and environ are NUL-terminated and live through the call; actions and attributes are
        // initialised.
        check(unsafe {
            libc::posix_spawn(
                &mut pid,
                c"/proc/self/exe".as_ptr(),
                &actions.0,
                &attributes.0,
                argv.as_ptr(),
                environ.cast(),
            )
        })?;
        Ok(Child { pid, status: None })
    }
}

unsafe extern "C" {
    /// environ(7)
    static environ: *const *const c_char;
}

fn cstring(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn check(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<FileActions> {
        let mut actions = std::mem::MaybeUninit::uninit();
        // SAFETY: init fills the memory that it is given, and says so by returning 0.
        unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(FileActions(actions.assume_init()))
        }
    }

    fn open_null(&mut self, fd: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised, the path is copied by the call.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&mut self.0, fd, c"/dev/null".as_ptr(), libc::O_RDONLY, 0)
        })
    }

    fn close(&mut self, fd: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe { libc::posix_spawn_file_actions_addclose(&mut self.0, fd) })
    }

    fn dup2(&mut self, from: c_int, to: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, to) })
    }
}

/// Open descriptors from `first` on that a program which is executed gets. This one may have been given some that it knows
/// nothing of, and its workers are not to reach them.
fn inheritable(first: c_int) -> Vec<c_int> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // SAFETY: no memory is involved; of a descriptor that was closed in the meantime it is an error.
    let is_kept = |fd: &c_int| matches!(unsafe { libc::fcntl(*fd, libc::F_GETFD) }, flags if flags >= 0 && flags & libc::FD_CLOEXEC == 0);
    numbers.filter(|&fd| fd >= first).filter(is_kept).collect()
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// No blocked signals, default actions, and perhaps a new session.
    fn new(new_session: bool) -> io::Result<Attributes> {
        let mut attributes = std::mem::MaybeUninit::uninit();
        let mut signals = std::mem::MaybeUninit::uninit();
        let session = if new_session { libc::POSIX_SPAWN_SETSID } else { 0 };
        let flags = libc::POSIX_SPAWN_SETSIGMASK as libc::c_short | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short;
        // SAFETY: the init functions fill the memory that they are given; the others get initialised memory.
        unsafe {
            check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            let mut attributes = Attributes(attributes.assume_init());
            libc::sigemptyset(signals.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(&mut attributes.0, signals.as_ptr()))?;
            for signal in DEFAULTED {
                libc::sigaddset(signals.as_mut_ptr(), signal);
            }
            check(libc::posix_spawnattr_setsigdefault(&mut attributes.0, signals.as_ptr()))?;
            check(libc::posix_spawnattr_setflags(&mut attributes.0, flags | session as libc::c_short))?;
            Ok(attributes)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// Signals that end a worker, whatever the program does with them.
const DEFAULTED: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// A child of this process.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    status: Option<ExitStatus>,
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// How it ended, or None while it runs.
    ///
    /// # Errors
    /// Those of wait4(2): somebody else has reaped it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = wait4(self.pid, libc::WNOHANG)?.map(|r| r.status);
        }
        Ok(self.status)
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        if let Ok(None) = self.try_wait() {
            signal_process(self.pid, libc::SIGKILL);
            self.status = wait4(self.pid, 0).ok().flatten().map(|r| r.status);
        }
    }
}

/// A child that ended.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// Its process id, free for reuse from now on.
    pub pid: i32,
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Most memory that it ever had resident.
    pub peak_rss_bytes: u64,
    /// User and system time.
    pub cpu: Duration,
}

/// A child of this process that ended, adopted ones included, and whose number stays taken until it is [`reap`]ed; None
/// when none has.
pub fn ended_child() -> Option<i32> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the pointer is to memory of the right type; zeroed at first, it is initialised in any case, and waitid(2)
    // leaves the id 0 if no child has ended.
    unsafe {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let found = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) == 0;
        Some(info.assume_init().si_pid()).filter(|&pid| found && pid > 0)
    }
}

/// Whether this process has children, running or not reaped yet, adopted ones included.
pub fn has_children() -> bool {
    // SAFETY: no status is asked for, so no memory is involved.
    let found =
        unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    found == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ECHILD)
}

/// Waits for the end of the child `pid`, if it has not ended yet, and frees its number; None if it is no child of this
/// process.
pub fn reap(pid: i32) -> Option<Reaped> {
    wait4(pid, 0).ok().flatten()
}

fn wait4(pid: i32, flags: c_int) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to memory of the right type that lives through the call.
        let got = unsafe { libc::wait4(pid, &mut status, flags, usage.as_mut_ptr()) };
        if got >= 0 {
            // SAFETY: zeroed at first, so initialised in any case.
            let usage = unsafe { usage.assume_init() };
            let time = |t: libc::timeval| {
                Duration::new(t.tv_sec.try_into().unwrap_or(0), u32::try_from(t.tv_usec).unwrap_or(0) * 1000)
            };
            return Ok((got > 0).then(|| Reaped {
                pid: got,
                status: ExitStatus::from_raw(status),
                peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
                cpu: time(usage.ru_utime) + time(usage.ru_stime),
            }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Sends `signal` to one process; false if there is none.
pub fn signal_process(pid: i32, signal: i32) -> bool {
    // SAFETY: no memory is involved.
    pid > 0 && unsafe { libc::kill(pid, signal) } == 0
}

/// Sends `signal` to all of a process group; false if there is none.
pub fn signal_group(leader: i32, signal: i32) -> bool {
    // SAFETY: no memory is involved.
    leader > 1 && unsafe { libc::kill(-leader, signal) } == 0
}

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old process; the new one's id.
    Parent(i32),
}

/// Forks this process, which must have one thread only: in a copy of more, locks could be held by threads that do not
/// exist there (fork(2)).
///
/// # Errors
/// `Unsupported` when there are other threads; else those of fork(2).
pub fn fork_single_threaded() -> io::Result<Forked> {
    if crate::proc::has_other_threads() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: with one thread the child is a full copy in a consistent state.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Parent(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The parent's process id.
pub fn parent_pid() -> i32 {
    rustix::process::Pid::as_raw(rustix::process::getppid())
}

/// Whether this process runs with more rights than its starter (AT_SECURE of getauxval(3)).
pub fn is_privileged() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Makes this process the one that orphans below it are given to (prctl(2), PR_SET_CHILD_SUBREAPER), and deaf to
/// the signals that ask programs to end: it ends with the program that it serves. Listings show it as `supervisor`.
///
/// # Errors
/// Those of prctl(2).
pub fn become_supervisor() -> io::Result<()> {
    for signal in DEFAULTED.into_iter().chain([libc::SIGPIPE]) {
        // SAFETY: SIG_IGN installs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // A program that was started with it ignored passes that on, and children that end then leave nothing to wait for.
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let _ = rustix::thread::set_name(c"supervisor");
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Makes this process a worker: it is killed when `parent` dies, leads a process group of its own, ends on the usual
/// signals, reads nothing, and has `name` in listings.
///
/// # Errors
/// When `parent` is dead already, or the kernel refuses a step.
pub fn become_worker(parent: i32, name: &str) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the request was in force.
    if parent_pid() != parent {
        return Err(io::ErrorKind::NotConnected.into());
    }
    let _ = rustix::process::setpgid(None, None);
    for signal in DEFAULTED {
        // SAFETY: SIG_DFL installs no code.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: SIG_IGN installs no code. Rust programs see a closed pipe as an error, not as a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    if let Ok(name) = CString::new(&name.as_bytes()[..name.len().min(15)]) {
        let _ = rustix::thread::set_name(&name);
    }
    Ok(())
}

/// Makes `fd` the standard error of this process.
///
/// # Errors
/// Those of dup2(2).
pub fn redirect_stderr(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(fd)?)
}

/// Makes the standard error of this process its standard output, too.
///
/// # Errors
/// Those of dup2(2).
pub fn redirect_stdout_to_stderr() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdout(rustix::stdio::stderr())?)
}

/// A descriptor that stands for one process and is readable once it has ended (pidfd_open(2)).
///
/// # Errors
/// When there is no such process.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Kills the process that a descriptor of [`open_pidfd`] stands for, and no other that got its number since.
pub fn kill_pidfd(pidfd: BorrowedFd<'_>) {
    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
}

/// The descriptors that this process was started with by [`SelfSpawn`], taken over.
///
/// # Errors
/// When one of the `count` is not open.
pub fn passed_fds(count: usize) -> io::Result<Vec<OwnedFd>> {
    (FIRST_PASSED_FD..)
        .take(count)
        .map(|number| {
            // SAFETY: F_GETFD and F_SETFD only look at and change flags. If the number is open then it was passed to this
            // process for us, which nothing else has touched yet: that is why `init` comes first in `main`.
            unsafe {
                if libc::fcntl(number, libc::F_GETFD) < 0 || libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(OwnedFd::from_raw_fd(number))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_to_nobody_are_false() {
        assert!(!signal_process(0, 0) && !signal_process(-1, 0) && !signal_group(0, 0) && !signal_group(1, 0));
        assert!(signal_process(std::process::id() as i32, 0));
    }

    #[test]
    fn what_is_inherited_is_known() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!inheritable(3).contains(&file.as_raw_fd()));
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let found = inheritable(3);
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC).unwrap();
        assert!(found.contains(&file.as_raw_fd()) && !inheritable(file.as_raw_fd() + 1).contains(&file.as_raw_fd()));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert_eq!(fork_single_threaded().unwrap_err().kind(), io::ErrorKind::Unsupported);
        drop(stop);
        let _ = thread.join();
    }

    #[test]
    #[allow(clippy::zombie_processes)] // It is waited for, by another way.
    fn an_ended_child_is_seen_before_it_is_reaped() {
        let pid = std::process::Command::new("true").spawn().unwrap().id() as i32;
        // Other tests have children, too.
        while ended_child() != Some(pid) {
            std::thread::yield_now();
        }
        let reaped = reap(pid).unwrap();
        assert!(reaped.pid == pid && reaped.status.success() && reaped.peak_rss_bytes > 0);
        assert!(reap(pid).is_none() && reap(1).is_none());
    }

    #[test]
    fn a_pidfd_tells_the_end_and_kills() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = open_pidfd(child.id() as i32).unwrap();
        use std::os::fd::AsFd;
        assert!(!crate::readable(&pidfd, Some(Duration::ZERO)).unwrap());
        kill_pidfd(pidfd.as_fd());
        assert!(crate::readable(&pidfd, None).unwrap());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(open_pidfd(0).is_err());
    }
}
