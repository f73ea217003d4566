//! Cuts the inputs into tasks: whole files, byte ranges of huge ones, blocks of streams.

use std::path::Path;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::run::{LogsTask, Part, Source};
use super::stream::{Blocks, Spool, Stream};
use crate::decode::{Format, HEAD_BYTES};
use crate::opened::Opened;
use crate::regular::Regular;
use crate::stamp::Stamp;
use crate::walk::{Found, Walk};
use crate::{Access, Item, Plan, Planned, TaskError};

/// Files up to this size are one task.
const WHOLE_BYTES: u64 = 16 << 20;
/// No part of a larger file is smaller, or starting it would cost more than it gains.
const MIN_PART_BYTES: u64 = 8 << 20;
/// None is larger, so that a retry, or a worker that is late, costs little.
const MAX_PART_BYTES: u64 = 64 << 20;
/// Parts per worker if the size allows: the last ones to finish are then short.
const PARTS_PER_WORKER: u64 = 4;

/// Plans the tasks for what a walk finds, and the folder for compressed streams, which must be kept until the tasks are
/// done.
pub fn plan(walk: Walk, workers: usize) -> (Plan<LogsTask>, Option<Spool>) {
    let spool = walk.has_streams().then(Spool::new);
    let mut read = walk.access();
    read.extend(spool.iter().filter_map(|spool| spool.folder().ok()).map(Path::to_path_buf));
    let tasks = Tasks { walk, workers: workers as u64, spool: spool.clone(), current: None };
    (Plan { tasks: Box::new(tasks), access: Access { read, write: Vec::new() } }, spool)
}

/// The tasks, made while they are pulled.
struct Tasks {
    walk: Walk,
    workers: u64,
    spool: Option<Spool>,
    /// The input of which there are more parts.
    current: Option<Current>,
}

/// An input of several parts.
struct Current {
    input: usize,
    path: Arc<Path>,
    /// None of a stream.
    stamp: Option<Stamp>,
    next_part: u32,
    rest: Rest,
}

/// What is left of it.
enum Rest {
    Ranges { start: u64, len: u64, part_bytes: u64 },
    Blocks(Blocks<std::io::Take<std::fs::File>>),
}

impl Iterator for Tasks {
    type Item = Planned<LogsTask>;

    fn next(&mut self) -> Option<Planned<LogsTask>> {
        loop {
            if let Some(planned) = self.next_part() {
                return Some(planned);
            }
            let planned = match self.walk.next()? {
                Found::File { input, path, stamp, opened } => self.file(input, path, stamp, opened),
                Found::Stream { input, path } => self.stream(input, path),
                Found::Problem { input, path, cause } => Some(failed(input, path, "read", &cause)),
            };
            if planned.is_some() {
                return planned;
            }
        }
    }
}

impl Tasks {
    /// Plans a file: the task for all of it, or nothing after noting that it comes in parts.
    fn file(&mut self, input: usize, path: Arc<Path>, stamp: Stamp, opened: Opened) -> Option<Planned<LogsTask>> {
        let len = stamp.bytes;
        if len > WHOLE_BYTES {
            let mut head = [0; HEAD_BYTES];
            let read = match Regular::open(&path) {
                Ok(mut file) => file.read_head(&mut head),
                Err(cause) => return Some(failed(input, path, "open", &cause)),
            };
            match read.map(|n| Format::of(&head[..n])) {
                Ok(None) => {
                    let rest = Rest::Ranges { start: 0, len, part_bytes: part_bytes(len, self.workers) };
                    self.current = Some(Current { input, path, stamp: Some(stamp), next_part: 0, rest });
                    return None;
                }
                Ok(Some(_)) => {}
                Err(cause) => return Some(failed(input, path, "read", &cause)),
            }
        }
        let source = Source::File { path: path.clone().into(), name: None, bytes: len, opened };
        let item = Item { input, path, bytes: len, stamp: Some(stamp) };
        Some(Planned::Task(item, LogsTask { part: Part::WHOLE, source }))
    }

    /// Plans a stream: the task for all of it if it is compressed, or nothing after noting that it comes in parts.
    fn stream(&mut self, input: usize, path: Arc<Path>) -> Option<Planned<LogsTask>> {
        // The spool is there: the walk has told that there are streams.
        let spool = self.spool.get_or_insert_with(Spool::new);
        match Stream::open(&path, spool, input) {
            Ok(Stream::Plain(blocks)) => {
                self.current = Some(Current { input, path, stamp: None, next_part: 0, rest: Rest::Blocks(blocks) });
                None
            }
            Ok(Stream::Spooled(file, bytes)) => {
                let name = Some(path.clone().into());
                let source = Source::File { path: (&*file).into(), name, bytes, opened: Opened::default() };
                let item = Item { input, path, bytes, stamp: None };
                Some(Planned::Task(item, LogsTask { part: Part::WHOLE, source }))
            }
            Err(cause) => Some(failed(input, path, "read", &cause)),
        }
    }

    /// The next part of the current input.
    fn next_part(&mut self) -> Option<Planned<LogsTask>> {
        let current = self.current.as_mut()?;
        let (input, path, stamp) = (current.input, current.path.clone(), current.stamp);
        let (source, bytes, is_last) = match &mut current.rest {
            Rest::Ranges { start, len, part_bytes } => {
                let begin = *start;
                *start = start.saturating_add(*part_bytes).min(*len);
                let is_last = start == len;
                // The last one reads to the end that the file has by then.
                let end = (!is_last).then_some(*start);
                (Source::Range { path: path.clone().into(), start: begin, end }, *start - begin, is_last)
            }
            Rest::Blocks(blocks) => match blocks.next() {
                Some(Ok(block)) => {
                    let bytes = block.text.len() as u64;
                    (Source::Block { text: ByteBuf::from(block.text), offset: block.offset }, bytes, block.is_last)
                }
                Some(Err(cause)) => {
                    self.current = None;
                    return Some(failed(input, path, "read", &cause));
                }
                None => {
                    self.current = None;
                    return None;
                }
            },
        };
        let part = Part { number: current.next_part, is_last };
        current.next_part += 1;
        if is_last {
            self.current = None;
        }
        Some(Planned::Task(Item { input, path, bytes, stamp }, LogsTask { part, source }))
    }
}

/// How large the parts of a file of `len` bytes are.
fn part_bytes(len: u64, workers: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let fair = len / (PARTS_PER_WORKER * workers.max(1));
    fair.div_ceil(MIB).saturating_mul(MIB).clamp(MIN_PART_BYTES, MAX_PART_BYTES)
}

fn failed(input: usize, path: Arc<Path>, action: &str, cause: &std::io::Error) -> Planned<LogsTask> {
    let error = TaskError::io(action, &path, cause);
    Planned::Failed(Item { input, path, bytes: 0, stamp: None }, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Filter;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_are_neither_tiny_nor_huge() {
        for (len, workers, expected) in [
            (17 * MIB, 8, 8 * MIB),
            (1 << 30, 2, 64 * MIB),
            (1 << 30, 16, 16 * MIB),
            (1 << 40, 16, 64 * MIB),
            (100 * MIB + 1, 2, 13 * MIB),
            (u64::MAX, 1, 64 * MIB),
        ] {
            assert_eq!(part_bytes(len, workers), expected, "{len} {workers}");
        }
    }

    fn ranges(len: u64, workers: usize) -> Vec<(u32, bool, u64, Option<u64>, u64)> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("sparse");
        std::fs::File::create(&path).unwrap().set_len(len).unwrap();
        let (plan, spool) = plan(Walk::new([path], Filter::default()), workers);
        assert!(spool.is_none());
        plan.tasks
            .map(|planned| match planned {
                Planned::Task(item, LogsTask { part, source: Source::Range { start, end, .. } }) => {
                    assert_eq!(item.input, 0);
                    (part.number, part.is_last, start, end, item.bytes)
                }
                Planned::Task(item, LogsTask { part, source: Source::File { .. } }) => {
                    (part.number, part.is_last, 0, None, item.bytes)
                }
                planned => panic!("{planned:?}"),
            })
            .collect()
    }

    #[test]
    fn huge_files_are_cut_without_gaps() {
        assert_eq!(ranges(0, 4), [(0, true, 0, None, 0)]);
        assert_eq!(ranges(16 * MIB, 4), [(0, true, 0, None, 16 * MIB)]);
        let parts = ranges(100 * MIB + 7, 4);
        assert!(parts.len() >= 8);
        let mut at = 0;
        for (number, (part, is_last, start, end, bytes)) in parts.iter().copied().enumerate() {
            assert_eq!((part as usize, start), (number, at));
            at += bytes;
            assert_eq!(is_last, number + 1 == parts.len());
            assert_eq!(end, (!is_last).then_some(at));
        }
        assert_eq!(at, 100 * MIB + 7);
    }
}
