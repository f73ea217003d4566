//! What a worker lets itself in for before it does anything else.

use std::io;

use serde::{Deserialize, Serialize};

use crate::Limits;
use crate::sandbox::Walls;

/// Travels with a worker's first frame; in force for its whole life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    pub limits: Limits,
    /// How long the encoding of one result may be.
    pub max_result_bytes: u64,
    pub sandbox: Option<Walls>,
}

impl Confinement {
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(io::Error::other)
    }

    pub fn from_bytes(bytes: &[u8]) -> io::Result<Confinement> {
        postcard::from_bytes(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// Puts it in force in this process, which cannot take it back.
    ///
    /// # Errors
    /// What the kernel refuses, in words. The worker ends then.
    pub fn apply(&self) -> io::Result<()> {
        self.limits.apply()?;
        self.sandbox.as_ref().map_or(Ok(()), Walls::apply)
    }
}
