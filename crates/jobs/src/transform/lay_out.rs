//! Brings together what the arguments ask for and what was found in the inputs.

use std::path::Path;

use crate::PlanError;
use crate::data::{Compression, Possible};

use super::args::TransformArgs;
use super::columns::Asked;
use super::frame::{FrameAsk, frame};
use super::inputs::{Opened, Opener};
use super::layout::{Form, Layout};
use super::sample::Sample;

/// The layout of rows, when all inputs were looked at; of a format of columns, with its schema.
///
/// # Errors
/// When the arguments do not go with the inputs, or the output cannot hold a column.
pub fn lay_out(
    args: &TransformArgs,
    output: &Path,
    asked: &Asked,
    opener: &Opener,
    opened: &[(Opened, u64)],
    described: &[(Form, String, Sample)],
    to: Form,
) -> Result<Layout, PlanError> {
    let make = |found: &[Possible]| asked.layout(described, to, found, args);
    let mut layout = make(&[])?;
    layout.packed = Compression::of(output);
    let Some(format) = to.columnar() else { return Ok(layout) };
    if layout.packed.is_some() {
        return Err(PlanError::new(format_args!(
            "{format} is not compressed as a whole: its columns are (-o/--output)"
        )));
    }
    if layout.needs_types(&asked.schema) {
        let mut found = vec![Possible::default(); layout.columns().len()];
        for (number, (input, header_bytes)) in opened.iter().enumerate() {
            let possible = opener.probe(number, input, *header_bytes, make(&[])?)?;
            found = found
                .iter()
                .zip(possible.iter().chain(std::iter::repeat(&Possible::default())))
                .map(|(all, one)| all.and(*one))
                .collect();
        }
        layout = make(&found)?;
    }
    if layout.columns().is_empty() {
        return Err(PlanError::new(format_args!("there are no columns, which {format} must have (--select)")));
    }
    let schemas = described.iter().filter_map(|(.., sample)| sample.shape.as_ref());
    let schemas = schemas.map(|shape| shape.schema.clone()).collect();
    let ask = FrameAsk { format, columns: layout.column_types(), schemas };
    layout.frame = opener.aside().run(frame, ask)?.map_err(PlanError::new)?;
    Ok(layout)
}
