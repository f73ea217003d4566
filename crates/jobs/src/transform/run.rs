//! Transforms the rows of one task, in a worker.

use std::io::Read;
use std::path::Path;
use std::sync::PoisonError;

use memchr::memchr_iter;

use crate::TaskError;
use crate::data::columnar::Span;
use crate::data::{MAX_ROW_BYTES, Possible};
use crate::regular::Regular;

use super::columns_in::read_columns;
use super::desk::{Desk, Out};
use super::layout::{Form, Input, Layout};
use super::task::{Bad, Source, TransformDone, TransformTask};
use super::text::Text;

/// A buffer that has grown beyond this for a huge row is not kept for the next task.
const KEPT_BUFFER_BYTES: usize = 8 << 20;

/// Transforms the rows of `task`.
pub fn run(layout: &Layout, task: TransformTask) -> Result<TransformDone, TaskError> {
    let out = Out::new(layout)?;
    let desk = work(layout, &task, out)?;
    desk.finish()
}

/// What types the columns of the output could have, by the first rows of an input.
///
/// # Errors
/// When those cannot be read at all.
pub fn probe((layout, task): (Layout, TransformTask)) -> Result<Vec<Possible>, String> {
    let columns = layout.columns().len();
    let out = Out::Types(vec![Possible::default(); columns]);
    match work(&layout, &task, out).map_err(|error| error.to_string())?.out {
        Out::Types(types) => Ok(types),
        _ => Ok(Vec::new()),
    }
}

fn work<'l>(layout: &'l Layout, task: &TransformTask, out: Out) -> Result<Desk<'l>, TaskError> {
    let Some(input) = layout.inputs.get(task.input) else { return Err(TaskError::new("no such input")) };
    let mut desk = Desk::new(layout, input, out);
    match &task.source {
        Source::Block(text) => read_text(&mut desk, input, task, text),
        Source::Range { path, bytes } => {
            let mut buffer = std::mem::take(&mut *layout.scratch.lock().unwrap_or_else(PoisonError::into_inner));
            buffer.clear();
            read(path, task.begin, *bytes, &mut buffer)?;
            read_text(&mut desk, input, task, &buffer);
            if buffer.capacity() <= KEPT_BUFFER_BYTES {
                *layout.scratch.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
            }
        }
        Source::Span { path, group, skip, rows } => {
            let span = Span { group: *group, skip: *skip, rows: *rows };
            let file = Regular::open(path).map_err(|cause| TaskError::io("read", path, &cause))?;
            let Form::Columnar(format) = input.form else { return Err(TaskError::new("no such input")) };
            read_columns(&mut desk, file, format, span)
                .map_err(|reason| TaskError::new(format_args!("failed to read `{}`: {reason}", path.display())))?;
            desk.place(|at, reason| Bad { at: task.begin + at as u64, line: 0, reason });
        }
    }
    Ok(desk)
}

fn read_text(desk: &mut Desk<'_>, input: &Input, task: &TransformTask, text: &[u8]) {
    let mut rows = Text::new(desk, input, text);
    match input.form {
        Form::Array => rows.elements(task.is_first, task.is_last),
        Form::Lines => rows.lines(),
        Form::Csv(dialect) => rows.rows(dialect, task.is_last),
        Form::Columnar(_) => {}
    }
    let lines = |text: &[u8]| memchr_iter(b'\n', text).count() as u64;
    // They come in their order, so no line feed is counted twice.
    let (mut counted, mut line) = (0, 0);
    desk.place(|at, reason| {
        let end = at.min(text.len());
        line += lines(text.get(counted..end).unwrap_or_default());
        counted = counted.max(end);
        Bad { at: task.begin + at as u64, line, reason }
    });
    desk.done.lines = if input.form == Form::Array { 0 } else { lines(text) };
}

fn read(path: &Path, begin: u64, bytes: u64, buffer: &mut Vec<u8>) -> Result<(), TaskError> {
    let read = Regular::open(path).and_then(|mut file| {
        file.seek(begin)?;
        buffer.reserve_exact(bytes.min(2 * MAX_ROW_BYTES) as usize + 1);
        file.take(bytes).read_to_end(buffer)
    });
    match read {
        Ok(read) if read as u64 == bytes => Ok(()),
        Ok(_) => Err(TaskError::new(format_args!("failed to read `{}`: it has become shorter", path.display()))),
        Err(cause) => Err(TaskError::io("read", path, &cause)),
    }
}
