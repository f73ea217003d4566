//! Looks at the first rows of inputs once more, for the types that columns of the output could have.

use std::io::Read;

use serde_bytes::ByteBuf;

use crate::data::Possible;
use crate::regular::Regular;
use crate::{PlanError, TaskError};

use super::inputs::{BYTE_ORDER_MARK, Opened, Opener, Source};
use super::layout::Layout;
use super::run::probe;
use super::sample::{SAMPLE_BYTES, SAMPLE_ROWS};
use super::task::{self, TransformTask};

impl Opener {
    /// The types that columns of the output could have, by the first rows of an input behind so many bytes of header.
    ///
    /// # Errors
    /// When those cannot be read.
    pub fn probe(
        &self,
        number: usize,
        opened: &Opened,
        header_bytes: u64,
        mut layout: Layout,
    ) -> Result<Vec<Possible>, PlanError> {
        // What is wrong with rows is told when they are read.
        (layout.stops, layout.keeps_bad) = (false, false);
        let mut task = TransformTask {
            input: number,
            layout: [0; 16],
            begin: 0,
            source: task::Source::Block(ByteBuf::new()),
            is_first: true,
            is_last: true,
        };
        if let Some((path, groups)) = opened.groups() {
            let Some(group) = groups.iter().position(|group| group.rows > 0) else { return Ok(Vec::new()) };
            let rows = groups[group].rows.min(SAMPLE_ROWS as u64);
            let path = path.into();
            task.source = task::Source::Span { path, group: group as u32, skip: 0, rows };
        } else {
            let (head, is_all) = self.head(opened)?;
            let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
            let text = text.get(header_bytes as usize..).unwrap_or_default();
            task.source = task::Source::Block(ByteBuf::from(text));
            task.is_last = is_all;
        }
        let probed = self.aside().run(probe, (layout, task)).map_err(|error| opened.unreadable(&error))?;
        probed.map_err(PlanError::new)
    }

    /// The first bytes of a text, again if they were let go of, and whether they are all.
    fn head(&self, opened: &Opened) -> Result<(Vec<u8>, bool), PlanError> {
        let head = match &opened.kind {
            Source::Plain => {
                let mut head = Vec::new();
                let read =
                    Regular::open(&opened.path).and_then(|file| file.take(SAMPLE_BYTES as u64).read_to_end(&mut head));
                read.map_err(|cause| PlanError::new(TaskError::io("read", &opened.path, &cause)))?;
                head
            }
            Source::Packed(file) => self.aside().head(file, SAMPLE_BYTES)?,
            Source::Stream(_) | Source::Columns(..) => opened.head.clone(),
        };
        let is_all = head.len() < SAMPLE_BYTES;
        Ok((head, is_all))
    }
}
