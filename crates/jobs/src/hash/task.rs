//! What travels to a worker and back.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::open::FileOpener;
use crate::opened::Opened;
use crate::raw_path::RawPath;
use crate::stamp::Stamp;

use super::algorithm::Algorithm;
use super::digest::Digest;
use super::split::Piece;

/// What every task needs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// Whether a file that cannot be read is a result ([`Done::Unreadable`]) and no error.
    pub check: bool,
    /// Opens the files of all tasks of a worker.
    #[serde(skip)]
    pub(super) opener: Mutex<FileOpener>,
}

/// One file to hash, or one piece of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// A whole file.
    File {
        /// The file.
        path: RawPath,
        /// The checksum to compute.
        algorithm: Algorithm,
        /// Its length when it was planned.
        bytes: u64,
        /// The file itself, if it is open already.
        opened: Opened,
    },
    /// A subtree of a large file, for BLAKE3.
    Piece {
        /// The file.
        path: RawPath,
        /// The part to hash.
        piece: Piece,
        /// What the file was when it was planned: all pieces must come from the same file.
        stamp: Stamp,
    },
    /// Hashed already, by the program: standard input, a fifo, what only the program has open.
    Ready(Done),
}

/// What one task found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// The digest of a file.
    File {
        /// Bytes hashed.
        bytes: u64,
        /// Their digest.
        digest: Digest,
    },
    /// The chaining value of one piece.
    Piece {
        /// Number of the piece within its file.
        index: u64,
        /// Length of the whole file.
        file_bytes: u64,
        /// The BLAKE3 chaining value.
        chain: [u8; 32],
    },
    /// A file of a list that could not be read.
    Unreadable {
        /// Why, in words for the user.
        message: String,
        /// Whether there is no such file.
        missing: bool,
    },
}
