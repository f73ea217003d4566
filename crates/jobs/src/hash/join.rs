//! Joins the pieces of large files to their BLAKE3 digests.

use std::collections::{BTreeMap, HashMap, HashSet};

use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::digest::Digest;
use super::split::Split;

type Chain = [u8; 32];

/// The files of which some pieces are there.
#[derive(Debug)]
pub struct Join {
    split: Split,
    open: HashMap<usize, Pieces>,
    dropped: HashSet<usize>,
}

#[derive(Debug)]
struct Pieces {
    file_bytes: u64,
    chains: BTreeMap<u64, Chain>,
}

impl Join {
    /// Joins what this cut.
    pub fn new(split: Split) -> Join {
        Join { split, open: HashMap::new(), dropped: HashSet::new() }
    }

    /// Takes in a piece of an input; the digest if it was the last missing one.
    pub fn add(&mut self, input: usize, index: u64, file_bytes: u64, chain: Chain) -> Option<Digest> {
        let count = self.split.count(file_bytes);
        if self.dropped.contains(&input) {
            return None;
        }
        let pieces = self.open.entry(input).or_insert_with(|| Pieces { file_bytes, chains: BTreeMap::new() });
        // A worker's word is not trusted: a piece that does not fit leaves the file unfinished.
        if pieces.file_bytes != file_bytes || index >= count || count < 2 {
            return None;
        }
        pieces.chains.insert(index, chain);
        if (pieces.chains.len() as u64) < count {
            return None;
        }
        let pieces = self.open.remove(&input)?;
        root(&pieces.chains.into_values().collect::<Vec<_>>())
    }

    /// How many files are neither finished nor dropped.
    pub fn unfinished(&self) -> usize {
        self.open.len()
    }

    /// Forgets an input of which a piece failed, and ignores those still to come.
    pub fn drop_input(&mut self, input: usize) {
        self.open.remove(&input);
        self.dropped.insert(input);
    }
}

/// The digest over all chaining values, from left to right; none if there is but one, which is no root.
fn root(chains: &[Chain]) -> Option<Digest> {
    let (left, right) = halves(chains)?;
    let hash = merge_subtrees_root(&inner(left)?, &inner(right)?, Mode::Hash);
    Some(Digest::new(hash.as_bytes()))
}

fn inner(chains: &[Chain]) -> Option<Chain> {
    match chains {
        [chain] => Some(*chain),
        _ => {
            let (left, right) = halves(chains)?;
            Some(merge_subtrees_non_root(&inner(left)?, &inner(right)?, Mode::Hash))
        }
    }
}

/// Splits at the largest power of two that leaves something for the right side.
fn halves(chains: &[Chain]) -> Option<(&[Chain], &[Chain])> {
    (chains.len() > 1).then(|| chains.split_at(chains.len().div_ceil(2).next_power_of_two()))
}

#[cfg(test)]
mod tests {
    use blake3::hazmat::HasherExt;
    use proptest::prelude::*;

    use super::*;

    fn split(piece_bytes: u64) -> Split {
        Split { workers: 2, from_bytes: 0, min_bytes: piece_bytes, max_bytes: piece_bytes }
    }

    fn joined(bytes: &[u8], split: Split, backwards: bool) -> Option<Digest> {
        let mut join = Join::new(split);
        let mut pieces: Vec<_> = split.pieces(bytes.len() as u64).collect();
        if backwards {
            pieces.reverse();
        }
        let mut digest = None;
        for piece in pieces {
            assert_eq!(digest, None);
            let part = &bytes[piece.offset as usize..][..piece.bytes as usize];
            let chain = blake3::Hasher::new().set_input_offset(piece.offset).update(part).finalize_non_root();
            digest = join.add(0, piece.index, bytes.len() as u64, chain);
        }
        assert_eq!(join.unfinished(), 0);
        digest
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pieces_give_the_digest_of_the_whole(power in 10u32..14, count in 1u64..20, off in -1025i64..1025, seed: u8, backwards: bool) {
            let piece = 1u64 << power;
            let length = (piece * count).saturating_add_signed(off);
            prop_assume!(split(piece).cuts(length));
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8 ^ seed).collect();
            let whole = Digest::new(blake3::hash(&bytes).as_bytes());
            prop_assert_eq!(joined(&bytes, split(piece), backwards), Some(whole));
        }
    }

    #[test]
    fn an_input_with_a_failed_piece_never_finishes() {
        let mut join = Join::new(split(1024));
        assert_eq!(join.add(0, 0, 2048, [0; 32]), None);
        join.drop_input(0);
        assert_eq!(join.add(0, 1, 2048, [0; 32]), None);
        assert_eq!(join.add(0, 0, 2048, [0; 32]), None);
        assert_eq!(join.unfinished(), 0);
    }

    #[test]
    fn pieces_that_do_not_fit_finish_nothing() {
        for (index, file_bytes) in [(2, 2048), (u64::MAX, 2048), (1, 4096), (1, 2047)] {
            let mut join = Join::new(split(1024));
            assert_eq!(join.add(0, 0, 2048, [0; 32]), None);
            assert_eq!(join.add(0, index, file_bytes, [0; 32]), None);
            assert_eq!(join.unfinished(), 1);
        }
        for file_bytes in [0, 1, 1024] {
            let mut join = Join::new(split(1024));
            assert_eq!(join.add(0, 0, file_bytes, [0; 32]), None);
            assert_eq!(join.unfinished(), 1);
        }
    }
}
