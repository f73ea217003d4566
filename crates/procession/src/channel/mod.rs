//! Messages between processes: pipes with two ends.

pub(crate) mod link;
mod pipe;

pub use pipe::{Connection, Pipe, Receiver, Sender};
