//! Reads what only this process can read (standard input, fifos) into blocks of whole lines, each a task.
//!
//! Compressed bytes are not decoded here: a decoder belongs into a worker. They are put into a temporary file instead.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memrchr;

use super::blocks::{MAX_LINE_BYTES, too_long};
use crate::decode::{Format, HEAD_BYTES};
use crate::output::Scratch;

/// Bytes read before a block is cut at its last line end.
pub const BLOCK_BYTES: usize = 1 << 20;

/// An open stream.
#[derive(Debug)]
pub enum Stream {
    /// Plain bytes.
    Plain(Blocks<io::Take<File>>),
    /// Compressed bytes, all put into a file of so many bytes.
    Spooled(PathBuf, u64),
}

impl Stream {
    /// Opens a stream, which may wait for its writer, and reads its first bytes. Compressed streams are read to their
    /// end, into a file named `number` in the spool.
    ///
    /// # Errors
    /// When the stream cannot be read, or the file cannot be written.
    pub fn open(path: &Path, spool: &Spool, number: usize) -> io::Result<Stream> {
        let mut source = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        let mut head = Vec::new();
        (&source).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if Format::of(&head).is_none() {
            // A terminal's end of input is told once: what ended in its head is not read again.
            let limit = if head.len() < HEAD_BYTES { 0 } else { u64::MAX };
            return Ok(Stream::Plain(Blocks::new(source.take(limit), head, BLOCK_BYTES)));
        }
        let target = spool.folder()?.join(number.to_string());
        let copied = File::create_new(&target).and_then(|mut file| {
            file.write_all(&head)?;
            io::copy(&mut source, &mut file)
        });
        match copied {
            Ok(copied) => Ok(Stream::Spooled(target, head.len() as u64 + copied)),
            Err(cause) => Err(about(&format!("cannot copy it to `{}`", target.display()), &cause)),
        }
    }
}

/// The error with what it is about; a bare "permission denied" would seem to be the stream's.
fn about(what: &str, cause: &io::Error) -> io::Error {
    io::Error::other(format!("{what}: {cause}"))
}

/// The temporary folder for compressed streams. It is removed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Spool(Arc<io::Result<Scratch>>);

impl Spool {
    /// A new folder. That it cannot be made matters only to compressed streams, so it is told by [`Spool::folder`].
    pub fn new() -> Spool {
        Spool(Arc::new(Scratch::new()))
    }

    /// Where it is.
    ///
    /// # Errors
    /// When it could not be made.
    pub fn folder(&self) -> io::Result<&Path> {
        match &*self.0 {
            Ok(folder) => Ok(folder.path()),
            Err(cause) => Err(about("cannot make a temporary folder for its compressed bytes", cause)),
        }
    }
}

/// Blocks of whole lines, read while they are pulled. The last one is marked; it may be empty.
#[derive(Debug)]
pub struct Blocks<R> {
    source: R,
    /// The begin of a line whose end is not read yet.
    kept: Vec<u8>,
    offset: u64,
    block_bytes: usize,
    is_done: bool,
}

/// Whole lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The lines.
    pub text: Vec<u8>,
    /// Where they begin in the stream.
    pub offset: u64,
    /// Nothing follows.
    pub is_last: bool,
}

impl<R: Read> Blocks<R> {
    /// Blocks of `head` and then `source`, of about `block_bytes` if the lines are not longer.
    pub fn new(source: R, head: Vec<u8>, block_bytes: usize) -> Blocks<R> {
        Blocks { source, kept: head, offset: 0, block_bytes, is_done: false }
    }

    fn read(&mut self) -> io::Result<Block> {
        // What is kept was no whole line. That is not known of the stream's head, but it is short.
        let mut text = Vec::with_capacity(self.kept.len() + self.block_bytes);
        text.append(&mut self.kept);
        let mut searched = if self.offset == 0 { 0 } else { text.len() };
        loop {
            let n = self.source.by_ref().take(self.block_bytes as u64).read_to_end(&mut text)?;
            let is_last = n < self.block_bytes;
            let cut = memrchr(b'\n', &text[searched..]).map(|i| searched + i + 1);
            if is_last || cut.is_some() {
                if let (false, Some(cut)) = (is_last, cut) {
                    self.kept = text.split_off(cut);
                }
                let offset = self.offset;
                self.offset += text.len() as u64;
                return Ok(Block { text, offset, is_last });
            }
            searched = text.len();
            if searched > MAX_LINE_BYTES {
                return Err(too_long());
            }
        }
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<io::Result<Block>> {
        if self.is_done {
            return None;
        }
        let block = self.read();
        self.is_done = block.as_ref().map_or(true, |block| block.is_last);
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn blocks_are_whole_lines_and_all_of_them(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..200),
            head in 0_usize..12,
            block_bytes in 1_usize..30,
        ) {
            let head = head.min(text.len());
            let blocks: Vec<Block> =
                Blocks::new(&text[head..], text[..head].to_vec(), block_bytes).collect::<io::Result<_>>().unwrap();
            let mut all = Vec::new();
            for (number, block) in blocks.iter().enumerate() {
                prop_assert_eq!(block.offset, all.len() as u64);
                prop_assert_eq!(block.is_last, number + 1 == blocks.len());
                prop_assert!(block.is_last || block.text.ends_with(b"\n"));
                all.extend_from_slice(&block.text);
            }
            prop_assert_eq!(all, text);
        }
    }

    #[test]
    fn a_failed_read_ends_the_blocks() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut blocks = Blocks::new(Broken, Vec::new(), 10);
        assert!(blocks.next().is_some_and(|block| block.is_err()));
        assert!(blocks.next().is_none());
    }
}
