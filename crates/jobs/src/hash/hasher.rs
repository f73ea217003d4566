//! One interface to all algorithms: bytes go in piece by piece, a digest comes out.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use xxhash_rust::xxh3::Xxh3;

use super::algorithm::Algorithm;
use super::digest::Digest;

/// A digest in the making.
// Lives on the stack of one reading loop, where the largest variant (BLAKE3, 2 KiB) costs nothing.
#[expect(clippy::large_enum_variant)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
    /// SHA-1.
    Sha1(Sha1),
    /// MD5.
    Md5(Md5),
    /// BLAKE3.
    Blake3(blake3::Hasher),
    /// XXH3, 64 bits, seed 0.
    Xxh3(Xxh3),
}

impl Hasher {
    /// The digest of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            Algorithm::Sha1 => Hasher::Sha1(Sha1::new()),
            Algorithm::Md5 => Hasher::Md5(Md5::new()),
            Algorithm::Blake3 => Hasher::Blake3(blake3::Hasher::new()),
            Algorithm::Xxh3 => Hasher::Xxh3(Xxh3::new()),
        }
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Md5(hasher) => hasher.update(bytes),
            Hasher::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Hasher::Xxh3(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hasher) => Digest::new(&hasher.finalize()),
            Hasher::Sha512(hasher) => Digest::new(&hasher.finalize()),
            Hasher::Sha1(hasher) => Digest::new(&hasher.finalize()),
            Hasher::Md5(hasher) => Digest::new(&hasher.finalize()),
            Hasher::Blake3(hasher) => Digest::new(hasher.finalize().as_bytes()),
            // xxHash's canonical form, which xxhsum prints, is big-endian.
            Hasher::Xxh3(hasher) => Digest::new(&hasher.digest().to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        bytes.chunks(7).for_each(|part| hasher.update(part));
        hasher.finish().to_string()
    }

    /// From FIPS 180-4 and RFC 1321, the BLAKE3 test vectors, and xxhsum -H3.
    #[test]
    fn known_answers() {
        for (algorithm, bytes, known) in [
            (Algorithm::Sha256, &b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (Algorithm::Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Algorithm::Sha512,
                b"abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Md5, b"message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (Algorithm::Blake3, b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (Algorithm::Blake3, b"abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
            (Algorithm::Xxh3, b"", "2d06800538d394c2"),
            (Algorithm::Xxh3, b"abc", "78af5f94892f3950"),
        ] {
            assert_eq!(digest(algorithm, bytes), known, "{algorithm:?}");
        }
    }
}
