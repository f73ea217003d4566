//! A compiled pattern that is searched in many lines at once, yet matches as if each line were searched alone.
//!
//! The regex is rewritten so that no match can contain a line feed and every anchor means a line's begin or end. Then
//! whole buffers are searched, and lines are looked at only where something matches.

use memchr::{memchr, memchr_iter, memrchr};
use regex_automata::Input;
use regex_automata::meta::{self, Regex};
use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::literal::{Extractor, Literal};
use regex_syntax::hir::translate::TranslatorBuilder;
use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

use super::literals::Literals;

/// Why a regex with a line feed of its own is refused.
const ONE_LINE: &str = "a pattern is matched within one line, so it must not contain a line feed";

/// A pattern ready to count lines.
#[derive(Debug)]
pub struct Matcher(Search);

/// How matches are found.
#[derive(Debug)]
enum Search {
    /// The pattern matches the empty text everywhere, so every line.
    EveryLine,
    /// The pattern is one of a few literals.
    Literals(Literals),
    Regex(Regex),
}

/// The scratch memory of a [`Matcher`].
#[derive(Debug)]
pub struct Cache(Option<meta::Cache>);

impl Matcher {
    /// Compiles `regex`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(regex: &str) -> Result<Matcher, String> {
        // In one line, as all messages are: the causes' own words draw a picture.
        let at = |place: &ast::Position| format!("at character {}", regex[..place.offset].chars().count() + 1);
        let syntax = ast::parse::Parser::new()
            .parse(regex)
            .map_err(|cause| format!("{} {}", cause.kind(), at(&cause.span().start)))?;
        ast::visit(&syntax, FindLineFeed)?;
        let hir = TranslatorBuilder::new()
            .utf8(false)
            .multi_line(true)
            .build()
            .translate(regex, &syntax)
            .map_err(|cause| format!("{} {}", cause.kind(), at(&cause.span().start)))?;
        let hir = within_line(hir)?;
        let properties = hir.properties();
        if properties.minimum_len() == Some(0) && properties.look_set().is_empty() {
            return Ok(Matcher(Search::EveryLine));
        }
        if let Some(literals) = literals(&hir) {
            return Ok(Matcher(Search::Literals(literals)));
        }
        let regex = Regex::builder().configure(meta::Config::new().utf8_empty(false)).build_from_hir(&hir).map_err(
            |cause| match cause.size_limit() {
                Some(limit) => format!("it is larger than {} MiB when compiled", limit >> 20),
                None => cause.to_string(),
            },
        )?;
        Ok(Matcher(Search::Regex(regex)))
    }

    /// The scratch memory that [`Matcher::count`] needs; to be used again for the next text.
    pub fn create_cache(&self) -> Cache {
        match &self.0 {
            Search::Regex(regex) => Cache(Some(regex.create_cache())),
            Search::EveryLine | Search::Literals(_) => Cache(None),
        }
    }

    /// The number of lines in `text` that match. If `wants_lines`, `first` is called with the begin and end of the first
    /// ones, until it returns false. `text` is a number of whole lines; the last may lack its line feed.
    pub fn count(
        &self,
        cache: &mut Cache,
        text: &[u8],
        wants_lines: bool,
        first: impl FnMut(usize, usize) -> bool,
    ) -> u64 {
        match &self.0 {
            Search::EveryLine if !wants_lines => count_lines(text),
            Search::EveryLine => count_found(text, wants_lines, first, Some),
            Search::Literals(literals) => {
                let mut search = literals.search(text);
                count_found(text, wants_lines, first, |at| search.next(at))
            }
            Search::Regex(regex) => {
                let cache = cache.0.get_or_insert_with(|| regex.create_cache());
                count_found(text, wants_lines, first, |at| {
                    // The line in which the first match ends is the line in which it is, so its begin is not needed.
                    let input = Input::new(text).span(at..text.len()).earliest(true);
                    let end = regex.search_half_with(cache, &input)?.offset();
                    // Behind the last line feed there is no line, though an empty match fits there.
                    (end < text.len() || text[end - 1] != b'\n').then_some(end)
                })
            }
        }
    }
}

/// Counts the lines in which `find` finds something: given where to begin, it returns a place in the first such line.
fn count_found(
    text: &[u8],
    mut wants_lines: bool,
    mut first: impl FnMut(usize, usize) -> bool,
    mut find: impl FnMut(usize) -> Option<usize>,
) -> u64 {
    let mut at = 0;
    let mut count = 0;
    while at < text.len()
        && let Some(found) = find(at)
    {
        count += 1;
        let end = memchr(b'\n', &text[found..]).map_or(text.len(), |i| found + i);
        if wants_lines {
            let begin = memrchr(b'\n', &text[at..found]).map_or(at, |i| at + i + 1);
            wants_lines = first(begin, end);
        }
        at = end + 1;
    }
    count
}

/// The literals of a pattern that is nothing but a choice of a few.
fn literals(hir: &Hir) -> Option<Literals> {
    // The extractor passes over `^` and `\b`.
    if !hir.properties().look_set().is_empty() {
        return None;
    }
    let literals = Extractor::new().extract(hir);
    if !literals.is_exact() {
        return None;
    }
    Literals::new(literals.literals()?.iter().map(Literal::as_bytes))
}

/// The number of lines in `text`, of which the last may lack its line feed.
pub fn count_lines(text: &[u8]) -> u64 {
    let unfinished = text.last().is_some_and(|last| *last != b'\n');
    memchr_iter(b'\n', text).count() as u64 + u64::from(unfinished)
}

/// Refuses a line feed that the user wrote, whichever way, outside of brackets. Inside them (`[^x]`, `[\s\d]`) it is
/// one byte of many, and taken out silently.
struct FindLineFeed;

impl ast::Visitor for FindLineFeed {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> Result<(), &'static str> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), &'static str> {
        match ast {
            Ast::Literal(literal) if literal.c == '\n' => Err(ONE_LINE),
            _ => Ok(()),
        }
    }
}

/// Rewrites `hir` so that it matches in a text of many lines what it matches in each line alone.
fn within_line(hir: Hir) -> Result<Hir, &'static str> {
    Ok(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => {
            if literal.0.contains(&b'\n') {
                return Err(ONE_LINE);
            }
            Hir::literal(literal.0)
        }
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(Look::Start) => Hir::look(Look::StartLF),
        HirKind::Look(Look::End) => Hir::look(Look::EndLF),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(within_line(*repetition.sub)?);
            Hir::repetition(Repetition { sub, ..repetition })
        }
        HirKind::Capture(capture) => {
            let sub = Box::new(within_line(*capture.sub)?);
            Hir::capture(Capture { sub, ..capture })
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(within_line).collect::<Result<_, _>>()?),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(within_line).collect::<Result<_, _>>()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::util::syntax;

    fn count(regex: &str, text: &[u8]) -> u64 {
        let matcher = Matcher::new(regex).unwrap();
        matcher.count(&mut matcher.create_cache(), text, false, |_, _| false)
    }

    /// The lines of `text`, without their line feeds.
    fn lines(text: &[u8]) -> Vec<&[u8]> {
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        lines
    }

    /// Counts by searching line by line with the regex as it was written.
    fn count_slowly(regex: &str, text: &[u8]) -> u64 {
        let regex = Regex::builder()
            .syntax(syntax::Config::new().utf8(false).multi_line(true))
            .configure(meta::Config::new().utf8_empty(false))
            .build(regex)
            .unwrap();
        lines(text).into_iter().filter(|line| regex.is_match(*line)).count() as u64
    }

    #[test]
    fn lines_are_counted_as_grep_does() {
        for (regex, text, expected) in [
            ("", "", 0),
            ("", "\n", 1),
            ("", "a\n\nb", 3),
            ("^", "a\n\nb\n", 3),
            ("$", "a\n\nb\n", 3),
            ("^$", "a\n\nb\n\n", 2),
            (r"\A\z", "a\n\nb\n\n", 2),
            ("a", "aaa\naa\nb\na", 3),
            ("a$", "a\r\na\n", 1),
            ("a.$", "a\r\na\n", 1),
            (r"a\s", "a\nb\na \n", 1),
            ("a[^x]", "a\nb\nax\nay\n", 1),
            (r"(?s)a.", "a\nab\n", 1),
            (r"a\W", "a\nb\na-\n", 1),
            (r"(?-u)a[^\w]", "a\na\u{e4}\n", 1),
            (r"[a\n]+b", "a\nb\nab\n", 1),
            (r"\x00", "a\0b\nab\n", 1),
            (r"\bfoo\b", "foo\nfoobar\nx foo y\n", 2),
            (r"(?i)straSSE", "Stra\u{df}e\nstrasse\n", 1),
            ("x*", "a\nb\n", 2),
            (r"\d{2,}$", "1\n12\n123x", 1),
        ] {
            assert_eq!(count(regex, text.as_bytes()), expected, "{regex:?} in {text:?}");
            assert_eq!(count_slowly(regex, text.as_bytes()), expected, "{regex:?} in {text:?}");
        }
        assert_eq!(count(r"a.b", b"a\xffb\na\xc3\xa4b\n"), 1);
        assert_eq!(count(r"(?-u)a.b", b"a\xffb\n"), 1);
        assert_eq!(count(r"(?-u)\xff", b"a\xffb\n"), 1);
    }

    #[test]
    fn line_feeds_are_refused() {
        for regex in ["a\nb", r"a\nb", r"\x0a", r"(a|\n)", r"\n*", r"[\n]", r"(?x) a \n"] {
            assert_eq!(Matcher::new(regex).unwrap_err(), ONE_LINE, "{regex}");
        }
        for regex in [r"[^x\n]", r"[a\n]", r"\s", "(?x)a\nb"] {
            assert!(Matcher::new(regex).is_ok(), "{regex}");
        }
    }

    #[test]
    fn what_is_no_regex_says_why() {
        assert!(Matcher::new("(").unwrap_err().contains("unclosed group"));
        assert!(Matcher::new(r"(?:\w{1000}){1000}").unwrap_err().contains("MiB"));
        assert!(Matcher::new(&"(".repeat(100_000)).is_err());
    }

    fn regexes() -> impl Strategy<Value = String> {
        let atoms = prop::sample::select(vec![
            "a",
            "b",
            "ab",
            "ERROR",
            "WARN",
            "(?i:a)b|x",
            "ERROR|WARN",
            ".",
            "(?s:.)",
            r"\s",
            r"\S",
            r"\W",
            r"\w",
            r"\d",
            "[^a]",
            r"[\s\S]",
            "^",
            "$",
            r"\A",
            r"\z",
            r"\b",
            r"\B",
            "",
            r"\x00",
            "\\r",
            "(?-u:[^a])",
            "(?-u:\\xff)",
            "\u{e4}",
            "(?i:A)",
            r"(?-u:\b)",
            "[a\\n]",
            r"\b{start}",
        ]);
        let leaf =
            (atoms, prop::sample::select(vec!["", "", "", "*", "+", "?", "{2}", "*?"])).prop_map(|(atom, times)| {
                if times.is_empty() { atom.to_string() } else { format!("(?:{atom}){times}") }
            });
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("({})", parts.join("|"))),
            ]
        })
    }

    pub(super) fn texts() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            4 => Just(b"\n".to_vec()),
            6 => prop::sample::select(vec!["a", "b", "ab", " ", "ERROR", "WARN", "\0", "\r", "\r\n", "\u{e4}", "1", "A", "x"])
                .prop_map(|piece| piece.as_bytes().to_vec()),
            1 => prop::sample::select(vec![b"\xff".to_vec(), b"\xc3".to_vec(), b"\xe2\x82".to_vec()]),
        ];
        prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn searching_buffers_is_searching_line_by_line(regex in regexes(), text in texts()) {
            prop_assert_eq!(count(&regex, &text), count_slowly(&regex, &text), "{:?}", regex);
        }

        #[test]
        fn the_first_lines_are_told(regex in regexes(), text in texts(), wanted in 0_usize..5) {
            let matcher = Matcher::new(&regex).unwrap();
            let mut told = Vec::new();
            matcher.count(&mut matcher.create_cache(), &text, wanted > 0, |begin, end| {
                told.push((begin, end));
                told.len() < wanted
            });
            let mut begin = 0;
            let mut expected = Vec::new();
            for line in lines(&text) {
                if count(&regex, line) == 1 || (line.is_empty() && count(&regex, b"\n") == 1) {
                    expected.push((begin, begin + line.len()));
                }
                begin += line.len() + 1;
            }
            expected.truncate(wanted);
            prop_assert_eq!(told, expected);
        }
    }
}
