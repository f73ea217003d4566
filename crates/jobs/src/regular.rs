//! Reads regular files in as few calls to the kernel as there can be: with thousands of small ones they are what counts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FileType;

use crate::decode::HEAD_BYTES;
use crate::open::open;

/// An open regular file.
#[derive(Debug)]
pub struct Regular {
    file: File,
    /// Its length when it was opened or planned; 0 also for files of `/proc`, which have something to read for all that.
    bytes: u64,
    at: u64,
    is_at_end: bool,
    /// Whether it is known to be a regular file.
    is_checked: bool,
}

impl Regular {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or is not a regular file: opening a fifo would wait for a writer for ever.
    pub fn open(path: &Path) -> io::Result<Regular> {
        Regular::planned(open(path)?, 0)
    }

    /// One that was opened just now, and was a regular file of `bytes` bytes when it was planned. As long as it has them,
    /// nothing more is asked about it; only one that has become shorter, or had none, is looked at.
    ///
    /// # Errors
    /// When it is not a regular file, if it had no bytes. Else that is told when it is read.
    pub fn planned(file: File, bytes: u64) -> io::Result<Regular> {
        let mut regular = Regular { file, bytes, at: 0, is_at_end: false, is_checked: false };
        if bytes == 0 {
            regular.bytes = regular.check()?;
        }
        Ok(regular)
    }

    /// Its length, if it is a regular file.
    fn check(&mut self) -> io::Result<u64> {
        let stat = rustix::fs::fstat(&self.file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                self.is_checked = true;
                Ok(stat.st_size as u64)
            }
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::Error::other("not a regular file")),
        }
    }

    /// Reads on until there are enough bytes to tell a format from, or the file ends; returns how many.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_head(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < HEAD_BYTES.min(buffer.len()) {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(filled)
    }

    /// Where the next read begins.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes from there to the end that the file had when it was opened.
    pub fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.at)
    }

    /// The file itself, which is read at any place.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Goes to a place in the file.
    ///
    /// # Errors
    /// Those of lseek(2).
    pub fn seek(&mut self, at: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        (self.at, self.is_at_end) = (at, false);
        Ok(())
    }
}

impl Read for Regular {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end {
            return Ok(0);
        }
        // What has a length may have been read before, to some place, by a worker that died. Files of `/proc` have none, and
        // not all of them can be read at a place.
        let n = if self.bytes > 0 { self.file.read_at(buffer, self.at)? } else { self.file.read(buffer)? };
        if n == 0 && self.at < self.bytes && !self.is_checked && !buffer.is_empty() {
            self.check()?;
        }
        self.at += n as u64;
        // Less than was asked for, and as much as there should be: that was the end, and no further call need tell it.
        self.is_at_end = n < buffer.len() && self.at >= self.bytes && self.bytes > 0;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        for path in ["/", "/dev/null", "/no/such/file"] {
            assert!(Regular::open(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn files_are_read_to_their_end_from_wherever() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, 9, 10, 11, 100] {
            let text: Vec<u8> = (0..length).collect();
            std::fs::write(&path, &text).unwrap();
            let mut file = Regular::open(&path).unwrap();
            let mut head = [0; 64];
            let n = file.read_head(&mut head).unwrap();
            assert_eq!(&head[..n], &text[..text.len().min(64)]);
            let mut rest = Vec::new();
            file.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, text[n..]);
            file.seek(0).unwrap();
            rest.clear();
            file.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, text);
        }
    }

    #[test]
    fn what_was_read_before_is_read_from_its_start() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        let mut regular = Regular::planned(file, 4).unwrap();
        let mut text = String::new();
        regular.read_to_string(&mut text).unwrap();
        regular.seek(1).unwrap();
        regular.read_to_string(&mut text).unwrap();
        assert_eq!(text, "textext");
    }

    #[test]
    fn what_has_taken_a_planned_files_place_is_no_empty_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let shorter = folder.path().join("shorter");
        std::fs::write(&shorter, "text").unwrap();
        let read = |path: &Path| {
            let mut text = String::new();
            open(path)
                .and_then(|file| Regular::planned(file, 100))
                .and_then(|mut file| file.read_to_string(&mut text))
                .map(|_| text)
        };
        assert!(read(&fifo).is_err());
        assert!(read(Path::new("/dev/null")).is_err());
        assert!(read(Path::new("/")).is_err());
        assert_eq!(read(&shorter).unwrap(), "text");
    }

    #[test]
    fn files_without_a_length_have_something_to_read() {
        let mut text = String::new();
        Regular::open(Path::new("/proc/self/status")).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains("VmRSS"));
    }
}
