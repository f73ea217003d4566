//! The batch jobs of the toolbox. One folder per job; [`Job`] is what they have in common.
#![forbid(unsafe_code)]

mod job;

pub use job::{Access, Item, Job, Plan, PlanError, Planned, Report, Table, TaskError};
