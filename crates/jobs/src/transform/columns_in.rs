//! Reads rows of a format of columns: as values one by one where a row is worked on, else as they are.

use std::collections::HashSet;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_select::filter::filter;

use crate::data::Raw;
use crate::data::columnar::{BATCH_BYTES, Columnar, Rendered, Roots, Span, is_pointed, pieces, plain, read};
use crate::regular::Regular;

use super::desk::{Desk, Out};
use super::layout::{Kind, Layout};

/// Rows that are made text at once, and rows that are passed on at once, if they are not large.
const TEXT_ROWS: usize = 8 << 10;
const BATCH_ROWS: usize = 32 << 10;
/// As many at least, if no more than a few are wanted: some of them may be bad.
const FEWEST_ROWS: usize = 64;
/// What the rows of a task may become: spans are such that they stay far below, unless a file is not what its end says. A
/// result is in memory twice, and a pool takes 1 GiB (less in tests, which would take long).
const MAX_TASK_BYTES: usize = if cfg!(test) { 96 << 20 } else { 512 << 20 };

/// Transforms some rows of a file.
///
/// # Errors
/// When the file cannot be read, or has other columns than before.
pub fn read_columns(desk: &mut Desk<'_>, file: Regular, format: Columnar, span: Span) -> Result<(), String> {
    let layout = desk.layout;
    let rendered = rendered(layout)?;
    let names = layout.paths.iter().flat_map(|path| [path.first().cloned().unwrap_or_default(), path.join(".")]);
    let names: HashSet<String> = names.collect();
    let is_table = matches!(desk.out, Out::Table(_));
    let mut batch_rows = if is_table { BATCH_ROWS } else { TEXT_ROWS };
    if layout.formulas.is_empty() {
        let wanted = usize::try_from(desk.rows_left()).unwrap_or(usize::MAX);
        batch_rows = wanted.clamp(FEWEST_ROWS, batch_rows);
    }
    let mut begin = 0;
    read(file, format, span, &names, batch_rows, &mut |all| {
        let roots = Roots::new(all.schema_ref());
        for range in pieces(all, BATCH_BYTES)? {
            let batch = all.slice(range.start, range.len());
            let wanted = if rendered.is_empty() && layout.formulas.is_empty() && is_table {
                let rows = batch.num_rows().min(usize::try_from(desk.rows_left()).unwrap_or(usize::MAX));
                desk.done.read += rows as u64;
                desk.done.written += rows as u64;
                (0..batch.num_rows()).map(|row| Some(row < rows)).collect()
            } else {
                rows(desk, &roots, &batch, &rendered, begin)?
            };
            begin += batch.num_rows();
            if let Out::Table(table) = &mut desk.out {
                table
                    .end_batch(layout.columns(), &mut |slot, like| same(layout, &roots, &batch, &wanted, slot, like))?;
            }
            check_size(desk)?;
            if desk.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn check_size(desk: &Desk<'_>) -> Result<(), String> {
    if desk.bytes() <= MAX_TASK_BYTES {
        return Ok(());
    }
    Err(format!(
        "some thousand of its rows become more than {} MiB, and nothing in it says so (--select leaves columns out)",
        MAX_TASK_BYTES >> 20
    ))
}

/// The slots that are needed as values.
fn rendered(layout: &Layout) -> Result<Vec<usize>, String> {
    let mut slots = layout.formulas.used()?;
    slots.extend(layout.columns().iter().filter(|column| column.kind != Kind::Same).map(|column| column.slot));
    if layout.keeps_bad {
        slots.extend(0..layout.paths.len());
    }
    slots.retain(|slot| *slot < layout.paths.len());
    slots.sort_unstable();
    slots.dedup();
    Ok(slots)
}

/// Takes the rows of a batch one by one; returns which of them were written.
fn rows(
    desk: &mut Desk<'_>,
    roots: &Roots<'_>,
    batch: &RecordBatch,
    rendered: &[usize],
    begin: usize,
) -> Result<BooleanArray, String> {
    let mut values = Vec::new();
    for slot in rendered {
        let path = desk.layout.paths.get(*slot).map_or(&[][..], Vec::as_slice);
        if let Some(column) = roots.column(batch, path)? {
            let told = |reason| format!("column `{}`: {reason} (--select leaves it out)", path.join("."));
            let is_pointed = roots.field(path).is_some_and(is_pointed);
            values.push((*slot, Rendered::new(&column, is_pointed).map_err(told)?));
        }
    }
    let mut slots = vec![Raw::Null; desk.layout.slots()];
    let mut wanted = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let before = desk.done.written;
        if !desk.is_over() {
            slots.fill(Raw::Null);
            for (slot, values) in &values {
                slots[*slot] = values.get(row);
            }
            desk.row(begin + row, b"", &mut slots);
            check_size(desk)?;
        }
        wanted.push(desk.done.written > before);
    }
    Ok(BooleanArray::from(wanted))
}

/// The values of a column that are passed on, in the wanted rows.
fn same(
    layout: &Layout,
    roots: &Roots<'_>,
    batch: &RecordBatch,
    wanted: &BooleanArray,
    slot: usize,
    like: &arrow_schema::DataType,
) -> Result<ArrayRef, String> {
    let path = layout.paths.get(slot).map_or(&[][..], Vec::as_slice);
    match roots.column(batch, path)? {
        // Filtered first: values of a dictionary may be long, and many rows have one.
        Some(column) => filter(&column, wanted).map_err(|error| error.to_string()).and_then(|rows| plain(&rows, like)),
        None => Ok(arrow_array::new_null_array(like, wanted.true_count())),
    }
}
