//! Memory that files are read into.

use std::ops::Range;

/// What addresses that reads land at are multiples of. read(2) copies a quarter slower to addresses that are not
/// multiples of 32 (measured on AMD EPYC, where the kernel copies with `rep movsb`), and a large `Vec` never begins at
/// one: the allocator's mapping begins with 16 bytes of its own.
const ALIGNMENT: usize = 64;

/// A buffer for reading so many bytes at once, which may keep bytes from one read to the next.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    step: usize,
}

impl Buffer {
    /// A buffer for reads of `step` bytes.
    pub fn new(step: usize) -> Buffer {
        // Some room for what is kept, so that short lines never make it grow.
        Buffer { bytes: vec![0; step + step / 8 + ALIGNMENT], step }
    }

    /// Bytes that one read asks for.
    pub fn step(&self) -> usize {
        self.step
    }

    /// All memory that it has by now, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Where a first read goes.
    pub fn front(&mut self) -> &mut [u8] {
        self.space(self.aligned(0))
    }

    /// The place of the `filled` bytes that a first read has left at the [`front`](Buffer::front).
    pub fn first(&self, filled: usize) -> Range<usize> {
        let begin = self.aligned(0);
        begin..begin + filled
    }

    /// The bytes of a place.
    pub fn get(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// Where a read behind what ends at `end` goes.
    pub fn space(&mut self, end: usize) -> &mut [u8] {
        &mut self.bytes[end..end + self.step]
    }

    /// Makes room for a read behind the bytes that are `kept`, which may move or enlarge the buffer; returns their new
    /// place. What it copies in all is in proportion to what is read.
    pub fn make_room(&mut self, kept: Range<usize>) -> Range<usize> {
        let has_room = kept.end + self.step <= self.bytes.len();
        let is_long = kept.len() > self.step / 16;
        if has_room && (is_long || self.aligned(kept.end) == kept.end) {
            return kept;
        }
        let end = self.aligned(kept.len());
        if end + self.step <= self.bytes.len() {
            let begin = end - kept.len();
            self.bytes.copy_within(kept, begin);
            return begin..end;
        }
        let larger = vec![0; 2 * kept.len() + self.step + ALIGNMENT];
        let smaller = std::mem::replace(&mut self.bytes, larger);
        let end = self.aligned(kept.len());
        let begin = end - kept.len();
        self.bytes[begin..end].copy_from_slice(&smaller[kept]);
        begin..end
    }

    /// The first aligned place at or behind `at`.
    fn aligned(&self, at: usize) -> usize {
        at + (self.bytes.as_ptr() as usize + at).wrapping_neg() % ALIGNMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_stays_and_room_is_aligned(
            step in 1_usize..300,
            reads in prop::collection::vec((0_usize..300, 0_usize..1000), 0..60),
        ) {
            let mut buffer = Buffer::new(step);
            let mut held = buffer.first(0);
            let mut expected = Vec::new();
            let mut next = 0_u8;
            for (read, dropped) in reads {
                held = buffer.make_room(held);
                prop_assert_eq!(buffer.get(held.clone()), &expected[..]);
                let space = buffer.space(held.end);
                prop_assert_eq!(space.len(), step);
                if expected.len() <= step / 16 {
                    prop_assert_eq!(space.as_ptr() as usize % ALIGNMENT, 0);
                }
                for byte in &mut space[..read.min(step)] {
                    *byte = next;
                    expected.push(next);
                    next = next.wrapping_add(1);
                }
                held.end += read.min(step);
                let dropped = dropped.min(held.len());
                held.start += dropped;
                expected.drain(..dropped);
            }
        }
    }
}
