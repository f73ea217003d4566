//! Counts one part of one input, in a worker.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::blocks::{Lines, READ_BYTES};
use super::matcher::{Cache, Matcher};
use super::pattern::Pattern;
use super::query::Query;
use super::scan::{Counts, Scan};
use super::sift::{Sift, Tally};
use crate::buffer::Buffer;
use crate::decode::Format;
use crate::open::FileOpener;
use crate::opened::Opened;
use crate::raw_path::RawPath;
use crate::regular::Regular;
use crate::{PlanError, TaskError};

/// A buffer that has grown beyond this for a huge line is not kept for the next task.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// What every task of `logs` needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogsContext {
    /// What to count.
    pub(super) patterns: Vec<Pattern>,
    /// Whether all lines are counted too.
    pub(super) count_lines: bool,
    /// How many samples per pattern a task returns.
    show: usize,
    /// What is asked of the fields of lines, if anything.
    pub(super) query: Option<Query>,
    /// The patterns, compiled by the first task.
    #[serde(skip)]
    matchers: OnceLock<Result<Vec<Matcher>, String>>,
    /// Memory that the next task uses again.
    #[serde(skip)]
    scratch: Mutex<Vec<Scratch>>,
}

/// One task.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogsTask {
    pub(super) part: Part,
    pub(super) source: Source,
}

/// The counts of one task.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogsDone {
    pub(super) part: Part,
    pub(super) counts: Counts,
    /// What was found in fields, if they were read.
    pub(super) tally: Option<Tally>,
}

/// Which part of its input a task is. Only when all parts up to the last one are done is the input counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Counts up from 0.
    pub number: u32,
    /// No part has a higher number.
    pub is_last: bool,
}

impl Part {
    /// The only part of an input.
    pub const WHOLE: Part = Part { number: 0, is_last: true };
}

/// Where the lines of a task are.
#[derive(Debug, Serialize, Deserialize)]
pub enum Source {
    /// A whole file, plain or compressed.
    File {
        /// The file to open.
        path: RawPath,
        /// What the user calls it, if that is something else.
        name: Option<RawPath>,
        /// Its length when it was planned.
        bytes: u64,
        /// The file itself, if it is open already.
        opened: Opened,
    },
    /// The lines that begin in a byte range of a plain file.
    Range {
        /// The file to open.
        path: RawPath,
        /// First byte of the range.
        start: u64,
        /// First byte behind the range; none for the rest of the file.
        end: Option<u64>,
    },
    /// Whole lines that were read from a stream.
    Block {
        /// The lines.
        text: ByteBuf,
        /// Where they begin in the stream.
        offset: u64,
    },
}

impl Source {
    /// What the user calls it.
    fn name(&self) -> &Path {
        match self {
            Source::File { path, name, .. } => name.as_ref().unwrap_or(path),
            Source::Range { path, .. } => path,
            Source::Block { .. } => Path::new("-"),
        }
    }
}

/// What one task at a time uses, and the next one again.
#[derive(Debug)]
struct Scratch {
    opener: FileOpener,
    buffer: Buffer,
    caches: Vec<Cache>,
}

impl LogsContext {
    /// The context of all tasks of one command.
    pub(super) fn new(patterns: Vec<Pattern>, count_lines: bool, show: usize, query: Option<Query>) -> LogsContext {
        LogsContext { patterns, count_lines, show, query, matchers: OnceLock::new(), scratch: Mutex::default() }
    }

    /// Compiles the patterns.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        self.matchers().map(|_| ()).map_err(PlanError::new)
    }

    fn matchers(&self) -> Result<&[Matcher], &str> {
        let compile = |pattern: &Pattern| {
            Matcher::new(&pattern.regex)
                .map_err(|cause| format!("failed to read the regex `{}` of -e: {cause}", pattern.regex))
        };
        let matchers = self.matchers.get_or_init(|| self.patterns.iter().map(compile).collect());
        matchers.as_deref().map_err(String::as_str)
    }
}

/// Counts the lines of `task`.
pub fn run(context: &LogsContext, mut task: LogsTask) -> Result<LogsDone, TaskError> {
    let matchers = context.matchers().map_err(TaskError::new)?;
    let sift = context.query.as_ref().map(Sift::new).transpose().map_err(TaskError::new)?;
    let kept = context.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut scratch = kept.unwrap_or_else(|| Scratch {
        opener: FileOpener::default(),
        buffer: Buffer::new(READ_BYTES),
        caches: matchers.iter().map(Matcher::create_cache).collect(),
    });
    let Scratch { opener, buffer, caches } = &mut scratch;
    let mut scan = Scan::new(matchers, caches, sift, context.count_lines, context.show);
    let result = match &mut task.source {
        Source::File { path, name, bytes, opened } => {
            let name = name.as_ref().unwrap_or(path);
            let opened = std::mem::take(opened).take();
            let file = opened.unwrap_or_else(|| opener.open(path)).and_then(|file| Regular::planned(file, *bytes));
            file.map_err(|cause| TaskError::io("open", name, &cause))
                .and_then(|file| whole_file(file, name, opener, buffer, &mut scan))
        }
        Source::Range { path, start, end } => {
            let lines = Lines { start: *start, end: *end };
            let file = opener.open(path).and_then(|file| Regular::planned(file, 0));
            file.map_err(|cause| TaskError::io("open", path, &cause))
                .and_then(|file| range(file, path, lines, buffer, &mut scan))
        }
        Source::Block { text, offset } => {
            scan.add(text, *offset);
            Ok(())
        }
    };
    let counted = scan.finish();
    if scratch.buffer.capacity() > KEPT_BUFFER_BYTES {
        scratch.buffer = Buffer::new(READ_BYTES);
    }
    context.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    result?;
    let (counts, tally) = counted.map_err(|cause| TaskError::io("group the lines of", task.source.name(), &cause))?;
    Ok(LogsDone { part: task.part, counts, tally })
}

/// Counts a whole file, through its compression if it has one. Reads to its end even if it has grown since the plan, or
/// has no size at all (`/proc`).
fn whole_file(
    mut file: Regular,
    name: &Path,
    opener: &mut FileOpener,
    buffer: &mut Buffer,
    scan: &mut Scan,
) -> Result<(), TaskError> {
    let filled = file.read_head(buffer.front()).map_err(|cause| TaskError::io("read", name, &cause))?;
    let (action, result) = match Format::of(buffer.get(buffer.first(filled))) {
        None => {
            let read = Lines::ALL.read_on(filled, &mut file, buffer, |block, offset| scan.add(block, offset));
            let bytes = file.at();
            opener.close(file.into_file(), bytes);
            ("read", read)
        }
        Some(format) => {
            let decoder = file.seek(0).and_then(|()| format.decode(file));
            ("decompress", decoder.and_then(|mut decoder| count(Lines::ALL, &mut decoder, buffer, scan)))
        }
    };
    result.map_err(|cause| TaskError::io(action, name, &cause))
}

/// Counts a range of a plain file.
fn range(mut file: Regular, path: &Path, lines: Lines, buffer: &mut Buffer, scan: &mut Scan) -> Result<(), TaskError> {
    file.seek(lines.read_from())
        .and_then(|()| count(lines, &mut file, buffer, scan))
        .map_err(|cause| TaskError::io("read", path, &cause))
}

fn count(lines: Lines, reader: &mut impl Read, buffer: &mut Buffer, scan: &mut Scan) -> io::Result<()> {
    lines.read(reader, buffer, |block, offset| scan.add(block, offset))
}
