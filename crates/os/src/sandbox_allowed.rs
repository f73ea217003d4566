//! The system calls that a sandboxed process may make, and with what arguments.
//!
//! The list was made from syscalls(2): what acts on this process, on what it has open, or on files (which Landlock guards)
//! is in it; what reaches other processes, changes the system, or opens a part of the kernel that computing does not
//! need is not. Compare the default profile of containers (moby, profiles/seccomp/default.json).

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// By number: with which arguments a call may be made.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is allowed; all else is not.
pub(crate) struct Allowed {
    /// Calls with any arguments.
    pub calls: Vec<u32>,
    /// Calls with some.
    pub rules: Rules,
}

/// clone(2): `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID` and `NEWNET`; and `CLONE_PARENT`, whose
/// child would be a child of the supervisor.
const CLONE_REFUSED: u64 = 0x7e02_0000 | 0x8000;
/// socket(2): the type, without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
const SOCKET_TYPE: u64 = 0xf;

impl Allowed {
    /// What is allowed to process `own_pid`.
    pub fn new(own_pid: u32, network: bool, truncates: bool) -> Result<Allowed, BackendError> {
        let online = if network { NETWORK_CALLS } else { &[] };
        let is_allowed = |call: &&c_long| truncates || !TRUNCATING_CALLS.contains(call);
        let calls =
            CALLS.iter().chain(LEGACY_CALLS).chain(online).filter(is_allowed).map(|&call| call as u32).collect();
        Ok(Allowed { calls, rules: rules(own_pid, network)? })
    }
}

fn rules(own_pid: u32, network: bool) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    let own_pid = u64::from(own_pid);
    for call in
        [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_tkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo]
    {
        // Of a process with several threads tkill(2), which names a thread alone, reaches the first.
        any(&mut rules, call, 0, [own_pid])?;
    }
    // Signal 0 asks whether a process lives.
    any(&mut rules, libc::SYS_kill, 1, [0])?;
    // Of other processes of the same user these would change limits, priorities and CPUs.
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setattr,
    ] {
        any(&mut rules, call, 0, [0, own_pid])?;
    }
    all(
        &mut rules,
        libc::SYS_setpriority,
        [(0, SeccompCmpOp::Eq, libc::PRIO_PROCESS as u64), (1, SeccompCmpOp::Eq, 0)],
    )?;
    all(&mut rules, libc::SYS_clone, [(0, SeccompCmpOp::MaskedEq(CLONE_REFUSED), 0)])?;
    any(&mut rules, libc::SYS_ioctl, 1, IOCTLS)?;
    for (first, last) in FCNTLS {
        all(&mut rules, libc::SYS_fcntl, [(1, SeccompCmpOp::Ge, first as u64), (1, SeccompCmpOp::Le, last as u64)])?;
    }
    any(&mut rules, libc::SYS_prctl, 0, PRCTLS)?;
    // utimensat(2) without a path is futimens(3).
    rules.insert(
        libc::SYS_utimensat,
        vec![SeccompRule::new(vec![SeccompCondition::new(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?],
    );
    // A pair of type SOCK_DGRAM could send to any socket that has a path.
    for kind in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET] {
        socket(&mut rules, libc::SYS_socketpair, libc::AF_UNIX, kind)?;
    }
    if network {
        for family in [libc::AF_INET, libc::AF_INET6] {
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                socket(&mut rules, libc::SYS_socket, family, kind)?;
            }
        }
    } else {
        // Without an address: send(2).
        rules.insert(
            libc::SYS_sendto,
            vec![SeccompRule::new(vec![SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?],
        );
    }
    Ok(rules)
}

/// One more combination of arguments that is allowed. Each is compared by its low 32 bits, which are all that the kernel
/// looks at.
fn all<const N: usize>(
    rules: &mut Rules,
    call: c_long,
    conditions: [(u8, SeccompCmpOp, u64); N],
) -> Result<(), BackendError> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, op, value)| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value));
    rules.entry(call).or_default().push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
    Ok(())
}

/// Allows any of the values for one argument.
fn any(
    rules: &mut Rules,
    call: c_long,
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<(), BackendError> {
    values.into_iter().try_for_each(|value| all(rules, call, [(argument, SeccompCmpOp::Eq, value)]))
}

fn socket(rules: &mut Rules, call: c_long, family: i32, kind: i32) -> Result<(), BackendError> {
    all(rules, call, [(0, SeccompCmpOp::Eq, family as u64), (1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), kind as u64)])
}

/// ioctl(2): TCGETS and TCGETS2 (isatty(3)), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, FICLONE, FICLONERANGE. Their
/// numbers are those of all architectures that we know; the others are the business of devices and terminals.
const IOCTLS: [u64; 9] = [0x5401, 0x802c_542a, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x4004_9409, 0x4020_940d];

/// fcntl(2), from one to another: descriptors, their flags and locks; pipes and seals. Not F_SETOWN and F_SETSIG, which send
/// signals, nor leases.
const FCNTLS: [(i32, i32); 3] = [
    (libc::F_DUPFD, libc::F_SETLKW),
    (libc::F_OFD_GETLK, libc::F_OFD_SETLKW),
    (libc::F_DUPFD_CLOEXEC, libc::F_GET_SEALS),
];

/// prctl(2): names, and what a process says of itself. Not PR_SET_PDEATHSIG, by which workers end with their supervisor.
const PRCTLS: [u64; 8] = [
    libc::PR_SET_NAME as u64,
    libc::PR_GET_NAME as u64,
    libc::PR_GET_DUMPABLE as u64,
    libc::PR_SET_VMA as u64,
    libc::PR_SET_NO_NEW_PRIVS as u64,
    libc::PR_GET_NO_NEW_PRIVS as u64,
    libc::PR_SET_TIMERSLACK as u64,
    libc::PR_SET_THP_DISABLE as u64,
];

/// Calls that can make a file shorter by its path; openat(2) and open(2) are looked at closer.
const TRUNCATING_CALLS: &[c_long] = &[
    libc::SYS_truncate,
    libc::SYS_openat,
    libc::SYS_openat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
];

const NETWORK_CALLS: &[c_long] =
    &[libc::SYS_accept, libc::SYS_accept4, libc::SYS_bind, libc::SYS_connect, libc::SYS_listen, libc::SYS_sendto];

const CALLS: &[c_long] = &[
    // Descriptors.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_copy_file_range,
    libc::SYS_fchmod,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_fchdir,
    // Paths, which Landlock guards; to look at a file needs no grant.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_truncate,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_umask,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_mlockall,
    libc::SYS_munlockall,
    libc::SYS_mbind,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_membarrier,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_memfd_create,
    // Threads, and children that execute no program.
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getcpu,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_getattr,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    libc::SYS_restart_syscall,
    // What this process is and uses.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_getpriority,
    libc::SYS_setrlimit,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // Its signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_signalfd4,
    // Time and waiting.
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    libc::SYS_getrandom,
    // Pipes, and sockets that it has or is given.
    libc::SYS_pipe2,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
];

/// Older forms of calls in [`CALLS`], which other architectures never had.
#[cfg(target_arch = "x86_64")]
const LEGACY_CALLS: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
];
#[cfg(target_arch = "aarch64")]
const LEGACY_CALLS: &[c_long] = &[libc::SYS_renameat];

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Runs `test` in a thread of its own that may make what system calls a sandbox allows.
    fn caged<T: Send + 'static>(network: bool, test: impl FnOnce() -> T + Send + 'static) -> T {
        let run = move || {
            crate::confine_calls(network, true).unwrap();
            test()
        };
        std::thread::spawn(run).join().unwrap()
    }

    /// The error of a system call; 0 if it succeeds.
    fn call(number: c_long, arguments: [i64; 6]) -> i32 {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: the pointers among the arguments of these tests are null or those of strings and structures that
        // outlive the call; most of the calls are refused before anybody looks at them.
        match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
            -1 => io::Error::last_os_error().raw_os_error().unwrap(),
            _ => 0,
        }
    }

    #[test]
    fn computing_goes_on() {
        let folder = std::env::temp_dir().join(format!("procession-calls-{}", std::process::id()));
        let made = folder.clone();
        caged(false, move || {
            fs::create_dir(&made).unwrap();
            fs::write(made.join("a"), "text").unwrap();
            fs::rename(made.join("a"), made.join("b")).unwrap();
            let file = File::open(made.join("b")).unwrap();
            file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(fs::read_dir(&made).unwrap().count(), 1);
            std::thread::spawn(|| vec![1u8; 64 << 20].iter().map(|&n| u64::from(n)).sum::<u64>()).join().unwrap();
            let (mut reader, writer) = io::pipe().unwrap();
            drop(writer);
            assert_eq!(io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
            crate::Channel::pair().unwrap();
            crate::stream_pair().unwrap();
            crate::Segment::create("test", 4096).unwrap();
            assert!(crate::Identity::own().is_alive());
            assert!(!crate::Identity { pid: 1 << 23, birth: 0 }.is_alive());
            assert_eq!(call(libc::SYS_kill, [std::process::id().into(), libc::SIGURG.into(), 0, 0, 0, 0]), 0);
            assert_eq!(call(libc::SYS_kill, [1, 0, 0, 0, 0, 0]), 0, "it asks whether process 1 lives");
            std::thread::sleep(std::time::Duration::from_millis(1));
        });
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_child_may_run_but_not_execute() {
        let ended = caged(false, || {
            // SAFETY: the child calls nothing but system calls (signal-safety(7)), and ends.
            unsafe {
                let pid = libc::fork();
                if pid == 0 {
                    let arguments = [c"/bin/true".as_ptr(), std::ptr::null()];
                    libc::execv(arguments[0], arguments.as_ptr());
                    libc::_exit(*libc::__errno_location());
                }
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                libc::WEXITSTATUS(status)
            }
        });
        assert_eq!(ended, libc::EPERM);
        let spawned = caged(false, || std::process::Command::new("/bin/true").status());
        assert_eq!(spawned.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn what_reaches_others_or_the_system_is_refused() {
        let parent = std::os::unix::process::parent_id() as i64;
        let own = std::process::id() as i64;
        let file = File::open("/dev/null").unwrap();
        let fd = i64::from(file.as_raw_fd());
        let text = |text: &'static std::ffi::CStr| text.as_ptr() as i64;
        let flags = |flags: i32| [i64::from(flags), 0, 0, 0, 0, 0];
        let here = i64::from(libc::AT_FDCWD);
        let refused: Vec<(&str, c_long, [i64; 6])> = vec![
            ("kill the parent", libc::SYS_kill, [parent, 15, 0, 0, 0, 0]),
            ("kill the group", libc::SYS_kill, [0, 15, 0, 0, 0, 0]),
            ("kill all", libc::SYS_kill, [-1, 15, 0, 0, 0, 0]),
            ("tgkill", libc::SYS_tgkill, [parent, parent, 15, 0, 0, 0]),
            ("tkill", libc::SYS_tkill, [parent, 15, 0, 0, 0, 0]),
            ("sigqueue", libc::SYS_rt_sigqueueinfo, [parent, 15, 0, 0, 0, 0]),
            ("pidfd_send_signal", libc::SYS_pidfd_send_signal, [fd, 15, 0, 0, 0, 0]),
            ("pidfd_getfd", libc::SYS_pidfd_getfd, [fd, 0, 0, 0, 0, 0]),
            ("signals by F_SETOWN", libc::SYS_fcntl, [fd, libc::F_SETOWN.into(), parent, 0, 0, 0]),
            ("ptrace", libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), parent, 0, 0, 0, 0]),
            ("process_vm_readv", libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0, 0]),
            ("process_vm_writev", libc::SYS_process_vm_writev, [own, 0, 0, 0, 0, 0]),
            ("limits of others", libc::SYS_prlimit64, [parent, libc::RLIMIT_NOFILE.into(), 0, 0, 0, 0]),
            ("priority of others", libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), parent, 19, 0, 0, 0]),
            ("CPUs of others", libc::SYS_sched_setaffinity, [parent, 0, 0, 0, 0, 0]),
            ("setsid", libc::SYS_setsid, flags(0)),
            ("setpgid", libc::SYS_setpgid, flags(0)),
            ("to outlive the supervisor", libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), 0, 0, 0, 0, 0]),
            ("execve", libc::SYS_execve, [text(c"/bin/true"), 0, 0, 0, 0, 0]),
            ("execveat", libc::SYS_execveat, [fd, text(c""), 0, 0, libc::AT_EMPTY_PATH.into(), 0]),
            ("chmod", libc::SYS_fchmodat, [here, text(c"/tmp/none"), 0o777, 0, 0, 0]),
            ("chown", libc::SYS_fchownat, [here, text(c"/tmp/none"), 0, 0, 0, 0]),
            ("times of a path", libc::SYS_utimensat, [here, text(c"/tmp/none"), 0, 0, 0, 0]),
            ("setxattr", libc::SYS_setxattr, [text(c"/tmp/none"), text(c"user.a"), 0, 0, 0, 0]),
            ("mknodat", libc::SYS_mknodat, [here, text(c"/tmp/none"), libc::S_IFIFO.into(), 0, 0, 0]),
            ("mount", libc::SYS_mount, [text(c"none"), text(c"/none"), text(c"tmpfs"), 0, 0, 0]),
            ("unshare", libc::SYS_unshare, flags(libc::CLONE_NEWUSER)),
            ("clone into a user namespace", libc::SYS_clone, flags(libc::CLONE_NEWUSER | libc::SIGCHLD)),
            ("clone as a sibling", libc::SYS_clone, flags(libc::CLONE_PARENT | libc::SIGCHLD)),
            ("setns", libc::SYS_setns, [fd, 0, 0, 0, 0, 0]),
            ("chroot", libc::SYS_chroot, [text(c"/"), 0, 0, 0, 0, 0]),
            ("pivot_root", libc::SYS_pivot_root, [text(c"/"), text(c"/"), 0, 0, 0, 0]),
            ("bpf", libc::SYS_bpf, flags(0)),
            ("perf_event_open", libc::SYS_perf_event_open, flags(0)),
            ("userfaultfd", libc::SYS_userfaultfd, flags(0)),
            ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]),
            ("keyctl", libc::SYS_keyctl, flags(0)),
            ("add_key", libc::SYS_add_key, flags(0)),
            ("kexec_load", libc::SYS_kexec_load, flags(0)),
            ("init_module", libc::SYS_init_module, flags(0)),
            ("reboot", libc::SYS_reboot, flags(0)),
            ("personality", libc::SYS_personality, flags(0)),
            ("shmget", libc::SYS_shmget, [0, 4096, 0o600, 0, 0, 0]),
            ("msgget", libc::SYS_msgget, [0, 0o600, 0, 0, 0, 0]),
            ("fanotify_init", libc::SYS_fanotify_init, flags(0)),
            ("inotify_add_watch", libc::SYS_inotify_add_watch, [fd, text(c"/"), 2, 0, 0, 0]),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, [fd, 0, 0, 0, 0, 0]),
            ("TIOCSTI", libc::SYS_ioctl, [fd, libc::TIOCSTI as i64, text(c"x"), 0, 0, 0]),
            // What the kernel does not look at must not make it another call for the filter.
            ("TIOCSTI with high bits", libc::SYS_ioctl, [fd, 1 << 32 | libc::TIOCSTI as i64, text(c"x"), 0, 0, 0]),
            ("setuid", libc::SYS_setuid, flags(0)),
            ("clock_settime", libc::SYS_clock_settime, flags(0)),
            ("a datagram socket pair", libc::SYS_socketpair, [1, libc::SOCK_DGRAM.into(), 0, 0, 0, 0]),
            ("a unix socket", libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
            ("a netlink socket", libc::SYS_socket, [16, 3, 0, 0, 0, 0]),
            ("a raw socket", libc::SYS_socket, [2, 3, 1, 0, 0, 0]),
        ];
        let offline = [
            ("a TCP socket", libc::SYS_socket, [2, 1, 0, 0, 0, 0]),
            (
                "a UDP socket of IPv6",
                libc::SYS_socket,
                [10, (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC).into(), 0, 0, 0, 0],
            ),
            ("connect", libc::SYS_connect, [fd, 0, 0, 0, 0, 0]),
            ("bind", libc::SYS_bind, [fd, 0, 0, 0, 0, 0]),
            ("sendto with an address", libc::SYS_sendto, [fd, 0, 0, 0, text(c"x"), 2]),
        ];
        for network in [false, true] {
            let tried: Vec<_> = refused.iter().chain(offline.iter().filter(|_| !network)).cloned().collect();
            let names: Vec<&str> = tried.iter().map(|(name, ..)| *name).collect();
            let errors = caged(network, move || {
                tried.into_iter().map(|(_, number, arguments)| call(number, arguments)).collect::<Vec<_>>()
            });
            let others: Vec<_> = names.iter().zip(&errors).filter(|&(_, &error)| error != libc::EPERM).collect();
            assert!(others.is_empty(), "not refused: {others:?}");
        }
        drop(file);
    }

    #[test]
    fn calls_that_the_c_library_can_do_without_are_not_there() {
        let errors = caged(false, || [libc::SYS_clone3, 462, 100_000].map(|number| call(number, [0; 6])));
        assert_eq!(errors, [libc::ENOSYS; 3]);
    }

    #[test]
    fn who_writes_nothing_truncates_nothing() {
        let path = std::env::temp_dir().join(format!("procession-truncate-{}", std::process::id()));
        std::fs::write(&path, "text").unwrap();
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let run = move || {
            crate::confine_calls(false, false).unwrap();
            let (at, name, flags) = (i64::from(libc::AT_FDCWD), name.as_ptr() as i64, i64::from(libc::O_TRUNC));
            let mut refused = vec![
                (libc::SYS_openat, [at, name, flags, 0, 0, 0]),
                (libc::SYS_openat, [at, name, flags | i64::from(libc::O_WRONLY), 0, 0, 0]),
                (libc::SYS_openat2, [at, name, 0, 0, 0, 0]),
                (libc::SYS_truncate, [name, 0, 0, 0, 0, 0]),
            ];
            #[cfg(target_arch = "x86_64")]
            refused.extend([(libc::SYS_open, [name, flags, 0, 0, 0, 0]), (libc::SYS_creat, [name, 0o600, 0, 0, 0, 0])]);
            let refused: Vec<_> = refused.into_iter().map(|(number, arguments)| call(number, arguments)).collect();
            let mut allowed = vec![call(libc::SYS_openat, [at, name, 0, 0, 0, 0])];
            #[cfg(target_arch = "x86_64")]
            allowed.push(call(libc::SYS_open, [name, 0, 0, 0, 0, 0]));
            (refused, allowed)
        };
        let (refused, allowed) = std::thread::spawn(run).join().unwrap();
        assert!(refused.iter().all(|&error| error == libc::EPERM) && allowed.iter().all(|&error| error == 0));
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_network_is_the_internet() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = move || std::net::TcpStream::connect(address).map(drop).map_err(|e| e.raw_os_error());
        assert_eq!(caged(true, connect), Ok(()));
        assert_eq!(caged(false, connect), Err(Some(libc::EPERM)));
        // Names are resolved without what is refused.
        use std::net::ToSocketAddrs;
        assert!(caged(true, || ("localhost", 80).to_socket_addrs().unwrap().count()) > 0);
    }
}
