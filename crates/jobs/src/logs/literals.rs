//! Searches a text for a few literals at once.
//!
//! Most places of a text are told apart from a literal by one byte that is rare there. Which one is, is not a matter of
//! languages but of the very text: a log in capitals has other rare bytes than one of addresses. So a sample of each
//! text chooses one byte of each literal, the **scouts**, and one pass of memchr looks for them. When the sample has
//! none that is rare, or it was misleading, each literal has a pass of memmem.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr3};

/// With more literals than this, one pass of the regex engine is faster than what is here.
pub const MAX_LITERALS: usize = 4;

/// Bytes of a text that choose its scouts.
const SAMPLE_BYTES: usize = 1 << 10;
/// A sample is at most this part of a text: counting its bytes takes time too.
const SAMPLE_PART: usize = 16;
/// Scouts that come more often than once in so many bytes take longer than memmem does.
const MIN_BYTES_PER_SCOUT: usize = 64;
/// So many vain scouts are nothing to go by.
const FREE_SCOUTS: usize = 64;

/// A few literals, none of them empty.
#[derive(Debug)]
pub struct Literals(Vec<Finder<'static>>);

impl Literals {
    /// The literals to search for; none if one is empty, or they are too many.
    pub fn new<'a>(literals: impl IntoIterator<Item = &'a [u8]>) -> Option<Literals> {
        let finders: Vec<_> = literals.into_iter().map(|literal| Finder::new(literal).into_owned()).collect();
        let is_usable = finders.len() <= MAX_LITERALS && finders.iter().all(|finder| !finder.needle().is_empty());
        is_usable.then_some(Literals(finders))
    }

    /// Begins a search in `text`.
    pub fn search<'a>(&'a self, text: &'a [u8]) -> LiteralSearch<'a> {
        LiteralSearch { text, literals: &self.0, scouts: Scouts::choose(&self.0, text), found: None }
    }
}

/// A search in one text, from its begin to its end.
#[derive(Debug)]
pub struct LiteralSearch<'a> {
    text: &'a [u8],
    literals: &'a [Finder<'static>],
    scouts: Option<Scouts>,
    /// Where each literal comes next, if they are searched one by one.
    found: Option<[usize; MAX_LITERALS]>,
}

impl LiteralSearch<'_> {
    /// A place in the first match that begins at `at` or later. `at` must not be smaller than before, and no match may
    /// have begun before it and reach beyond it.
    pub fn next(&mut self, at: usize) -> Option<usize> {
        if let Some(scouts) = &mut self.scouts {
            match scouts.next(self.text, self.literals, at) {
                Ok(place) => return place,
                Err(TooMany) => self.scouts = None,
            }
        }
        let find = |literal: &Finder, at| literal.find(&self.text[at..]).map_or(usize::MAX, |i| at + i);
        let is_first = self.found.is_none();
        let found = self.found.get_or_insert([0; MAX_LITERALS]);
        let mut nearest = usize::MAX;
        for (next, literal) in found.iter_mut().zip(self.literals) {
            if is_first || *next < at {
                *next = find(literal, at);
            }
            nearest = nearest.min(*next);
        }
        (nearest < usize::MAX).then_some(nearest)
    }
}

/// The scouts come too often.
struct TooMany;

/// One byte of each literal, which may be the same byte for some.
#[derive(Debug)]
struct Scouts {
    /// The different ones; some may be there twice.
    bytes: Bytes,
    /// For each literal its byte, and how many bytes of the literal come before it.
    of_literal: [(u8, usize); MAX_LITERALS],
    /// How many were no part of a literal.
    vain: usize,
}

/// What memchr can look for in one pass.
#[derive(Debug, Clone, Copy)]
enum Bytes {
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
}

impl Scouts {
    /// The bytes of the literals that are rarest in a sample of `text`, if they are rare.
    fn choose(literals: &[Finder], text: &[u8]) -> Option<Scouts> {
        let sample = &text[..SAMPLE_BYTES.min(text.len() / SAMPLE_PART)];
        let mut count = [0_usize; 256];
        for byte in sample {
            count[usize::from(*byte)] += 1;
        }
        let count = |byte: &u8| count[usize::from(*byte)];
        let (first, others) = literals.split_first()?;
        // Best is a byte that all have.
        let shared = first.needle().iter().filter(|byte| others.iter().all(|other| other.needle().contains(byte)));
        let mut chosen: Vec<u8> = match shared.min_by_key(|byte| count(byte)) {
            Some(byte) if count(byte) * MIN_BYTES_PER_SCOUT <= sample.len() => vec![*byte],
            _ => literals
                .iter()
                .filter_map(|literal| literal.needle().iter().min_by_key(|byte| count(byte)).copied())
                .collect(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.iter().map(count).sum::<usize>() * MIN_BYTES_PER_SCOUT > sample.len() {
            return None;
        }
        let bytes = match *chosen {
            [a] => Bytes::One(a),
            [a, b] => Bytes::Two(a, b),
            [a, b, c] => Bytes::Three(a, b, c),
            _ => return None,
        };
        let mut of_literal = [(0, 0); MAX_LITERALS];
        for (scout, literal) in of_literal.iter_mut().zip(literals) {
            // The first in the literal of any that was chosen: that is the one which the search comes by first.
            let before = literal.needle().iter().position(|byte| chosen.contains(byte))?;
            *scout = (literal.needle()[before], before);
        }
        Some(Scouts { bytes, of_literal, vain: 0 })
    }

    fn next(&mut self, text: &[u8], literals: &[Finder], at: usize) -> Result<Option<usize>, TooMany> {
        let mut from = at;
        loop {
            let rest = &text[from..];
            let found = match self.bytes {
                Bytes::One(a) => memchr(a, rest),
                Bytes::Two(a, b) => memchr2(a, b, rest),
                Bytes::Three(a, b, c) => memchr3(a, b, c, rest),
            };
            let Some(place) = found.map(|i| from + i) else {
                return Ok(None);
            };
            let is_match = literals.iter().zip(self.of_literal).any(|(literal, (byte, before))| {
                byte == text[place] && place >= at + before && text[place - before..].starts_with(literal.needle())
            });
            if is_match {
                return Ok(Some(place));
            }
            self.vain += 1;
            if self.vain > FREE_SCOUTS + place / MIN_BYTES_PER_SCOUT {
                return Err(TooMany);
            }
            from = place + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines in which something is found.
    fn lines_found(literals: &Literals, text: &[u8]) -> Vec<usize> {
        let mut search = literals.search(text);
        let (mut at, mut lines) = (0, Vec::new());
        while at < text.len()
            && let Some(place) = search.next(at)
        {
            assert!(place >= at);
            lines.push(text[..place].iter().filter(|byte| **byte == b'\n').count());
            at = memchr(b'\n', &text[place..]).map_or(text.len(), |i| place + i + 1);
        }
        lines
    }

    fn lines_found_slowly(literals: &[Vec<u8>], text: &[u8]) -> Vec<usize> {
        let has = |line: &[u8]| literals.iter().any(|literal| line.windows(literal.len()).any(|part| part == literal));
        text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| has(line)).map(|(n, _)| n).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// A text whose bytes change their frequency on the way: what the sample says is right, or wrong.
        #[test]
        fn finds_the_lines_that_have_a_literal(
            literals in prop::collection::vec(prop::collection::vec(b'a'..=b'f', 1..5), 1..=MAX_LITERALS),
            parts in prop::collection::vec((b'a'..=b'i', 0_usize..3000, 1_usize..40), 1..6),
            seed in any::<u64>(),
        ) {
            let mut random = seed | 1;
            let mut text = Vec::new();
            for (common, length, rarity) in parts {
                for _ in 0..length {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let rare = (random as usize).is_multiple_of(rarity);
                    text.push(if rare { b"abcdefghij\n"[(random >> 32) as usize % 11] } else { common });
                }
            }
            let search = Literals::new(literals.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(lines_found(&search, &text), lines_found_slowly(&literals, &text));
        }
    }

    #[test]
    fn scouts_are_what_is_rare_in_the_text() {
        let literals = Literals::new([&b"ERROR"[..], b"WARN"]).unwrap();
        let scouts = |line: &str| Scouts::choose(&literals.0, line.repeat(4000).as_bytes());
        assert!(matches!(scouts("all of it is small\n").unwrap().bytes, Bytes::One(b'R')));
        assert!(matches!(
            scouts("RRRRRRR\n").unwrap().bytes,
            Bytes::Two(b'A' | b'N' | b'W', b'E' | b'O') | Bytes::Two(b'E' | b'O', _)
        ));
        assert!(scouts("WARE NOW\n").is_none());
    }

    #[test]
    fn a_misleading_sample_ends_the_scouting() {
        let literals = Literals::new([&b"ERROR"[..]]).unwrap();
        let mut text = vec![b'-'; 1 << 20];
        text.extend(b"ROE\n".repeat(100_000));
        text.extend(b"an ERROR\n");
        let mut search = literals.search(&text);
        assert_eq!(search.next(0), Some(text.len() - 6));
        assert!(search.scouts.is_none());
    }

    #[test]
    fn too_many_or_empty_literals_are_refused() {
        assert!(Literals::new([&b""[..]]).is_none());
        assert!(Literals::new([&b"a"[..], b"b", b"c", b"d", b"e"]).is_none());
    }
}
