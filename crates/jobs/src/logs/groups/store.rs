//! The groups of all tasks, in the program: runs in memory, and in a file when they become too many.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use serde_bytes::ByteBuf;

use super::Group;
use super::merge::{in_memory, merge};
use super::run::{RunReader, write_entry};
use crate::logs::stats::Stats;
use crate::output::Scratch;

/// Memory for runs.
pub const MEMORY_BYTES: usize = 64 << 20;
/// What a run in memory takes beside its bytes.
const RUN_BYTES: usize = 256;
/// Buffers of all runs in the file together, and of one.
const BUFFERS_BYTES: usize = 32 << 20;
const BUFFER_BYTES: Range<usize> = 4 << 10..256 << 10;

/// Groups that were returned by tasks.
#[derive(Debug)]
pub struct Store {
    /// Statistics of each group.
    stats: usize,
    memory_bytes: usize,
    runs: Vec<ByteBuf>,
    bytes: usize,
    spilled: Option<Spilled>,
}

/// Runs in a file that is gone with this.
#[derive(Debug)]
struct Spilled {
    file: File,
    runs: Vec<Range<u64>>,
    _folder: Scratch,
}

impl Store {
    /// No groups with statistics of so many fields, for which so many bytes of memory are taken before there is a file.
    pub fn new(stats: usize, memory_bytes: usize) -> Store {
        Store { stats, memory_bytes, runs: Vec::new(), bytes: 0, spilled: None }
    }

    /// Takes the runs of a task, all or none.
    ///
    /// # Errors
    /// When they are none, or cannot be put into the file.
    pub fn add(&mut self, runs: Vec<ByteBuf>) -> io::Result<()> {
        for run in &runs {
            let mut reader = RunReader::new(run.as_slice(), self.stats);
            while reader.advance()? {
                if !reader.group()?.stats.iter().all(Stats::is_sound) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "damaged groups: no statistics of numbers"));
                }
            }
        }
        if self.bytes > self.memory_bytes {
            self.compact()?;
        }
        self.bytes += runs.iter().map(|run| run.len() + RUN_BYTES).sum::<usize>();
        self.runs.extend(runs);
        Ok(())
    }

    /// Whether some are in a file.
    #[cfg(test)]
    pub fn has_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// Somebody else cuts the file off.
    #[cfg(test)]
    pub fn cut_file(&self) {
        self.spilled.as_ref().unwrap().file.set_len(0).unwrap();
    }

    /// Makes one run of those in memory. If it is small after that, it stays there.
    fn compact(&mut self) -> io::Result<()> {
        let mut merged = Vec::new();
        merge(in_memory(&self.runs), self.stats, |key, group| {
            write_entry(&mut merged, key, group.lines, &group.stats)
        })?;
        if merged.len() > self.memory_bytes / 2 {
            let spilled = match &mut self.spilled {
                Some(spilled) => spilled,
                none => none.insert(Spilled::new()?),
            };
            spilled.append(&merged)?;
            merged = Vec::new();
        }
        self.runs.clear();
        self.bytes = merged.len() + RUN_BYTES;
        self.runs.push(ByteBuf::from(merged));
        Ok(())
    }

    /// Calls `each` with every key and its group.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, mut each: impl FnMut(&[u8], Group)) -> io::Result<()> {
        let runs = in_memory(&self.runs).chain(self.spilled.iter().flat_map(Spilled::read));
        merge(runs, self.stats, |key, group| {
            each(key, group);
            Ok(())
        })
    }
}

impl Spilled {
    fn new() -> io::Result<Spilled> {
        let folder = Scratch::new()?;
        let file = File::options().read(true).append(true).create_new(true).open(folder.path().join("groups"))?;
        Ok(Spilled { file, runs: Vec::new(), _folder: folder })
    }

    /// Puts a run behind the others.
    fn append(&mut self, run: &[u8]) -> io::Result<()> {
        // What an attempt before has left behind, when the disk was full, is skipped.
        let start = self.file.metadata()?.len();
        self.file.write_all(run)?;
        self.runs.push(start..start + run.len() as u64);
        Ok(())
    }

    fn read(&self) -> impl Iterator<Item = Box<dyn BufRead + '_>> {
        let buffer = (BUFFERS_BYTES / self.runs.len().max(1)).clamp(BUFFER_BYTES.start, BUFFER_BYTES.end);
        self.runs.iter().map(move |range| {
            let section = Section { file: &self.file, range: range.clone() };
            Box::new(BufReader::with_capacity(buffer, section)) as Box<dyn BufRead>
        })
    }
}

/// A part of a file, read without moving others' place in it.
struct Section<'f> {
    file: &'f File,
    range: Range<u64>,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.range.start)?;
        if read == 0 && wanted > 0 {
            // Groups that are gone must not pass for none.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += read as u64;
        Ok(read)
    }
}
