//! The rows, in the order of the table.

mod bounded;
mod deadlines;
mod death;
mod hostile;
pub mod leak;
mod memory;
pub mod orphans;
mod outputs;
mod poison;
mod results;
mod resume;
mod sandbox;
mod torn;
mod transform;

use crate::row::Row;

pub const ROWS: &[Row] = &[
    death::ROW,
    results::ROW,
    poison::ROW,
    orphans::ROW,
    deadlines::ROW,
    memory::ROW,
    bounded::ROW,
    leak::ROW,
    resume::ROW,
    torn::ROW,
    outputs::ROW,
    transform::ROW,
    sandbox::ROW,
    hostile::ROW,
];
