//! Messages between processes: pipes with two ends.

mod link;
mod pipe;

pub use pipe::{Connection, Pipe, Receiver, Sender};
