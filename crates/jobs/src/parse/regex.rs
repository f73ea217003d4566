//! Lines in which a regex is found: its named groups are the fields.

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::ast;
use regex_syntax::hir::translate::TranslatorBuilder;
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::Reason;
use super::names::flat;
use super::value::{number_or_text, put};
use crate::data::{FieldPath, Raw};

/// So many places fit on the stack: two for the match, two for each group.
const PLACES: usize = 32;

/// A regex that was read, and not yet compiled.
#[derive(Debug)]
pub struct LineRegex {
    hir: Hir,
    /// Of its groups that have one.
    pub names: Vec<String>,
}

impl LineRegex {
    /// Reads a regex.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(regex: &str) -> Result<LineRegex, String> {
        let at = |place: &ast::Position| format!("at character {}", regex[..place.offset].chars().count() + 1);
        let syntax = ast::parse::Parser::new()
            .parse(regex)
            .map_err(|cause| format!("{} {} of the regex", cause.kind(), at(&cause.span().start)))?;
        let hir = TranslatorBuilder::new()
            .utf8(false)
            .build()
            .translate(regex, &syntax)
            .map_err(|cause| format!("{} {} of the regex", cause.kind(), at(&cause.span().start)))?;
        let mut names = Vec::new();
        let hir = with_groups(hir, &mut |name| {
            names.push(name.to_string());
            true
        });
        Ok(LineRegex { hir, names })
    }
}

/// Reads lines in which a regex is found.
#[derive(Debug)]
pub struct RegexLines {
    regex: Regex,
    /// The slots of each group.
    slots: Vec<Vec<usize>>,
}

impl RegexLines {
    /// Takes the groups that are named at `paths`, each to the slot of its number. All others are not even captured.
    ///
    /// # Errors
    /// When the regex is too large.
    pub fn new(regex: LineRegex, paths: &[FieldPath]) -> Result<RegexLines, String> {
        let mut slots = Vec::new();
        let hir = with_groups(regex.hir, &mut |name| {
            let wanted = paths.iter().enumerate().filter(|(_, path)| flat(path) == name).map(|(slot, _)| slot);
            let wanted: Vec<usize> = wanted.collect();
            let is_wanted = !wanted.is_empty();
            slots.extend(is_wanted.then_some(wanted));
            is_wanted
        });
        let regex = Regex::builder().configure(Config::new().utf8_empty(false)).build_from_hir(&hir);
        let regex = regex.map_err(|cause| match cause.size_limit() {
            Some(limit) => format!("the regex is larger than {} MiB when compiled", limit >> 20),
            None => cause.to_string(),
        })?;
        Ok(RegexLines { regex, slots })
    }

    /// Reads a line into `slots`, which are empty.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>]) -> Result<(), Reason> {
        let count = 2 * (self.slots.len() + 1);
        let (mut few, mut many) = ([None; PLACES], Vec::new());
        let places = match few.get_mut(..count) {
            Some(places) => places,
            None => {
                many.resize(count, None);
                &mut many[..]
            }
        };
        if !self.find(line, places) {
            return Err("the regex is not found in it".into());
        }
        for (group, span) in self.slots.iter().zip(places[2..].chunks_exact(2)) {
            if let [Some(begin), Some(end)] = span
                && let Some(text) = line.get(begin.get()..end.get())
            {
                group.iter().for_each(|slot| put(slots, *slot, number_or_text(text)));
            }
        }
        Ok(())
    }

    /// Finds the first match, and its groups if there are any.
    fn find(&self, line: &[u8], places: &mut [Option<NonMaxUsize>]) -> bool {
        match self.slots.is_empty() {
            true => self.regex.is_match(line),
            false => self.regex.search_slots(&Input::new(line), places).is_some(),
        }
    }
}

/// The same with those groups only whose name is `wanted`, numbered anew. The depth of what is parsed is bounded.
fn with_groups(hir: Hir, wanted: &mut impl FnMut(&str) -> bool) -> Hir {
    fn walk(hir: Hir, count: &mut u32, wanted: &mut impl FnMut(&str) -> bool) -> Hir {
        match hir.into_kind() {
            HirKind::Empty => Hir::empty(),
            HirKind::Literal(literal) => Hir::literal(literal.0),
            HirKind::Class(class) => Hir::class(class),
            HirKind::Look(look) => Hir::look(look),
            HirKind::Repetition(repetition) => {
                let sub = Box::new(walk(*repetition.sub, count, wanted));
                Hir::repetition(Repetition { sub, ..repetition })
            }
            HirKind::Capture(Capture { name: Some(name), sub, .. }) if wanted(&name) => {
                *count += 1;
                let index = *count;
                Hir::capture(Capture { index, name: Some(name), sub: Box::new(walk(*sub, count, wanted)) })
            }
            HirKind::Capture(capture) => walk(*capture.sub, count, wanted),
            HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(|part| walk(part, count, wanted)).collect()),
            HirKind::Alternation(parts) => {
                Hir::alternation(parts.into_iter().map(|part| walk(part, count, wanted)).collect())
            }
        }
    }
    walk(hir, &mut 0, wanted)
}
