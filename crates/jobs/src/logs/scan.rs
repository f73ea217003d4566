//! What is counted in a number of whole lines.

use std::io;

use serde::{Deserialize, Serialize};

use super::first::{Room, bytes_each};
use super::matcher::{Cache, Matcher, count_lines};
use super::sift::{Sift, Tally};

/// How much of a sample line is kept.
const SAMPLE_CHARS: usize = 500;

/// A line that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of the pattern.
    pub pattern: usize,
    /// Where the line begins in the input; in the decoded bytes if the input is compressed.
    pub offset: u64,
    /// The line without its line feed, cut to 500 characters, with U+FFFD for what is not UTF-8.
    pub line: String,
}

/// Counts of one part of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All lines; 0 if they are not asked for.
    pub lines: u64,
    /// The lines that match each pattern.
    pub matches: Vec<u64>,
    /// The first matching lines of each pattern, in order for each pattern.
    pub samples: Vec<Sample>,
}

/// Adds up the counts of one block after the other.
#[derive(Debug)]
pub struct Scan<'a> {
    counts_lines: bool,
    /// Chooses the lines in which patterns are searched; none for all of them.
    sift: Option<Sift<'a>>,
    search: Search<'a>,
}

/// The patterns' counts.
#[derive(Debug)]
struct Search<'a> {
    matchers: &'a [Matcher],
    caches: &'a mut [Cache],
    /// How many more samples each pattern wants.
    rooms: Vec<Room>,
    counts: Counts,
}

impl<'a> Scan<'a> {
    /// A scan that has seen nothing; `caches` are those of `matchers`, and `show` is the number of samples per pattern.
    pub fn new(
        matchers: &'a [Matcher],
        caches: &'a mut [Cache],
        sift: Option<Sift<'a>>,
        counts_lines: bool,
        show: usize,
    ) -> Scan<'a> {
        let rooms = vec![Room::new(show, bytes_each(matchers.len())); matchers.len()];
        let counts = Counts { matches: vec![0; matchers.len()], ..Counts::default() };
        Scan { counts_lines, sift, search: Search { matchers, caches, rooms, counts } }
    }

    /// Counts `text`, which is whole lines and begins at `offset`.
    pub fn add(&mut self, text: &[u8], offset: u64) {
        match &mut self.sift {
            None => {
                if self.counts_lines {
                    self.search.counts.lines += count_lines(text);
                }
                self.search.add(text, offset);
            }
            Some(sift) => sift.add(text, offset, |text, offset| self.search.add(text, offset)),
        }
    }

    /// What was counted, and what was found in fields if they are read.
    ///
    /// # Errors
    /// When a task may not return so much.
    pub fn finish(self) -> io::Result<(Counts, Option<Tally>)> {
        let (mut counts, tally) = (self.search.counts, self.sift.map(Sift::finish).transpose()?);
        if let Some(tally) = tally.as_ref().filter(|_| self.counts_lines) {
            counts.lines = tally.lines;
        }
        Ok((counts, tally))
    }
}

impl Search<'_> {
    fn add(&mut self, text: &[u8], offset: u64) {
        // One pattern after the other: the block stays in the cache, and each search keeps its own best strategy.
        for (pattern, (matcher, cache)) in self.matchers.iter().zip(self.caches.iter_mut()).enumerate() {
            let room = &mut self.rooms[pattern];
            let samples = &mut self.counts.samples;
            self.counts.matches[pattern] += matcher.count(cache, text, room.is_open(), |begin, end| {
                let line = cut(&text[begin..end]);
                room.take(line.len());
                samples.push(Sample { pattern, offset: offset + begin as u64, line });
                room.is_open()
            });
        }
    }
}

/// The first characters of a line.
pub fn cut(line: &[u8]) -> String {
    // No character has more than 4 bytes, so this many bytes have enough of them, and one cut apart is not among them.
    let bytes = &line[..line.len().min(SAMPLE_CHARS * 4)];
    String::from_utf8_lossy(bytes).chars().take(SAMPLE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_cut_at_characters() {
        assert_eq!(cut(b"a\xff"), "a\u{fffd}");
        assert_eq!(cut("\u{1f980}".repeat(600).as_bytes()), "\u{1f980}".repeat(500));
        assert_eq!(cut("x\u{1f980}".repeat(600).as_bytes()).chars().count(), 500);
    }

    #[test]
    fn blocks_add_up_and_samples_end_when_there_are_enough() {
        let matchers = [Matcher::new("a").unwrap(), Matcher::new("").unwrap()];
        let mut caches: Vec<Cache> = matchers.iter().map(Matcher::create_cache).collect();
        let mut scan = Scan::new(&matchers, &mut caches, None, true, 3);
        scan.add(b"a\nb\na\n", 0);
        scan.add(b"a\na\n\nb", 6);
        let (counts, _) = scan.finish().unwrap();
        assert_eq!((counts.lines, counts.matches.as_slice()), (7, [4, 7].as_slice()));
        let offsets = |pattern| -> Vec<u64> {
            counts.samples.iter().filter(|sample| sample.pattern == pattern).map(|sample| sample.offset).collect()
        };
        assert_eq!(offsets(0), [0, 4, 6]);
        assert_eq!(offsets(1), [0, 2, 4]);
    }
}
