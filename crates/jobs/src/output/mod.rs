//! What a job leaves on the disk: new files, which appear whole or not at all, and temporary folders, which do not stay.
//!
//! Whatever is temporary has a lock for as long as its owner lives (flock(2)), so the next run can tell what a killed one
//! has left, and removes it.

mod living;
mod lock;
mod new_file;
mod scratch;
mod sweep;

pub use living::remove_temporaries;
pub use new_file::{NewFile, Replace};
pub(crate) use scratch::Scratch;
