//! The job `hash`: checksums of many files, and checking of lists of checksums.
//!
//! ```text
//! args -> plan (walk, list) -> Task -> run (read, hasher) -> Done -> fold (join) -> sums or check
//! ```
//!
//! A large file hashed with BLAKE3 is cut into pieces that workers hash at the same time; all else is one
//! task per file.

mod algorithm;
mod args;
mod buffer;
mod check;
mod digest;
mod escape;
mod hasher;
mod job;
mod join;
pub(crate) mod line;
pub(crate) mod list;
mod plan;
mod problem;
mod read;
mod split;
mod sums;
mod task;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use args::HashArgs;
pub use digest::Digest;
pub use job::Hash;
pub use task::{Context, Done, Task};
