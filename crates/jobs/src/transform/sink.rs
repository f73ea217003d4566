//! Writes the output, in the program: pieces in their order, and what stands before, between and behind them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_bytes::ByteBuf;

use crate::data::Compression;
use crate::{NewFile, Replace, TaskError};

use super::layout::{Form, Layout};
use super::task::TransformDone;
use super::write;

/// Where output goes, and what was written so far.
#[derive(Debug)]
pub struct Sink {
    name: PathBuf,
    place: Place,
    packed: Option<Compression>,
    form: Form,
    limit: Option<u64>,
    written: u64,
    /// Bytes that were written.
    at: u64,
    /// Of each task in a format of columns, what would stand behind its rows in a file of their own, and how many bytes further
    /// behind they begin in this one.
    ends: Vec<(ByteBuf, u64)>,
    begin_bytes: u64,
    has_begun: bool,
    /// Whether the reader at the other end has enough.
    is_closed: bool,
}

#[derive(Debug)]
enum Place {
    Stdout,
    /// A device or a fifo.
    Stream(File),
    File(NewFile),
}

impl Sink {
    /// Begins the output; `-` is standard output.
    ///
    /// # Errors
    /// When the file exists and may not be replaced, or cannot be written.
    pub fn new(name: &Path, replace: Replace, form: Form, limit: Option<u64>) -> Result<Sink, TaskError> {
        let place = if name == Path::new("-") {
            Place::Stdout
        } else if name.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = OpenOptions::new().write(true).open(name);
            Place::Stream(file.map_err(|cause| TaskError::io("write", name, &cause))?)
        } else {
            Place::File(NewFile::create(name, replace)?)
        };
        Ok(Sink {
            name: name.to_path_buf(),
            place,
            packed: Compression::of(name),
            form,
            limit,
            written: 0,
            at: 0,
            ends: Vec::new(),
            begin_bytes: 0,
            has_begun: false,
            is_closed: false,
        })
    }

    /// Whether all rows that are wanted were written.
    pub fn is_over(&self) -> bool {
        self.is_closed || self.limit.is_some_and(|limit| self.written >= limit)
    }

    /// Writes what stands before all rows, if it was not written yet.
    ///
    /// # Errors
    /// Those of writing.
    pub fn begin_if_needed(&mut self, layout: &Layout) -> Result<(), TaskError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        match self.form {
            Form::Array => self.own(b"["),
            Form::Lines => Ok(()),
            Form::Csv(dialect) => self.own(&write::header(layout.columns(), dialect)),
            Form::Columnar(_) => {
                self.begin_bytes = layout.frame.begin.len() as u64;
                self.own(&layout.frame.begin)
            }
        }
    }

    /// Whether the reader at the other end has closed it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes the rows of a task, as far as they are wanted; returns how many. None if the reader closes its end meanwhile:
    /// how many of them it has nobody knows.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add(&mut self, done: TransformDone) -> Result<u64, TaskError> {
        let rows = done.written.min(self.rows_left());
        if rows > 0 {
            self.put_rows(rows, done)?;
        }
        Ok(if self.is_closed { 0 } else { rows })
    }

    fn put_rows(&mut self, rows: u64, done: TransformDone) -> Result<(), TaskError> {
        if self.form == Form::Array {
            self.own(if self.written == 0 { b"\n" } else { b",\n" })?;
        }
        self.written += rows;
        if self.form.columnar().is_some() {
            self.ends.push((done.end, self.at - self.begin_bytes));
            return self.put(&done.out);
        }
        if self.limit.is_none() {
            return self.put(&done.out);
        }
        let end = usize::try_from(rows - 1).ok().and_then(|last| done.ends.get(last)).copied().unwrap_or(0);
        let wanted = done.out.get(..end as usize).unwrap_or(&done.out);
        self.own(wanted)
    }

    /// How many rows may still be written.
    pub fn rows_left(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.written))
    }

    /// Of a format of columns, what the pieces end with, and how much further behind they begin than they would alone.
    pub fn take_ends(&mut self) -> Vec<(ByteBuf, u64)> {
        std::mem::take(&mut self.ends)
    }

    /// Whether nothing is left of what was written, if it is not committed.
    pub fn is_a_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Writes what stands behind all rows (in a format of columns, `end`), and gives a file its name.
    ///
    /// # Errors
    /// Those of writing.
    pub fn commit(mut self, end: &[u8]) -> Result<(), TaskError> {
        self.put(end)?;
        if self.form == Form::Array {
            self.own(if self.written == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        match self.place {
            Place::Stdout => {
                let flushed = io::stdout().flush();
                flushed.or_else(unless_closed).map_err(|cause| TaskError::io("write", &self.name, &cause))
            }
            Place::Stream(_) => Ok(()),
            Place::File(file) => file.commit(),
        }
    }

    /// Writes bytes that are not packed yet.
    fn own(&mut self, bytes: &[u8]) -> Result<(), TaskError> {
        match self.packed {
            Some(packed) => {
                let packed = packed.pack(bytes).map_err(|cause| self.error(&cause))?;
                self.put(&packed)
            }
            None => self.put(bytes),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TaskError> {
        self.at += bytes.len() as u64;
        let put = match &mut self.place {
            Place::Stdout => io::stdout().write_all(bytes),
            Place::Stream(file) => file.write_all(bytes),
            Place::File(file) => file.write_all(bytes),
        };
        match put {
            // Who has read enough closes its end.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => self.is_closed = true,
            put => put.map_err(|cause| self.error(&cause))?,
        }
        Ok(())
    }

    fn error(&self, cause: &io::Error) -> TaskError {
        TaskError::io("write", &self.name, cause)
    }
}

fn unless_closed(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(cause) }
}
