//! Reads the whole lines of a file, or of a byte range of it, through one reused buffer.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use crate::buffer::Buffer;

/// Bytes asked for at once: few calls, and what is read is still in the CPU's cache when it is searched.
pub const READ_BYTES: usize = 256 << 10;

/// The longest line that is taken. One without an end (a disk image, a bomb of zeros) must not take all memory.
pub const MAX_LINE_BYTES: usize = 1 << 30;

/// What to say of a longer one.
pub fn too_long() -> io::Error {
    io::Error::other(format!("a line is longer than {} MiB, so this is hardly a text", MAX_LINE_BYTES >> 20))
}

/// The lines that *begin* at or after `start` and before `end`. A line belongs to one range only, so ranges that touch
/// neither miss nor repeat one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// First byte of the range.
    pub start: u64,
    /// First byte behind the range; none for all that is there.
    pub end: Option<u64>,
}

impl Lines {
    /// All lines.
    pub const ALL: Lines = Lines { start: 0, end: None };

    /// Where reading has to begin: the byte before `start` tells whether a line begins there.
    pub fn read_from(self) -> u64 {
        self.start.saturating_sub(1)
    }

    /// Reads on with `reader`, which stands at [`Lines::read_from`], and calls `each` with blocks of whole lines and the
    /// offset of each block. Only the last line of the last block may lack its line feed. The buffer grows with the
    /// longest line.
    ///
    /// # Errors
    /// Those of `reader`, a line that is too long, and a range that is not there.
    pub fn read(self, reader: &mut impl Read, buffer: &mut Buffer, each: impl FnMut(&[u8], u64)) -> io::Result<()> {
        self.read_on(0, reader, buffer, each)
    }

    /// As [`Lines::read`], when the first `filled` bytes are at the buffer's front already.
    ///
    /// # Errors
    /// As [`Lines::read`].
    pub fn read_on(
        self,
        filled: usize,
        reader: &mut impl Read,
        buffer: &mut Buffer,
        mut each: impl FnMut(&[u8], u64),
    ) -> io::Result<()> {
        let is_past = |offset: u64| self.end.is_some_and(|end| offset >= end);
        // What is held of the file, its offset, and how much at its begin was searched already and has no line feed.
        let mut held = buffer.first(filled);
        let mut at = self.read_from();
        let mut searched = 0;
        let mut is_skipping = self.start > 0;
        if is_past(self.start) {
            return Ok(());
        }
        loop {
            if held.len() == searched {
                if searched >= MAX_LINE_BYTES {
                    return Err(too_long());
                }
                held = buffer.make_room(held);
                held.end += match reader.read(buffer.space(held.end)) {
                    Ok(n) => n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
            }
            let text = buffer.get(held.clone());
            if text.len() == searched {
                if at + (text.len() as u64) < self.end.unwrap_or(self.start) {
                    return Err(io::Error::other("it became shorter in the meantime"));
                }
                if !text.is_empty() {
                    each(text, at);
                }
                return Ok(());
            }
            let mut begin = 0;
            if is_skipping {
                match memchr(b'\n', text) {
                    Some(i) => {
                        is_skipping = false;
                        begin = i + 1;
                    }
                    None => begin = text.len(),
                }
                if is_past(at + begin as u64) {
                    return Ok(());
                }
            }
            let fresh = searched.max(begin);
            // The last line of the range is the one with the range's last byte.
            if let Some(end) = self.end
                && at + text.len() as u64 >= end
            {
                let last = usize::try_from((end - 1).saturating_sub(at)).unwrap_or(usize::MAX).clamp(fresh, text.len());
                if let Some(i) = memchr(b'\n', &text[last..]) {
                    each(&text[begin..=last + i], at + begin as u64);
                    return Ok(());
                }
            }
            let cut = memrchr(b'\n', &text[fresh..]).map_or(begin, |i| fresh + i + 1);
            if cut > begin {
                each(&text[begin..cut], at + begin as u64);
            }
            held.start += cut;
            searched = held.len();
            at += cut as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// A reader that gives at most so many bytes at once.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buffer.len()).min(self.1);
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// All bytes that `lines` gives, after checking that they come in whole lines from where they are said to be.
    fn collect(lines: Lines, text: &[u8], buffer: usize, step: usize) -> Vec<u8> {
        let from = usize::try_from(lines.read_from()).unwrap().min(text.len());
        let mut all = Vec::new();
        lines
            .read(&mut Trickle(&text[from..], step), &mut Buffer::new(buffer), |block, offset| {
                let offset = usize::try_from(offset).unwrap();
                assert_eq!(&text[offset..offset + block.len()], block);
                assert!(offset == 0 || text[offset - 1] == b'\n');
                assert!(block.ends_with(b"\n") || offset + block.len() == text.len());
                all.extend_from_slice(block);
            })
            .unwrap();
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn ranges_share_the_lines_out(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b')], 0..80),
            cuts in prop::collection::vec(0_u64..90, 0..6),
            buffer in 1_usize..40,
            step in 1_usize..40,
        ) {
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(text.len() as u64)).collect();
            cuts.sort_unstable();
            let mut start = 0;
            let mut all = Vec::new();
            for cut in cuts {
                let part = collect(Lines { start, end: Some(cut) }, &text, buffer, step);
                // The lines that begin in the range, found the slow way.
                let begins = |at: &usize| *at == 0 || text[*at - 1] == b'\n';
                let begun = (start..cut).filter(|at| (*at as usize) < text.len()).filter(|at| begins(&(*at as usize))).count();
                let whole = memchr::memchr_iter(b'\n', &part).count() + usize::from(part.last().is_some_and(|last| *last != b'\n'));
                prop_assert_eq!(whole, begun);
                all.extend(part);
                start = cut;
            }
            all.extend(collect(Lines { start, end: None }, &text, buffer, step));
            prop_assert_eq!(all, text);
        }
    }

    #[test]
    fn a_range_that_is_not_there_is_an_error() {
        let text = b"one\ntwo\n";
        for (start, end, is_there) in [
            (0, Some(8), true),
            (4, Some(8), true),
            (4, None, true),
            (8, None, true),
            (0, Some(9), false),
            (9, None, false),
        ] {
            let lines = Lines { start, end };
            let mut reader = Cursor::new(&text[..]);
            reader.set_position(lines.read_from());
            let read = lines.read(&mut reader, &mut Buffer::new(64), |_, _| {});
            assert_eq!(read.is_ok(), is_there, "{lines:?}");
        }
    }

    #[test]
    fn a_line_may_be_longer_than_the_buffer() {
        let mut text = vec![b'x'; 20 << 20];
        text.extend(b"\nshort\n");
        let mut lengths = Vec::new();
        Lines::ALL
            .read(&mut Cursor::new(&text), &mut Buffer::new(READ_BYTES), |block, _| lengths.push(block.len()))
            .unwrap();
        assert_eq!(lengths.iter().sum::<usize>(), text.len());
        // A range inside the line has no line of its own, and stops at its end.
        let inside = Lines { start: 1 << 20, end: Some(2 << 20) };
        let mut reader = Cursor::new(&text);
        reader.set_position(inside.read_from());
        inside.read(&mut reader, &mut Buffer::new(READ_BYTES), |_, _| panic!("a line")).unwrap();
        assert!(reader.position() < 3 << 20);
    }
}
