//! Goes over JSON text, checks all of it, and builds nothing.

use std::borrow::Cow;

use wide::u8x16;

use crate::data::Raw;

/// How deep arrays and objects may lie in each other.
pub const MAX_DEPTH: usize = 512;

/// Bytes looked at at once.
const STEP: usize = 16;

/// Where a text stops being JSON, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Offset in the text, in bytes.
    pub at: usize,
    /// What is wrong there.
    pub reason: Cow<'static, str>,
}

/// A place in a text of JSON. That it is UTF-8 is for others to check.
#[derive(Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Scanning returns boxes: what is returned for every value should be small.
impl From<Box<Fault>> for Fault {
    fn from(fault: Box<Fault>) -> Fault {
        *fault
    }
}

impl<'a> Scan<'a> {
    /// At the begin of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Scan<'a> {
        Scan { bytes, at: 0 }
    }

    /// The offset in the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from an offset up to here.
    pub fn since(&self, begin: usize) -> &'a [u8] {
        &self.bytes[begin..self.at]
    }

    /// The text from here on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Goes over so many bytes of [`Scan::rest`], and the white space behind them.
    #[inline]
    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
        self.space();
    }

    /// Goes over what stands before a member of an object, the first or another one; true if none follows and the object
    /// was closed.
    #[inline]
    pub(super) fn is_behind_members(&mut self, is_first: bool) -> Result<bool, Box<Fault>> {
        self.space();
        if self.take(b'}') {
            return Ok(true);
        }
        if !is_first {
            if !self.take(b',') {
                return Err(self.stop("expected `,` or `}`"));
            }
            self.space();
        }
        Ok(false)
    }

    /// The next byte, if there is one.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A fault at this place.
    #[cold]
    pub fn fault(&self, reason: &'static str) -> Fault {
        let reason = match self.peek() {
            None => "the text ends too early",
            Some(_) => reason,
        };
        Fault { at: self.at, reason: Cow::Borrowed(reason) }
    }

    /// The same, as scanning returns it.
    #[cold]
    pub(super) fn stop(&self, reason: &'static str) -> Box<Fault> {
        Box::new(self.fault(reason))
    }

    /// Goes over white space.
    #[inline]
    pub fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes over a byte if it is the next one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Goes over a value that lies in so many others.
    ///
    /// # Errors
    /// When it is none.
    #[inline]
    pub fn value(&mut self, depth: usize) -> Result<Raw<'a>, Box<Fault>> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(Raw::Number),
            Some(b'{' | b'[') => {
                let begin = self.at;
                self.nested(depth)?;
                Ok(Raw::Nested(self.since(begin)))
            }
            Some(b't') => self.word(b"true", Raw::Bool(true)),
            Some(b'f') => self.word(b"false", Raw::Bool(false)),
            Some(b'n') => self.word(b"null", Raw::Null),
            _ => Err(self.stop("expected a value")),
        }
    }

    /// Goes over a value that nobody wants, as [`Scan::value`].
    ///
    /// # Errors
    /// When it is none.
    #[inline]
    pub fn skip(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        match self.peek() {
            Some(b'"') => self.inside().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b'{' | b'[') => self.nested(depth),
            _ => self.value(depth).map(drop),
        }
    }

    fn word(&mut self, word: &[u8], value: Raw<'a>) -> Result<Raw<'a>, Box<Fault>> {
        match self.bytes[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => Err(Box::new(Fault { at: self.at, reason: "expected a value".into() })),
        }
    }

    /// Goes over a string: [`Raw::Text`] or [`Raw::Escaped`].
    ///
    /// # Errors
    /// When it is none.
    #[inline]
    pub fn string(&mut self) -> Result<Raw<'a>, Box<Fault>> {
        self.inside().map(|(text, has_escapes)| if has_escapes { Raw::Escaped(text) } else { Raw::Text(text) })
    }

    /// Goes over a string: what stands between the quotes, and whether there are escapes in it.
    #[inline(always)]
    fn inside(&mut self) -> Result<(&'a [u8], bool), Box<Fault>> {
        if !self.take(b'"') {
            return Err(self.stop("expected a string"));
        }
        let begin = self.at;
        self.plain();
        let has_escapes = self.peek() != Some(b'"');
        if has_escapes {
            self.escaped()?;
        }
        let text = self.since(begin);
        self.at += 1;
        Ok((text, has_escapes))
    }

    /// Goes on to the end of a string with escapes, or one that does not end.
    #[inline(never)]
    fn escaped(&mut self) -> Result<(), Box<Fault>> {
        loop {
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                _ => return Err(self.stop("a control character stands bare in a string")),
            }
            self.plain();
        }
    }

    /// Goes over what stands for itself in a string.
    #[inline(always)]
    fn plain(&mut self) {
        let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
        let mut at = self.at;
        while let Some(block) = self.bytes.get(at..at + STEP).and_then(|b| <[u8; STEP]>::try_from(b).ok()) {
            let block = u8x16::new(block);
            let stops = block.cmp_eq(quote) | block.cmp_eq(backslash) | block.min(control).cmp_eq(block);
            let stops = stops.move_mask();
            if stops != 0 {
                self.at = at + stops.trailing_zeros() as usize;
                return;
            }
            at += STEP;
        }
        while self.bytes.get(at).is_some_and(|byte| *byte != b'"' && *byte != b'\\' && *byte > 0x1f) {
            at += 1;
        }
        self.at = at;
    }

    fn escape(&mut self) -> Result<(), Box<Fault>> {
        let begin = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                // RFC 8259, section 8.2: what half a pair means is left open; it is no character.
                let is_whole = match unit {
                    0xd800..0xdc00 => {
                        self.take(b'\\') && self.peek() == Some(b'u') && (0xdc00..0xe000).contains(&self.unit()?)
                    }
                    0xdc00..0xe000 => false,
                    _ => true,
                };
                if !is_whole {
                    return Err(Box::new(Fault {
                        at: begin,
                        reason: "half of a surrogate pair is no character".into(),
                    }));
                }
            }
            _ => return Err(self.stop("unknown escape in a string")),
        }
        Ok(())
    }

    /// Goes over `u` and four digits.
    fn unit(&mut self) -> Result<u32, Box<Fault>> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.stop("expected four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Box<Fault>> {
        let begin = self.at;
        // Eight at a time, so that the length of a number costs no wrong guess.
        while let Some(block) = self.bytes.get(self.at..self.at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
            // A digit becomes 0 to 9. Then the highest bit of what is none is set by itself or by adding 118.
            let block = u64::from_le_bytes(block) ^ 0x3030_3030_3030_3030;
            let raised = (block & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676;
            let others = (raised | block) & 0x8080_8080_8080_8080;
            self.at += others.trailing_zeros() as usize / 8;
            if others != 0 {
                break;
            }
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == begin { Err(self.stop("expected a digit")) } else { Ok(()) }
    }

    /// Goes over a number.
    #[inline]
    fn number(&mut self) -> Result<&'a [u8], Box<Fault>> {
        let begin = self.at;
        self.take(b'-');
        if self.take(b'0') {
            if let Some(b'0'..=b'9') = self.peek() {
                return Err(self.stop("a number has no leading zeros"));
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(begin))
    }

    /// Goes over a name and the colon behind it: what stands between the quotes, and whether there are escapes in it.
    ///
    /// # Errors
    /// When that is not what is there.
    // Always inline: names are short, and a slice that is returned goes through memory.
    #[inline(always)]
    pub fn name(&mut self) -> Result<(&'a [u8], bool), Box<Fault>> {
        if self.peek() != Some(b'"') {
            return Err(self.stop("expected a name in quotes"));
        }
        let name = self.inside()?;
        self.space();
        if !self.take(b':') {
            return Err(self.stop("expected `:`"));
        }
        self.space();
        Ok(name)
    }

    /// Goes over an array or an object. Needs no stack, however deep it is.
    fn nested(&mut self, outer: usize) -> Result<(), Box<Fault>> {
        let mut open = Open::default();
        loop {
            // At a value.
            let is_empty = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if outer + open.depth >= MAX_DEPTH {
                        let reason = format!("arrays and objects lie in each other more than {MAX_DEPTH} deep");
                        return Err(Box::new(Fault { at: self.at, reason: reason.into() }));
                    }
                    self.at += 1;
                    open.push(bracket == b'{');
                    self.space();
                    self.peek() == Some(bracket + 2)
                }
                _ => {
                    self.skip(outer + open.depth)?;
                    self.space();
                    true
                }
            };
            if is_empty {
                // Behind a value, or at the end of an empty one.
                loop {
                    let close = if open.is_object() { b'}' } else { b']' };
                    if self.take(close) {
                        open.depth -= 1;
                        if open.depth == 0 {
                            return Ok(());
                        }
                        self.space();
                    } else if self.take(b',') {
                        self.space();
                        break;
                    } else {
                        return Err(self.stop(if open.is_object() {
                            "expected `,` or `}`"
                        } else {
                            "expected `,` or `]`"
                        }));
                    }
                }
            }
            if open.is_object() {
                self.name()?;
            }
        }
    }
}

/// Which of the open brackets are objects: a bit for each.
#[derive(Default)]
struct Open {
    depth: usize,
    is_object: [u64; MAX_DEPTH / 64],
}

impl Open {
    fn push(&mut self, is_object: bool) {
        let word = &mut self.is_object[self.depth / 64];
        let bit = 1 << (self.depth % 64);
        *word = if is_object { *word | bit } else { *word & !bit };
        self.depth += 1;
    }

    /// Of the innermost.
    fn is_object(&self) -> bool {
        let top = self.depth - 1;
        self.is_object[top / 64] >> (top % 64) & 1 == 1
    }
}

/// Whether a text is a number of JSON.
pub fn is_number(text: &[u8]) -> bool {
    let mut scan = Scan::new(text);
    matches!(text.first(), Some(b'-' | b'0'..=b'9')) && scan.number().is_ok() && scan.at == text.len()
}
