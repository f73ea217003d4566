//! Workers that write what they like into the memory that they share with the program (docs/protocol.md).

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::support::{Kind, raise, square};

/// The head of the results' ring, the tail of the tasks' ring, and the mode of the pool's bell.
const RESULTS_HEAD: u64 = 448;
const TASKS_TAIL: u64 = 384;
const BELL_MODE: u64 = 64;

/// Writes into this worker's mapping of the segment `name`.
fn scribble(name: &str, at: u64, bytes: &[u8]) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains(name)).expect("a mapping");
    let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    OpenOptions::new().write(true).open("/proc/self/mem").unwrap().write_all_at(bytes, start + at).unwrap();
}

/// It spends its grace breaking the protocol.
fn breaks_its_ring_and_spins(_: ()) {
    scribble("procession-lane", RESULTS_HEAD, &[0xff; 8]);
    loop {
        std::hint::spin_loop();
    }
}

pub fn a_late_worker_breaks_its_ring(kind: Kind) {
    let limit = Duration::from_millis(400);
    let pool = kind.builder().timeout(limit).grace(Duration::from_secs(600)).build().unwrap();
    let failure = pool.apply(breaks_its_ring_and_spins, ()).unwrap_err();
    let failure = failure.failure().unwrap();
    assert!(failure.is_crash() || failure.is_timeout(), "{failure:?}");
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}

/// The program sleeps on the bell when this says that it does not.
fn silences_the_bell(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(20));
    scribble("procession-bell", BELL_MODE, &[0; 4]);
    n
}

pub fn a_worker_writes_into_the_bell(kind: Kind) {
    let pool = kind.pool();
    for n in 0..5 {
        assert_eq!(pool.apply(silences_the_bell, n).unwrap(), n);
    }
    let task = pool.submit(silences_the_bell, 7).unwrap();
    assert_eq!(task.wait().result, Ok(7));
}

/// Fills the event by which workers wake the pool, and makes it one at which writers and readers wait.
fn jams_the_event(_: ()) {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let is_event = |fd: &i32| {
        std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|link| link.as_os_str() == "anon_inode:[eventfd]")
    };
    let number = (0..64).find(is_event).expect("an event");
    let event = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).unwrap();
    rustix::io::ioctl_fionbio(&event, false).unwrap();
    loop {
        let _ = rustix::io::write(&event, &(u64::MAX - 1).to_ne_bytes());
    }
}

pub fn a_worker_jams_the_event(kind: Kind) {
    let limit = Duration::from_millis(200);
    let pool = kind.builder().timeout(limit).grace(Duration::ZERO).build().unwrap();
    let jammed = pool.submit(jams_the_event, ()).unwrap();
    for n in 0..1000 {
        assert_eq!(pool.submit(square, n).unwrap().wait().result, Ok(n * n));
    }
    assert!(jammed.wait().failure().unwrap().is_timeout());
}

fn takes_what_was_never_sent(n: u64) -> u64 {
    scribble("procession-lane", TASKS_TAIL, &[0xff; 8]);
    n
}

pub fn a_worker_breaks_its_ring_before_a_context_comes(kind: Kind) {
    let pool = kind.pool();
    let context = "x".repeat(1_000_000);
    for _ in 0..5 {
        // Its result may be lost with it.
        let _ = pool.chunk_size(1).map(takes_what_was_never_sent, 0..pool.workers() as u64);
        let lengths = pool.map_with(&context, |c: &String, n: u64| c.len() as u64 + n, 0..3);
        assert!(lengths.is_ok_and(|lengths| lengths == [1_000_000, 1_000_001, 1_000_002]));
    }
}

/// The claim word: zero says that nothing has begun.
const CLAIMS: u64 = 128;

/// Task: number 3 takes back that it has begun, and then spins or dies.
fn hides((n, dies): (u64, bool)) -> u64 {
    if n != 3 {
        return n;
    }
    scribble("procession-lane", CLAIMS, &[0; 8]);
    if dies {
        raise(9);
    }
    loop {
        std::hint::spin_loop();
    }
}

fn one_hides(kind: Kind, dies: bool) {
    let limit = Duration::from_millis(200);
    let pool = kind.builder().timeout(limit).grace(Duration::ZERO).build().unwrap();
    for outcome in pool.imap(hides, (0..50).map(|n| (n, dies))).unwrap() {
        match outcome.result {
            Ok(n) => assert_eq!(n, outcome.index as u64),
            Err(failure) => {
                assert!(outcome.index == 3 && failure.is_timeout() != dies && failure.is_crash() == dies, "{failure}")
            }
        }
    }
    assert_eq!(pool.stats().done, 49);
}

pub fn a_task_that_hides_that_it_runs_is_not_begun_for_ever(kind: Kind) {
    one_hides(kind, false);
}

pub fn a_task_that_hides_that_it_ran_does_not_kill_workers_for_ever(kind: Kind) {
    one_hides(kind, true);
}

/// Where results lie, and how many bytes of them there have been.
const RESULTS_DATA: u64 = 4096 + 256 * 1024;

/// Task: announces a result of 2^50 bytes.
fn announces(_: ()) {
    // A varint of 4 * 2^50, and a ring that has so much more in it.
    scribble("procession-lane", RESULTS_DATA, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08]);
    scribble("procession-lane", RESULTS_HEAD, &8u64.to_le_bytes());
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

pub fn a_worker_announces_more_than_it_may(kind: Kind) {
    let pool = kind.builder().max_result(1 << 20).build().unwrap();
    assert!(pool.apply(announces, ()).unwrap_err().failure().unwrap().is_crash());
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}
