//! Reads compressed files as if they were plain. The format is told by the first bytes, never by the name.
//!
//! Files of several members (`cat a.gz b.gz`) are read to their end. What is truncated or damaged is an error, so a
//! part of a file never passes for the whole.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// How many first bytes [`Format::of`] wants to see.
pub const HEAD_BYTES: usize = 10;

/// Compressed bytes asked for at once.
const READ_BYTES: usize = 128 << 10;

/// A compressed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Format {
    /// The format that the first bytes of a file tell; none for plain bytes.
    pub fn of(head: &[u8]) -> Option<Format> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Format::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
            // A frame to skip: pzstd and seekable files begin with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
            // `BZh9` could begin a text; the first block's (or the end's) magic number could not.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Format::Bzip2),
            _ => None,
        }
    }

    /// Decodes `source`. Reads from it only when read from.
    ///
    /// # Errors
    /// When the decoder cannot be set up.
    pub fn decode<'a>(self, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let source = BufReader::with_capacity(READ_BYTES, source);
        Ok(match self {
            Format::Gzip => Box::new(Gzip(Some(GzDecoder::new(source)))),
            Format::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
            Format::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(source)),
            Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        })
    }
}

/// All members of a gzip file, and the zeros that tapes and some writers add. Empty when all was read.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let Some(mut source) = self.0.take().map(GzDecoder::into_inner) else { break };
            if !is_at_end(&mut source)? {
                self.0 = Some(GzDecoder::new(source));
            }
        }
        Ok(0)
    }
}

/// Whether nothing but zeros is left.
fn is_at_end(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let rest = source.fill_buf()?;
        if rest.is_empty() {
            return Ok(true);
        }
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if zeros < rest.len() {
            source.consume(zeros);
            return Ok(false);
        }
        source.consume(zeros);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    pub(crate) const ALL: [Format; 4] = [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2];

    pub(crate) fn encode(format: Format, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match format {
            Format::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap();
            }
            Format::Zstd => zstd::stream::copy_encode(bytes, &mut out, 1).unwrap(),
            Format::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(&mut out, 0);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap();
            }
            Format::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(&mut out, bzip2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap();
            }
        }
        out
    }

    fn decode(format: Format, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        format.decode(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn members_are_read_one_after_the_other(
            members in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..5),
        ) {
            for format in ALL {
                let packed: Vec<u8> = members.iter().flat_map(|member| encode(format, member)).collect();
                prop_assert_eq!(Format::of(&packed), Some(format));
                prop_assert_eq!(decode(format, &packed).unwrap(), members.concat());
            }
        }

        #[test]
        fn what_is_cut_off_is_an_error(
            first in prop::collection::vec(any::<u8>(), 0..300),
            second in prop::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            for format in ALL {
                let mut packed = encode(format, &first);
                let whole = packed.len();
                packed.extend(encode(format, &second));
                let cut = 1 + cut.index(packed.len() - 1);
                if cut != whole {
                    prop_assert!(decode(format, &packed[..cut]).is_err(), "{:?} cut at {}", format, cut);
                }
            }
        }

        #[test]
        fn damaged_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            for format in ALL {
                let mut packed = encode(format, &bytes);
                let at = at.index(packed.len());
                packed[at] = value;
                let _ = decode(format, &packed);
            }
        }
    }

    #[test]
    fn a_damaged_member_is_an_error() {
        let text = "a line of a log\n".repeat(1000);
        for format in ALL {
            let mut packed = encode(format, text.as_bytes());
            let middle = packed.len() / 2;
            packed[middle] ^= 0x55;
            // zstd's frames carry no checksum by default: damage may also show as other bytes.
            assert_ne!(decode(format, &packed).ok().as_deref(), Some(text.as_bytes()), "{format:?}");
        }
    }

    #[test]
    fn what_follows_the_last_member_is_told() {
        for format in ALL {
            let mut packed = encode(format, b"text\n");
            packed.extend(b"some garbage that is no member");
            assert!(decode(format, &packed).is_err(), "{format:?}");
        }
        let mut padded = encode(Format::Gzip, b"text\n");
        padded.extend([0; 1000]);
        assert_eq!(decode(Format::Gzip, &padded).unwrap(), b"text\n");
    }

    #[test]
    fn texts_are_not_taken_for_archives() {
        for text in ["", "B", "BZh9 is no archive", "BZh91AY", "(\u{b5}/", "7zXZ", "\u{1f}"] {
            assert_eq!(Format::of(text.as_bytes()), None);
        }
    }
}
