//! Which system calls a sandboxed thread may make, by seccomp (seccomp(2)).

use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, sock_filter};

use crate::sandbox_allowed::Allowed;

#[cfg(target_arch = "x86_64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::aarch64;

/// The same as the kernel names it (linux/audit.h).
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// The first number of a system call that was not there when the list was written (`mseal`, Linux 6.10). The kernel gives
/// new calls the same number on all architectures.
const FIRST_UNKNOWN: u32 = 462;

/// Lets the calling thread, and what it starts from now on, make only the system calls that computing needs, on what it
/// has and on files; with `network`, those for sockets of IPv4 and IPv6 too. Others fail with `EPERM`. Signals can be sent
/// to this process alone: by kill(2) and its like to its own id.
///
/// No program can be executed; permissions and times of files can be changed through descriptors only, owners and extended
/// attributes not at all. A set-user-ID program, were it executed, would not get its rights (`PR_SET_NO_NEW_PRIVS`).
///
/// Without `truncates` no file can be made shorter by its path, be it opened or not: Landlock need not look for that then,
/// which makes opening a file cheaper ([`confine_paths`](crate::confine_paths)).
///
/// # Errors
/// When the kernel has no filters, or refuses.
pub fn confine_calls(network: bool, truncates: bool) -> io::Result<()> {
    let Allowed { calls, rules } = Allowed::new(std::process::id(), network, truncates).map_err(io::Error::other)?;
    let rest_of: Vec<u32> = rules.keys().map(|&call| call as u32).collect();
    let rest: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, ARCH)
            .and_then(BpfProgram::try_from)
            .map_err(io::Error::other)?;
    let opens = if truncates { Vec::new() } else { opens_without_truncation() };
    install(&[unknown_calls(), opens, whole_calls(calls), refuse_others(rest_of), rest].concat())
}

/// Why no filter can be set. Sets one in the calling thread, which refuses what nobody needs.
pub(crate) fn try_seccomp() -> Result<(), String> {
    install(&[unknown_calls(), vec![step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)]].concat()).map_err(|e| {
        match e.raw_os_error() {
            Some(libc::EINVAL | libc::ENOSYS) => "the kernel has no filters for system calls".to_string(),
            _ => format!("filters for system calls are refused: {e}"),
        }
    })
}

fn install(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|e| match e {
        seccompiler::Error::Prctl(e) | seccompiler::Error::Seccomp(e) => e,
        e => io::Error::other(e),
    })
}

// linux/bpf_common.h: load a word, jump always, jump if equal, if greater, if greater or equal, return.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_ABOVE: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// struct seccomp_data: where the number of the call and the architecture are.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The low halves of arguments.
#[cfg(target_arch = "x86_64")]
const SECOND: u32 = 24;
const THIRD: u32 = 32;

/// One instruction, with how many to skip if its condition holds, and if not.
fn step(code: u16, holds: u8, fails: u8, k: u32) -> sock_filter {
    sock_filter { code, jt: holds, jf: fails, k }
}

/// The start: kills who calls by another architecture's numbers, and says of calls that the C library can do without
/// that there are none (`ENOSYS`): then it takes an older way. `clone3` passes its flags in memory, where a filter cannot
/// look; the older `clone` has them in a register. The same goes for calls that are newer than our list.
fn unknown_calls() -> BpfProgram {
    vec![
        step(LOAD, 0, 0, ARCHITECTURE),
        step(IF_EQUAL, 1, 0, AUDIT_ARCH),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER),
        step(IF_EQUAL, 1, 0, libc::SYS_clone3 as u32),
        step(IF_AT_LEAST, 0, 1, FIRST_UNKNOWN),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}

/// Allows openat(2) and open(2) but for `O_TRUNC`, which has an effect even on a file that is opened to read. Ahead of all
/// else, since the kernel remembers nothing of a call whose arguments count.
fn opens_without_truncation() -> BpfProgram {
    let open = |call, flags| {
        [
            step(IF_EQUAL, 0, 4, call),
            step(LOAD, 0, 0, flags),
            step(IF_SET, 1, 0, libc::O_TRUNC as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        ]
    };
    let calls = [
        open(libc::SYS_openat as u32, THIRD),
        #[cfg(target_arch = "x86_64")]
        open(libc::SYS_open as u32, SECOND),
    ];
    calls.concat()
}

/// The middle: allows calls whatever their arguments. Goes by ranges of numbers, for the kernel runs a new filter once
/// for every number that there is, so that later it need not: this takes most of the time of a worker's confinement.
fn whole_calls(mut calls: Vec<u32>) -> BpfProgram {
    calls.sort_unstable();
    calls.dedup();
    let ranges: Vec<&[u32]> = calls.chunk_by(|a, b| a + 1 == *b).collect();
    let mut program = Vec::with_capacity(4 * ranges.len());
    for (at, range) in ranges.iter().enumerate() {
        let (Some(&first), Some(&last)) = (range.first(), range.last()) else { continue };
        let behind = 4 * (ranges.len() - at - 1) as u32;
        program.extend([
            step(IF_ABOVE, 3, 0, last),
            step(IF_AT_LEAST, 0, 1, first),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(JUMP, 0, 0, behind),
        ]);
    }
    program
}

/// Before the rest, which looks at arguments: refuses what that says nothing of, at once rather than at its end.
fn refuse_others(calls: Vec<u32>) -> BpfProgram {
    let to_rest = |(at, &call): (usize, &u32)| step(IF_EQUAL, (calls.len() - at) as u8, 0, call);
    let mut program: BpfProgram = calls.iter().enumerate().map(to_rest).collect();
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    program
}
