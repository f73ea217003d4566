//! The checksums that the job knows, and what each is called in lists of checksums.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256, as sha256sum
    Sha256,
    /// SHA-512, as sha512sum
    Sha512,
    /// SHA-1, as sha1sum (broken: only for lists that exist)
    Sha1,
    /// MD5, as md5sum (broken: only for lists that exist)
    Md5,
    /// BLAKE3 with 256 bits, as b3sum: the fastest secure one, a large file uses all workers
    Blake3,
    /// XXH3 with 64 bits and seed 0, as xxhsum -H3: finds accidents, not attackers
    Xxh3,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 6] =
        [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1, Algorithm::Md5, Algorithm::Blake3, Algorithm::Xxh3];

    /// The word for it on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
            Algorithm::Sha1 => "sha1",
            Algorithm::Md5 => "md5",
            Algorithm::Blake3 => "blake3",
            Algorithm::Xxh3 => "xxh3",
        }
    }

    /// The word for it in a BSD-style line, as coreutils, b3sum and xxhsum print it.
    pub fn tag(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SHA256",
            Algorithm::Sha512 => "SHA512",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Md5 => "MD5",
            Algorithm::Blake3 => "BLAKE3",
            Algorithm::Xxh3 => "XXH3",
        }
    }

    /// What stands before the digest in an untagged line. xxhsum takes 16 bare digits for XXH64, so it marks XXH3.
    pub fn prefix(self) -> &'static str {
        match self {
            Algorithm::Xxh3 => "XXH3_",
            _ => "",
        }
    }

    /// Length of the digest in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Algorithm::Sha256 | Algorithm::Blake3 => 32,
            Algorithm::Sha512 => 64,
            Algorithm::Sha1 => 20,
            Algorithm::Md5 => 16,
            Algorithm::Xxh3 => 8,
        }
    }

    /// The usual algorithm of a digest with that many bytes: 32 are SHA-256, not BLAKE3.
    pub fn from_digest_bytes(bytes: usize) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.digest_bytes() == bytes)
    }

    /// Takes a BSD tag off the start of a line. OpenSSL 3 writes `SHA2-256` where others write `SHA256`.
    pub(super) fn strip_tag(line: &[u8]) -> Option<(Algorithm, &[u8])> {
        let aliases = [("SHA2-256", Algorithm::Sha256), ("SHA2-512", Algorithm::Sha512)];
        let tags = Algorithm::ALL.into_iter().map(|algorithm| (algorithm.tag(), algorithm));
        tags.chain(aliases).find_map(|(tag, algorithm)| {
            let rest = line.strip_prefix(tag.as_bytes())?;
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            Some((algorithm, rest.strip_prefix(b"(")?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_word_of_the_command_line() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_possible_value().unwrap().get_name(), algorithm.name());
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        }
    }

    #[test]
    fn tags_are_taken_with_and_without_a_space() {
        assert_eq!(Algorithm::strip_tag(b"MD5 (a"), Some((Algorithm::Md5, &b"a"[..])));
        assert_eq!(Algorithm::strip_tag(b"SHA1(a"), Some((Algorithm::Sha1, &b"a"[..])));
        assert_eq!(Algorithm::strip_tag(b"SHA2-512(a"), Some((Algorithm::Sha512, &b"a"[..])));
        assert_eq!(Algorithm::strip_tag(b"SHA512  (a"), None);
        assert_eq!(Algorithm::strip_tag(b"sha1 (a"), None);
    }
}
