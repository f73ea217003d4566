//! Two processes that wake each other through one word each: the least that a round trip can cost.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use procession::Process;
use procession_os::{Segment, futex_wait, futex_wake};

const PING: usize = 0;
const PONG: usize = 64;
/// The ping that is not answered.
const END: u32 = u32::MAX;

pub struct PingPong {
    words: Segment,
    last: u32,
    _fd: OwnedFd,
    _process: Process,
}

impl PingPong {
    pub fn start() -> anyhow::Result<PingPong> {
        let (words, fd) = Segment::create("ping-pong", 4096)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
        let process = Process::spawn(answer, path)?;
        Ok(PingPong { words, last: 0, _fd: fd, _process: process })
    }

    pub fn round_trip(&mut self) {
        let next = self.last + 1;
        set(self.words.u32(PING), next);
        wait_for_change(self.words.u32(PONG), self.last);
        self.last = next;
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        set(self.words.u32(PING), END);
    }
}

/// The other process.
fn answer(path: String) {
    let file = File::options().read(true).write(true).open(path).expect("the descriptor of the other process");
    let words = Segment::map(file).expect("a segment");
    let mut last = 0;
    loop {
        last = wait_for_change(words.u32(PING), last);
        if last == END {
            return;
        }
        set(words.u32(PONG), last);
    }
}

fn set(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    futex_wake(word, 1);
}

fn wait_for_change(word: &AtomicU32, from: u32) -> u32 {
    loop {
        match word.load(Ordering::Acquire) {
            value if value == from => _ = futex_wait(word, from, None),
            value => return value,
        }
    }
}
