//! What the last object looked like, to know the next one by: rows tend to have the same names in the same order, spelled in
//! the same way.

use std::ops::Range;

/// Bytes that are compared at once. What stands before a value is rarely longer; if it is, it is read as if it were new.
const STEP_BYTES: usize = 32;
/// Members of an object that are remembered.
const MAX_STEPS: usize = 1024;

/// What stood before each value of an object.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    steps: Vec<Step>,
}

/// From behind a value, or the brace of the object, to the begin of the next value: `,"name":`.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    text: [u128; 2],
    mask: [u128; 2],
    len: u8,
    /// Where the name stands in it, without its quotes.
    name: (u8, u8),
    /// Number of the member that is wanted of the name, if one is.
    pub member: Option<u32>,
}

impl Shape {
    /// The step of the value number `n` if `rest` begins with it.
    #[inline]
    pub fn find(&self, n: usize, rest: &[u8]) -> Option<&Step> {
        let step = self.steps.get(n)?;
        let [low, high] = halves(rest.get(..STEP_BYTES)?)?;
        (low & step.mask[0] == step.text[0] && high & step.mask[1] == step.text[1]).then_some(step)
    }

    /// Remembers what stood before value number `n`; `name` is where in it.
    pub fn note(&mut self, n: usize, text: &[u8], name: Range<usize>, member: Option<usize>) {
        self.steps.truncate(n);
        if n != self.steps.len() || n >= MAX_STEPS || text.len() > STEP_BYTES {
            return;
        }
        let (mut bytes, mut mask) = ([0; STEP_BYTES], [0; STEP_BYTES]);
        bytes[..text.len()].copy_from_slice(text);
        mask[..text.len()].fill(0xff);
        if let (Some(text_halves), Some(mask)) = (halves(&bytes), halves(&mask)) {
            // All fit: the text has at most 32 bytes, and there are fewer members than rows of CSV may have columns.
            let (len, name) = (text.len() as u8, (name.start as u8, name.end as u8));
            let member = member.and_then(|member| u32::try_from(member).ok());
            self.steps.push(Step { text: text_halves, mask, len, name, member });
        }
    }
}

impl Step {
    /// How many bytes it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// The name, in a text that begins with the step.
    #[inline]
    pub fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(usize::from(self.name.0)..usize::from(self.name.1)).unwrap_or_default()
    }
}

#[inline]
fn halves(bytes: &[u8]) -> Option<[u128; 2]> {
    let (low, high) = bytes.split_at_checked(STEP_BYTES / 2)?;
    Some([u128::from_ne_bytes(low.try_into().ok()?), u128::from_ne_bytes(high.try_into().ok()?)])
}
