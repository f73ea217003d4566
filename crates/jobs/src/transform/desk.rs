//! Takes in rows one by one: computes, writes, and keeps what is wrong with them.

use std::borrow::Cow;

use serde_bytes::ByteBuf;

use crate::TaskError;
use crate::data::json::write_string;
use crate::data::{Possible, Raw, write_json};

use super::layout::{Form, Input, Layout};
use super::sample::SAMPLE_ROWS;
use super::table::Table;
use super::task::{Bad, TransformDone};
use super::write::write_row;

/// Bad rows of one task that are described: for the report, and if they are kept.
const MAX_DESCRIBED: usize = 3;
const MAX_DESCRIBED_IF_KEPT: usize = 1000;

/// What becomes of rows.
pub enum Out {
    Text(Vec<u8>),
    Table(Table),
    /// Only a look at the types that the columns could have.
    Types(Vec<Possible>),
}

impl Out {
    /// For the rows of a task.
    ///
    /// # Errors
    /// When the layout has no schema for a format of columns.
    pub fn new(layout: &Layout) -> Result<Out, TaskError> {
        match layout.to.columnar() {
            Some(format) => Ok(Out::Table(Table::new(layout, format).map_err(TaskError::new)?)),
            None => Ok(Out::Text(Vec::new())),
        }
    }
}

/// Rows of one task on their way.
pub struct Desk<'l> {
    pub layout: &'l Layout,
    pub input: &'l Input,
    pub out: Out,
    pub done: TransformDone,
    /// Where the bad rows are that are described, and what ended the work.
    bad: Vec<(usize, String)>,
    pub stop: Option<(usize, String)>,
}

impl<'l> Desk<'l> {
    /// For rows of this input.
    pub fn new(layout: &'l Layout, input: &'l Input, out: Out) -> Desk<'l> {
        Desk { layout, input, out, done: TransformDone::default(), bad: Vec::new(), stop: None }
    }

    /// Takes memory for so many bytes of input.
    pub fn expect(&mut self, bytes: usize) {
        if let Out::Text(out) = &mut self.out {
            out.reserve(bytes / 4);
        }
    }

    /// Bytes that the rows have become so far; about that many in a format of columns.
    pub fn bytes(&self) -> usize {
        let out = match &self.out {
            Out::Text(out) => out.len(),
            Out::Table(table) => table.bytes(),
            Out::Types(_) => 0,
        };
        out.saturating_add(self.done.quarantined.len())
    }

    /// Whether rows are only looked at.
    pub fn is_probing(&self) -> bool {
        matches!(self.out, Out::Types(_))
    }

    /// Whether no more rows are wanted.
    pub fn is_over(&self) -> bool {
        self.stop.is_some() || self.rows_left() == 0
    }

    /// How many rows may still be written.
    pub fn rows_left(&self) -> u64 {
        match (self.is_probing(), self.layout.limit) {
            (true, _) => (SAMPLE_ROWS as u64).saturating_sub(self.done.read),
            (false, Some(limit)) => limit.saturating_sub(self.done.written),
            (false, None) => u64::MAX,
        }
    }

    /// Takes in the row at a place in the input, as it is there, and its values.
    #[inline]
    pub fn row(&mut self, at: usize, row: &[u8], slots: &mut [Raw<'_>]) {
        let layout = self.layout;
        let is_wanted = layout.formulas.is_empty()
            || match layout.formulas.run(slots) {
                Ok(is_wanted) => is_wanted,
                Err(reason) => return self.bad_values(at, row, slots, &reason),
            };
        self.done.read += 1;
        if !is_wanted {
            return;
        }
        let form = self.input.form;
        let written = match &mut self.out {
            Out::Text(out) => {
                let before = out.len();
                if layout.to == Form::Array && self.done.written > 0 {
                    out.extend_from_slice(b",\n");
                }
                let written = write_row(layout, form, row, slots, out);
                match written {
                    Ok(()) if layout.to != Form::Array => out.push(b'\n'),
                    Ok(()) => {}
                    Err(_) => out.truncate(before),
                }
                if layout.limit.is_some() && written.is_ok() {
                    self.done.ends.push(out.len() as u64);
                }
                written
            }
            Out::Table(table) => table.add(layout.columns(), form, slots).map_err(Cow::Owned),
            Out::Types(types) => {
                for (column, possible) in layout.columns().iter().zip(types) {
                    possible.note(slots.get(column.slot).unwrap_or(&Raw::Null), form.origin());
                }
                Ok(())
            }
        };
        match written {
            Ok(()) => self.done.written += 1,
            Err(reason) => {
                self.done.read -= 1;
                self.bad_values(at, row, slots, &reason);
            }
        }
    }

    /// A row whose values do not do. What has no bytes of its own is kept as an object of what was read of it.
    #[cold]
    fn bad_values(&mut self, at: usize, row: &[u8], slots: &[Raw<'_>], reason: &str) {
        if self.input.form.columnar().is_none() || !self.layout.keeps_bad {
            return self.bad_row(at, row, reason);
        }
        let mut object = vec![b'{'];
        for (n, (path, value)) in self.layout.paths.iter().zip(slots).enumerate() {
            if n > 0 {
                object.push(b',');
            }
            write_string(path.join(".").as_bytes(), &mut object);
            object.push(b':');
            write_json(value, &mut object);
        }
        object.push(b'}');
        self.bad_row(at, &object, reason);
    }

    /// Takes in a bad row.
    #[cold]
    pub fn bad_row(&mut self, at: usize, row: &[u8], reason: &str) {
        if self.layout.stops {
            self.stop = Some((at, reason.to_string()));
            self.done.can_go_on = true;
            return;
        }
        self.done.read += 1;
        self.done.skipped += 1;
        let max_described = if self.layout.keeps_bad { MAX_DESCRIBED_IF_KEPT } else { MAX_DESCRIBED };
        if self.bad.len() < max_described {
            self.bad.push((at, reason.to_string()));
        }
        if self.layout.keeps_bad {
            let kept = &mut self.done.quarantined;
            // Elements of an array may go over several lines; what they are kept as has one each.
            let row = if self.input.form == Form::Array { crate::data::json::minify(row) } else { Cow::Borrowed(row) };
            kept.extend_from_slice(&row);
            if row.last() != Some(&b'\n') {
                kept.push(b'\n');
            }
        }
    }

    /// Says where the bad rows are.
    pub fn place(&mut self, mut place: impl FnMut(usize, String) -> Bad) {
        self.done.bad = std::mem::take(&mut self.bad).into_iter().map(|(at, reason)| place(at, reason)).collect();
        self.done.stop = self.stop.take().map(|(at, reason)| place(at, reason));
    }

    /// The result of the task.
    ///
    /// # Errors
    /// When it cannot be compressed, or its columns not be written.
    pub fn finish(mut self) -> Result<TransformDone, TaskError> {
        match self.out {
            Out::Text(out) => {
                self.done.out = ByteBuf::from(match self.layout.packed {
                    // A limit cuts what is written, and cannot do that to what is packed.
                    Some(packed) if self.layout.limit.is_none() && !out.is_empty() => packed
                        .pack(&out)
                        .map_err(|cause| TaskError::new(format_args!("failed to compress: {cause}")))?,
                    _ => out,
                });
            }
            Out::Table(table) if self.done.written > 0 => {
                let piece = table.finish().map_err(TaskError::new)?;
                (self.done.out, self.done.end) = (piece.rows, piece.end);
            }
            _ => {}
        }
        Ok(self.done)
    }
}
