//! The batch jobs of the toolbox. One folder per job; [`Job`] is what they have in common.
#![forbid(unsafe_code)]

mod decode;
pub mod hash;
mod job;
pub mod logs;
mod walk;

pub use job::{Access, Item, Job, Plan, PlanError, Planned, Report, Table, TaskError};
