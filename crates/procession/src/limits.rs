//! What a pool's workers may use.

use std::io;

use serde::{Deserialize, Serialize};

/// What each worker of a pool may use; see [`PoolBuilder::limits`](crate::PoolBuilder::limits).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {}

impl Limits {
    /// No limits.
    pub fn new() -> Limits {
        Limits::default()
    }

    pub(crate) fn apply(&self) -> io::Result<()> {
        Ok(())
    }
}
