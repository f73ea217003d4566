//! The lane and the bell of the worker that this runs in, as any code in it can reach them (docs/protocol.md).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

pub const CLAIM: u64 = 128;
pub const READY: u64 = 192;
pub const WANTS_ROOM: u64 = 256;
pub const TASKS_HEAD: u64 = 320;
pub const TASKS_TAIL: u64 = 384;
pub const RESULTS_HEAD: u64 = 448;
pub const RESULTS_TAIL: u64 = 512;
pub const WORKER_BELL: u64 = 576;
pub const TASKS_BYTES: u64 = 4096;
pub const RESULTS_BYTES: u64 = TASKS_BYTES + CAPACITY;
pub const CAPACITY: u64 = 256 * 1024;
pub const LANE_BYTES: usize = RESULTS_BYTES as usize + CAPACITY as usize;
/// In the segment of the pool's bell.
pub const BELL_MODE: u64 = 64;

/// What a worker shares with the program, through /proc/self/mem: for that no code need be unsafe.
pub struct OwnLane {
    memory: File,
    lane: u64,
    bell: u64,
}

impl OwnLane {
    pub fn find() -> io::Result<OwnLane> {
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        let start = |name: &str| {
            let line = maps.lines().find(|line| line.contains(name))?;
            u64::from_str_radix(line.split('-').next()?, 16).ok()
        };
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        Ok(OwnLane {
            memory: OpenOptions::new().read(true).write(true).open("/proc/self/mem")?,
            lane: start("procession-lane").ok_or_else(missing)?,
            bell: start("procession-bell").ok_or_else(missing)?,
        })
    }

    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, self.lane + at)
    }

    pub fn write_u64(&self, at: u64, word: u64) -> io::Result<()> {
        self.write(at, &word.to_le_bytes())
    }

    pub fn write_bell(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, self.bell + at)
    }

    pub fn u64(&self, at: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, self.lane + at)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Puts bytes into the results' ring, as far as there is room, and says so. Returns how many.
    pub fn publish(&self, bytes: &[u8]) -> io::Result<usize> {
        let (head, tail) = (self.u64(RESULTS_HEAD)?, self.u64(RESULTS_TAIL)?);
        let room = CAPACITY.saturating_sub(head.wrapping_sub(tail)) as usize;
        let bytes = &bytes[..bytes.len().min(room)];
        let at = head % CAPACITY;
        let (first, rest) = bytes.split_at(bytes.len().min((CAPACITY - at) as usize));
        self.write(RESULTS_BYTES + at, first)?;
        self.write(RESULTS_BYTES, rest)?;
        self.write_u64(RESULTS_HEAD, head.wrapping_add(bytes.len() as u64))?;
        Ok(bytes.len())
    }
}

/// The head of a record: a varint, length x 4 + kind.
pub fn record_head(len: u64, kind: u64) -> Vec<u8> {
    let mut number = u128::from(len) << 2 | u128::from(kind);
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
