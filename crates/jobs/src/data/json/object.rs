//! Takes the fields that somebody wants out of an object, while all of it is checked.

use serde::{Deserialize, Serialize};

use super::scan::{Fault, MAX_DEPTH, Scan};
use super::shape::Shape;
use super::unescape;
use crate::data::{FieldPath, Raw};

/// The fields that are wanted of an object, and of the objects within it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    name: String,
    /// Where the value goes.
    slot: Option<usize>,
    within: Wanted,
}

impl Wanted {
    /// The fields at `paths`; the value of each goes to the slot of its number.
    ///
    /// # Errors
    /// The path that is deeper than objects may be.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p FieldPath>) -> Result<Wanted, &'p FieldPath> {
        let mut wanted = Wanted::default();
        for (slot, path) in paths.into_iter().enumerate() {
            if path.parts().len() >= MAX_DEPTH / 2 {
                return Err(path);
            }
            wanted.add(path.parts(), slot);
        }
        Ok(wanted)
    }

    fn add(&mut self, parts: &[String], slot: usize) {
        let Some((name, deeper)) = parts.split_first() else { return };
        let at = self.members.iter().position(|member| member.name == *name).unwrap_or_else(|| {
            self.members.push(Member { name: name.clone(), slot: None, within: Wanted::default() });
            self.members.len() - 1
        });
        match deeper {
            [] => self.members[at].slot = Some(slot),
            _ => self.members[at].within.add(deeper, slot),
        }
    }

    /// The place of a name; objects tend to have theirs in the order of the last one.
    #[inline]
    fn find(&self, name: &[u8], guess: usize) -> Option<usize> {
        let has_name = |at: usize| self.members.get(at).is_some_and(|m| m.name.as_bytes() == name);
        if has_name(guess) {
            return Some(guess);
        }
        (0..self.members.len()).find(|at| has_name(*at))
    }

    /// Empties the slots of all that is wanted in here.
    fn clear(&self, slots: &mut [Raw<'_>]) {
        for member in &self.members {
            if let Some(slot) = member.slot.and_then(|slot| slots.get_mut(slot)) {
                *slot = Raw::Null;
            }
            member.within.clear(slots);
        }
    }

    /// Goes over an object and puts what is wanted into `slots`, which are empty. Of a name that comes twice the last value
    /// counts. `shape` is that of the last object, read with the same `Wanted`, and then of this one. `unknown` is told the
    /// names in the outermost object that nobody wants.
    ///
    /// # Errors
    /// When it is no object.
    #[inline]
    pub fn read<'a>(
        &self,
        scan: &mut Scan<'a>,
        slots: &mut [Raw<'a>],
        shape: &mut Shape,
        unknown: &mut impl FnMut(&Raw<'a>),
    ) -> Result<(), Fault> {
        if !scan.take(b'{') {
            return Err(scan.fault("expected an object"));
        }
        let mut guess = 0;
        for n in 0.. {
            let rest = scan.rest();
            let (name, has_escapes, member) = match shape.find(n, rest) {
                Some(step) => {
                    let found = (step.name(rest), false, step.member.map(|member| member as usize));
                    scan.pass(step.len());
                    found
                }
                None => {
                    let begin = scan.at();
                    if scan.is_behind_members(n == 0)? {
                        return Ok(());
                    }
                    let quote = scan.at() - begin;
                    let (name, has_escapes) = scan.name()?;
                    let member = self.member(name, has_escapes, guess);
                    if !has_escapes {
                        shape.note(n, scan.since(begin), quote + 1..quote + 1 + name.len(), member);
                    }
                    (name, has_escapes, member)
                }
            };
            match member {
                None => {
                    unknown(&if has_escapes { Raw::Escaped(name) } else { Raw::Text(name) });
                    scan.skip(1)?;
                }
                Some(at) => {
                    guess = at + 1;
                    self.members[at].read(scan, slots, 1)?;
                }
            }
        }
        Ok(())
    }

    /// The place of a name as it stands in quotes.
    #[inline]
    fn member(&self, name: &[u8], has_escapes: bool, guess: usize) -> Option<usize> {
        if has_escapes { self.find(&unescape(name), guess) } else { self.find(name, guess) }
    }

    /// Goes over an object within others.
    fn object<'a>(&self, scan: &mut Scan<'a>, slots: &mut [Raw<'a>], depth: usize) -> Result<(), Box<Fault>> {
        if !scan.take(b'{') {
            return Err(scan.stop("expected an object"));
        }
        let mut guess = 0;
        for n in 0.. {
            if scan.is_behind_members(n == 0)? {
                return Ok(());
            }
            let (name, has_escapes) = scan.name()?;
            match self.member(name, has_escapes, guess) {
                None => scan.skip(depth + 1)?,
                Some(at) => {
                    guess = at + 1;
                    self.members[at].read(scan, slots, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

impl Member {
    fn read<'a>(&self, scan: &mut Scan<'a>, slots: &mut [Raw<'a>], depth: usize) -> Result<(), Box<Fault>> {
        self.within.clear(slots);
        let begin = scan.at();
        let value = if !self.within.members.is_empty() && scan.peek() == Some(b'{') {
            self.within.object(scan, slots, depth)?;
            Raw::Nested(scan.since(begin))
        } else {
            scan.value(depth)?
        };
        if let Some(slot) = self.slot.and_then(|slot| slots.get_mut(slot)) {
            *slot = value;
        }
        Ok(())
    }
}

/// The members of an object that was checked before: each name as it stands, quotes included, and the value.
pub fn members<'a>(object: &'a [u8], mut each: impl FnMut(&Raw<'a>, &'a [u8], Raw<'a>)) -> Result<(), Fault> {
    let mut scan = Scan::new(object);
    scan.take(b'{');
    scan.space();
    while scan.peek() == Some(b'"') {
        let begin = scan.at();
        let mut name_scan = Scan::new(&object[begin..]);
        let name = name_scan.string()?;
        let quoted = name_scan.since(0);
        scan.name()?;
        let value = scan.value(1)?;
        each(&name, quoted, value);
        scan.space();
        scan.take(b',');
        scan.space();
    }
    Ok(())
}
