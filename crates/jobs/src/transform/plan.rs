//! Makes the tasks of the inputs, one after the other, while they are pulled.

use std::path::Path;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use crate::data::Chunks;
use crate::data::columnar::Span;
use crate::raw_path::RawPath;
use crate::{Item, Planned, Stamp, TaskError};

use super::inputs::{Opened, Opener};
use super::layout::Form;
use super::spans::Spans;
use super::task::{Source, TransformTask};

/// The tasks of all inputs.
pub struct Tasks {
    opener: Opener,
    /// With the bytes of their headers.
    inputs: std::iter::Enumerate<std::vec::IntoIter<(Opened, u64)>>,
    layout: [u8; 16],
    to: Form,
    current: Option<Current>,
}

struct Current {
    input: usize,
    path: Arc<Path>,
    stamp: Option<Stamp>,
    is_plain: bool,
    parts: Parts,
}

/// The parts of an input that are a task each.
enum Parts {
    Chunks(Chunks),
    /// Of a file of columns, the file that is read.
    Spans(Spans, RawPath),
}

impl Tasks {
    /// The tasks of inputs, each with the bytes of its header, for a layout with this hash and an output of this form.
    pub fn new(opener: Opener, inputs: Vec<(Opened, u64)>, layout: [u8; 16], to: Form) -> Tasks {
        Tasks { opener, inputs: inputs.into_iter().enumerate(), layout, to, current: None }
    }
}

impl Iterator for Tasks {
    type Item = Planned<TransformTask>;

    fn next(&mut self) -> Option<Planned<TransformTask>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next(self.layout) {
                    Some(planned) => return Some(planned),
                    None => self.current = None,
                }
            }
            let (input, (opened, header_bytes)) = self.inputs.next()?;
            let (path, stamp, is_plain) = (opened.path.clone(), opened.stamp, opened.file().is_some());
            let parts = match opened.groups() {
                Some((file, groups)) => {
                    let file = file.into();
                    Ok(Parts::Spans(Spans::new(groups.to_vec(), self.to.columnar().is_some()), file))
                }
                None => self.opener.chunks(opened, header_bytes, self.to).map(Parts::Chunks),
            };
            match parts {
                Ok(parts) => self.current = Some(Current { input, path, stamp, is_plain, parts }),
                Err(cause) => return Some(failed(input, path, &cause)),
            }
        }
    }
}

impl Current {
    fn next(&mut self, layout: [u8; 16]) -> Option<Planned<TransformTask>> {
        let stamp = self.stamp.filter(|_| self.is_plain);
        let item = |bytes| Item { input: self.input, path: self.path.clone(), bytes, stamp };
        let chunk = match &mut self.parts {
            Parts::Spans(spans, path) => {
                let (begin, bytes, Span { group, skip, rows }) = spans.next()?;
                let source = Source::Span { path: path.clone(), group, skip, rows };
                let (is_first, is_last) = (begin == 0, false);
                let task = TransformTask { input: self.input, layout, begin, source, is_first, is_last };
                return Some(Planned::Task(item(bytes), task));
            }
            Parts::Chunks(chunks) => match chunks.next()? {
                Ok(chunk) => chunk,
                Err(cause) => return Some(failed(self.input, self.path.clone(), &cause)),
            },
        };
        let source = match chunk.text {
            Some(text) => Source::Block(ByteBuf::from(text)),
            None => Source::Range { path: self.path.clone().into(), bytes: chunk.bytes },
        };
        let (begin, is_first, is_last) = (chunk.begin, chunk.is_first, chunk.is_last);
        Some(Planned::Task(
            item(chunk.bytes),
            TransformTask { input: self.input, layout, begin, source, is_first, is_last },
        ))
    }
}

fn failed(input: usize, path: Arc<Path>, cause: &std::io::Error) -> Planned<TransformTask> {
    let error = TaskError::io("read", &path, cause);
    Planned::Failed(Item { input, path, bytes: 0, stamp: None }, error)
}
