//! Reads files and hashes them on the way.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use blake3::hazmat::{ChainingValue, HasherExt};

use crate::stamp::Stamp;

use super::algorithm::Algorithm;
use super::buffer::with_buffer;
use super::digest::Digest;
use super::hasher::Hasher;
use super::problem::Problem;
use super::split::Piece;

/// Hashes a stream to its end.
pub fn stream(mut input: impl Read, algorithm: Algorithm) -> io::Result<(u64, Digest)> {
    with_buffer(u64::MAX, |buffer| {
        let mut hasher = Hasher::new(algorithm);
        let mut bytes = 0;
        loop {
            match retry(|| input.read(buffer))? {
                0 => return Ok((bytes, hasher.finish())),
                read => {
                    hasher.update(&buffer[..read]);
                    bytes += read as u64;
                }
            }
        }
    })
}

/// Hashes a file that had this length when it was planned; how many bytes it has, and their digest.
pub fn file(mut file: &File, algorithm: Algorithm, planned_bytes: u64) -> Result<(u64, Digest), Problem> {
    with_buffer(planned_bytes, |buffer| {
        let mut hasher = Hasher::new(algorithm);
        let mut bytes = 0;
        loop {
            // What has a length may have been read before, to some place, by a worker that died.
            let read = match planned_bytes {
                0 => retry(|| file.read(buffer)),
                _ => retry(|| file.read_at(buffer, bytes)),
            };
            match read? {
                // A fifo or a device that took the place of an empty file has nothing to read either.
                0 if planned_bytes == 0 && !file.metadata()?.is_file() => return Err(Problem::Changed),
                0 if bytes == planned_bytes || planned_bytes == 0 => return Ok((bytes, hasher.finish())),
                0 => return Err(Problem::Changed),
                read => {
                    bytes += read as u64;
                    // Files of /proc have a length of 0 and yet something to read; a file that grew has not.
                    if bytes > planned_bytes && (planned_bytes > 0 || file.metadata()?.len() > 0) {
                        return Err(Problem::Changed);
                    }
                    hasher.update(&buffer[..read]);
                    // Less than was asked for is the end, and no further call need tell it.
                    if bytes == planned_bytes && read < buffer.len() {
                        return Ok((bytes, hasher.finish()));
                    }
                }
            }
        }
    })
}

/// Hashes one subtree of a file, for BLAKE3. The file must be as it was planned before and after.
pub fn piece(file: &File, piece: Piece, stamp: Stamp) -> Result<ChainingValue, Problem> {
    let unchanged = || match Stamp::of(&file.metadata()?) == stamp {
        true => Ok(()),
        false => Err(Problem::Changed),
    };
    unchanged()?;
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(piece.offset);
    with_buffer(piece.bytes, |buffer| {
        let mut done = 0;
        while done < piece.bytes {
            let wanted = buffer.len().min(usize::try_from(piece.bytes - done).unwrap_or(usize::MAX));
            match retry(|| file.read_at(&mut buffer[..wanted], piece.offset + done))? {
                0 => return Err(Problem::Changed),
                read => {
                    hasher.update(&buffer[..read]);
                    done += read as u64;
                }
            }
        }
        Ok(())
    })?;
    unchanged()?;
    Ok(hasher.finalize_non_root())
}

/// Reads again when a signal came in between.
fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom};

    #[test]
    fn what_was_read_before_is_hashed_from_its_start() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let mut opened = File::open(&path).unwrap();
        let whole = file(&opened, Algorithm::Sha256, 4).unwrap();
        opened.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(file(&opened, Algorithm::Sha256, 4).unwrap(), whole);
        assert_eq!(whole, stream(File::open(&path).unwrap(), Algorithm::Sha256).unwrap());
        assert!(matches!(file(&opened, Algorithm::Sha256, 3), Err(Problem::Changed)));
        assert!(matches!(file(&opened, Algorithm::Sha256, 5), Err(Problem::Changed)));
    }
}
