//! Workers, and a program, that write what they like into the memory between them.

mod chaos;
mod dodger;
mod endless;
mod lane;
mod skew;

use std::time::Duration;

use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "hostile",
    promise: "hostile bytes on the wire are an error, and no more",
    fault: "random frames, huge lengths, version skew, a worker that lies about indices or dodges its deadline",
    must_show: "typed error, no allocation over the limit",
    run,
};

/// How long an item may be without outcome before it is called a hang.
const PATIENCE: Duration = Duration::from_secs(20);

fn run(run: &Run) -> anyhow::Result<()> {
    chaos::run(run)?;
    skew::run(run)?;
    endless::run(run)?;
    dodger::run(run)
}
