//! The batch jobs of the toolbox. One folder per job; [`Job`] is what they have in common.
#![forbid(unsafe_code)]

mod buffer;
mod decode;
mod drive;
pub mod hash;
mod job;
pub mod logs;
mod output;
mod printable;
mod regular;
mod walk;

pub use drive::{DriveError, FailedKind, FailedTask, Finished, Interrupt, Options, Summary, Watch, plan, run};
pub use job::{Access, Item, Job, Plan, PlanError, Planned, Report, Table, TaskError, describe};
pub use output::{NewFile, Replace, remove_temporaries};
pub use printable::printable;
