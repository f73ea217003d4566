//! Finds where the elements of an array end, faster than they can be read.
//!
//! What is found is a guess at bytes that may be no JSON at all. It need not be right: parts that are whole elements, each
//! with its comma, make a whole array, and whoever reads them checks that.

use wide::u8x16;

const BLOCK: usize = 64;

/// A place in a text that should be an array.
#[derive(Debug, Clone, Default)]
pub struct ArrayBorders {
    depth: i64,
    is_in_string: bool,
    is_escaped: bool,
}

impl ArrayBorders {
    /// Goes on over `bytes` up to behind the first comma between two elements that ends at or behind `from`; over all of
    /// them if there is none.
    pub fn find(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let (blocks, _) = bytes[..from.min(bytes.len())].as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block);
        }
        let searched = blocks.len() * BLOCK;
        let mut at = searched;
        loop {
            at += bytes[at..].iter().position(|byte| self.byte(*byte))? + 1;
            // A border before `from` may lie in what is left of its block.
            if at >= from {
                break;
            }
        }
        Some(at)
    }

    /// Goes over a byte; whether it is a comma between elements.
    fn byte(&mut self, byte: u8) -> bool {
        if self.is_in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.is_in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            b',' => return self.depth == 1,
            _ => {}
        }
        false
    }

    /// Goes over a block, a bit for each byte (Langdale and Lemire, Parsing Gigabytes of JSON per Second, section 3.1).
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) {
        let [mut quotes, mut backslashes, mut opening, mut closing] = [0_u64; 4];
        for (n, part) in block.as_chunks::<16>().0.iter().enumerate() {
            let part = u8x16::new(*part);
            // `[` and `{`, `]` and `}` differ in one bit.
            let bracket = part | u8x16::splat(0x20);
            let mask = |bytes: u8x16, byte: u8| (bytes.cmp_eq(u8x16::splat(byte)).move_mask() as u64) << (16 * n);
            quotes |= mask(part, b'"');
            backslashes |= mask(part, b'\\');
            opening |= mask(bracket, b'{');
            closing |= mask(bracket, b'}');
        }
        // Outside of strings there are no backslashes in what is JSON.
        let mut escaped = u64::from(self.is_escaped);
        self.is_escaped = false;
        let mut left = backslashes & !escaped;
        while left != 0 {
            let at = left.trailing_zeros();
            if at == 63 {
                self.is_escaped = true;
                break;
            }
            escaped |= 2 << at;
            left &= !(3 << at);
        }
        let mut inside = quotes & !escaped;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        if self.is_in_string {
            inside = !inside;
        }
        self.is_in_string = inside >> 63 == 1;
        self.is_escaped &= self.is_in_string;
        self.depth += i64::from((opening & !inside).count_ones()) - i64::from((closing & !inside).count_ones());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Texts of what matters here, in any order.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => Just("a"), 2 => Just("\"\""), 1 => Just("\"\\\"\""), 1 => Just("\"\\\\\""), 1 => Just("\"[,{\""),
            2 => Just(","), 1 => Just("["), 1 => Just("]"), 1 => Just("{}"), 1 => Just("[1,2]"),
        ];
        prop::collection::vec(part, 0..200).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn borders_are_those_of_the_slow_way(text in texts(), from in 0_usize..300, cut in 0_usize..300) {
            let text = [b"[", &text[..]].concat();
            let mut slow = ArrayBorders::default();
            let expected = (0..text.len()).filter(|at| slow.byte(text[*at])).map(|at| at + 1).find(|at| *at >= from);
            prop_assert_eq!(ArrayBorders::default().find(&text, from), expected);
            // In two goes.
            let (first, second) = text.split_at(cut.min(text.len()));
            let mut borders = ArrayBorders::default();
            let found = borders.find(first, from).or_else(|| {
                borders.find(second, from.saturating_sub(first.len())).map(|at| at + first.len())
            });
            prop_assert_eq!(found, expected);
        }
    }
}
