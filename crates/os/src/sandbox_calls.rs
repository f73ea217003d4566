//! Which system calls a sandboxed thread may make, by seccomp (seccomp(2)).

use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, sock_filter};

use crate::sandbox_allowed;

#[cfg(target_arch = "x86_64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::aarch64;

/// The first number of a system call that was not there when the list was written (`mseal`, Linux 6.10). The kernel gives
/// new calls the same number on all architectures.
const FIRST_UNKNOWN: u32 = 462;

/// Lets the calling thread, and what it starts from now on, make only the system calls that computing needs, on what it
/// has and on files; with `network`, those for sockets of IPv4 and IPv6 too. Others fail with `EPERM`. Signals can be sent
/// to this process alone: by kill(2) and its like to its own id.
///
/// No program can be executed; permissions, owners and times of files can be changed through descriptors only, extended
/// attributes not at all. A set-user-ID program, were it executed, would not get its rights (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// When the kernel has no filters, or refuses.
pub fn confine_calls(network: bool) -> io::Result<()> {
    let own_pid = std::process::id();
    let rules = sandbox_allowed::rules(own_pid, network).map_err(io::Error::other)?;
    let allow = SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, ARCH)
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)?;
    install(&allow)?;
    // Of two filters that refuse, what the later one says counts.
    install(&unknown_calls())
}

fn install(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|e| match e {
        seccompiler::Error::Prctl(e) | seccompiler::Error::Seccomp(e) => e,
        e => io::Error::other(e),
    })
}

/// Why no filter can be set. Sets one in the calling thread, which refuses what nobody would call.
pub(crate) fn try_seccomp() -> Result<(), String> {
    install(&unknown_calls()).map_err(|e| match e.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS) => "the kernel has no filters for system calls".to_string(),
        _ => format!("filters for system calls are refused: {e}"),
    })
}

/// Says of calls that the C library can do without that there are none (`ENOSYS`): then it takes an older way. `clone3`
/// passes its flags in memory, where a filter cannot look; the older `clone` has them in a register. The same goes for
/// calls that are newer than our list.
fn unknown_calls() -> BpfProgram {
    // linux/bpf_common.h: load a word, jump if equal, jump if greater or equal, return.
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // The number is the first word of struct seccomp_data.
        step(LOAD, 0, 0, 0),
        step(EQUAL, 2, 0, libc::SYS_clone3 as u32),
        step(AT_LEAST, 1, 0, FIRST_UNKNOWN),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}
