//! The rows, in the order of the table.

mod bounded;
mod deadlines;
mod death;
mod hostile;
pub mod leak;
pub mod orphans;
mod poison;
mod results;

use crate::row::Row;

pub const ROWS: &[Row] =
    &[death::ROW, results::ROW, poison::ROW, orphans::ROW, deadlines::ROW, bounded::ROW, leak::ROW, hostile::ROW];
