//! The batch jobs of the toolbox. One folder per job; [`Job`] is what they have in common.
#![forbid(unsafe_code)]

mod buffer;
mod content;
pub mod data;
mod decode;
mod drive;
pub mod expr;
mod formulas;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
mod job;
mod joblog;
pub mod logs;
mod open;
mod opened;
mod output;
pub mod parse;
mod printable;
mod raw_path;
mod records;
mod regular;
mod select;
mod stamp;
mod streamed;
pub mod time;
pub mod transform;
mod walk;

pub use drive::{
    DriveError, FailedKind, FailedTask, Finished, Interrupt, Options, PlannedTask, SandboxMode, Summary, Watch, plan,
    run,
};
pub use job::{Access, Item, Job, Plan, PlanError, Planned, Report, Table, TaskError, describe, without_number};
pub use joblog::{Existing, Exit, Joblog};
pub use opened::FilesAhead;
pub use output::{NewFile, Replace, remove_temporaries};
pub use printable::printable;
pub use records::{Records, purpose};
pub use select::Selection;
pub use stamp::Stamp;
pub use streamed::{MakeRows, Streamed};
