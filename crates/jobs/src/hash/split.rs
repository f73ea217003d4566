//! Cuts a large file into pieces that are subtrees of its BLAKE3 tree.
//!
//! Every piece but the last has the same length, a power of two of at least one chunk (1 KiB), and starts at a multiple
//! of it. So each is a complete subtree, and the tree of the pieces has the shape of BLAKE3's own tree: the left side of
//! every node is the largest power of two that leaves something for the right.

use serde::{Deserialize, Serialize};

/// When to cut, and how finely.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    /// Workers that can hash at the same time; with one, nothing is cut.
    pub workers: usize,
    /// Shorter files are not cut.
    pub from_bytes: u64,
    /// Smallest piece, a power of two of at least 1024.
    pub min_bytes: u64,
    /// Largest piece, a power of two: caps what is lost when a worker dies.
    pub max_bytes: u64,
}

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its number, from 0.
    pub index: u64,
    /// Where it starts.
    pub offset: u64,
    /// Its length; never 0.
    pub bytes: u64,
}

impl Split {
    /// Pieces of 16 to 64 MiB, of files from 32 MiB on.
    pub fn new(workers: usize) -> Split {
        Split { workers, from_bytes: 32 << 20, min_bytes: 16 << 20, max_bytes: 64 << 20 }
    }

    /// Whether a file of that length is cut.
    pub fn cuts(&self, file_bytes: u64) -> bool {
        self.workers > 1 && file_bytes >= self.from_bytes && file_bytes > self.min_bytes
    }

    /// Length of all pieces but the last: large ones, unless that leaves workers idle at the end.
    fn piece_bytes(&self, file_bytes: u64) -> u64 {
        let wanted = 4 * self.workers as u64;
        let mut bytes = self.max_bytes;
        while bytes > self.min_bytes && file_bytes / bytes < wanted {
            bytes /= 2;
        }
        bytes
    }

    /// How many pieces a file of that length has, if it is cut.
    pub fn count(&self, file_bytes: u64) -> u64 {
        file_bytes.div_ceil(self.piece_bytes(file_bytes))
    }

    /// The pieces of a file of that length, if it is cut.
    pub fn pieces(self, file_bytes: u64) -> impl Iterator<Item = Piece> {
        let piece_bytes = self.piece_bytes(file_bytes);
        (0..self.count(file_bytes)).map(move |index| {
            let offset = index * piece_bytes;
            Piece { index, offset, bytes: piece_bytes.min(file_bytes - offset) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_and_lone_workers_cut_nothing() {
        assert!(!Split::new(8).cuts((32 << 20) - 1));
        assert!(Split::new(2).cuts(32 << 20));
        assert!(!Split::new(1).cuts(1 << 40));
    }

    #[test]
    fn pieces_cover_the_file_once() {
        for workers in [2, 64] {
            for file_bytes in [32 << 20, (32 << 20) + 1, (1 << 30) - 1, 1 << 30, (5 << 30) + 77] {
                let mut end = 0;
                for piece in Split::new(workers).pieces(file_bytes) {
                    assert_eq!(piece.offset, end);
                    assert!(piece.bytes > 0);
                    end += piece.bytes;
                }
                assert_eq!(end, file_bytes);
            }
        }
    }

    #[test]
    fn pieces_are_large_when_there_are_enough() {
        let largest = |workers, bytes| Split::new(workers).pieces(bytes).next().map(|piece| piece.bytes);
        assert_eq!(largest(2, 32 << 20), Some(16 << 20));
        assert_eq!(largest(2, 1 << 30), Some(64 << 20));
        assert_eq!(largest(16, 2 << 30), Some(32 << 20));
    }
}
