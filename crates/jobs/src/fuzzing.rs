//! What the fuzz targets in fuzz/ call: lists, patterns, globs and files as users have them.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::data::Cell;
use crate::decode::Format;
use crate::expr::Expr;
use crate::hash::line::{LineParser, LineStyle};
use crate::hash::list::read_line;
use crate::logs::matcher::{Matcher, count_lines};
use crate::logs::pattern;
use crate::walk::{Filter, WalkArgs};

/// More than a decoder keeps back, and little enough for thousands of runs a second.
const DECODED_BYTES: u64 = 1 << 20;

/// A list of checksums: lines that can be read are written so that they are read as the same.
pub fn hash_list(data: &[u8]) {
    let mut parser = LineParser::new(None);
    let (mut reader, mut line) = (data, Vec::new());
    while read_line(&mut reader, &mut line).expect("memory can be read") {
        // No file has an empty name, so none is written; a tagged line can say so.
        let Some(parsed) = parser.parse(&line).filter(|parsed| parsed.path.as_os_str() != "") else { continue };
        for tag in [false, true] {
            let mut written = Vec::new();
            let style = LineStyle { algorithm: parsed.algorithm, tag, zero: false };
            style.write(&mut written, &parsed.path, &parsed.digest).expect("memory can be written");
            assert_eq!(written.pop(), Some(b'\n'));
            assert_eq!(LineParser::new(Some(parsed.algorithm)).parse(&written).as_ref(), Some(&parsed));
        }
    }
}

/// A pattern of `-e` (the first line), and a text that it is searched in.
pub fn patterns(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    // Longer ones take their time to compile, and find nothing new.
    let Ok(value) = std::str::from_utf8(&data[..end.min(64)]) else { return };
    let text = data.get(end + 1..).unwrap_or_default();
    let Ok(patterns) = pattern::parse_all(&[value.to_string()]) else { return };
    let Ok(matcher) = Matcher::new(&patterns[0].regex) else { return };
    let (mut cache, mut shown, mut after) = (matcher.create_cache(), 0, 0);
    let count = matcher.count(&mut cache, text, true, |begin, end| {
        assert!(begin >= after && begin <= end && !text[begin..end].contains(&b'\n'));
        (shown, after) = (shown + 1, end + 1);
        true
    });
    assert_eq!(count, shown);
    assert_eq!(matcher.count(&mut cache, text, false, |_, _| true), count);
    assert!(count <= count_lines(text));
}

/// A compressed file.
pub fn decode(data: &[u8]) {
    let Some(format) = Format::of(data) else { return };
    let Ok(decoder) = format.decode(data) else { return };
    let mut out = Vec::new();
    let _ = decoder.take(DECODED_BYTES).read_to_end(&mut out);
    assert!(out.len() as u64 <= DECODED_BYTES);
}

/// Globs of `--include` and `--exclude` (the first two lines), and a path.
pub fn globs(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut globs = || Some(vec![std::str::from_utf8(lines.next()?).ok()?.to_string()]);
    let (Some(include), Some(exclude)) = (globs(), globs()) else { return };
    let Ok(filter) = Filter::new(&WalkArgs { include, exclude }) else { return };
    let folder = Path::new(OsStr::from_bytes(lines.next().unwrap_or_default()));
    let name = OsStr::from_bytes(lines.next().unwrap_or_default());
    filter.takes_file(folder, name);
    filter.takes_folder(folder, name);
}

/// An expression (the first line), and the fields of a row: a line each, whose first byte says what it is.
pub fn expr(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    // Longer ones take their time to compile, and find nothing new.
    let Some(Ok(text)) = lines.next().map(|line| std::str::from_utf8(&line[..line.len().min(128)])) else { return };
    let expr = match Expr::parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.position() <= text.chars().count() + 1 && error.to_string().lines().count() == 3);
            return;
        }
    };
    for path in expr.fields() {
        assert_eq!(path.to_string().parse().as_ref(), Ok(path));
    }
    let row: Vec<Cell<'_>> = lines
        .map(|line| match std::str::from_utf8(line) {
            Ok(line) if line.starts_with('\'') => Cell::Text(line[1..].into()),
            Ok(line) if line.starts_with(['[', '{']) => Cell::Nested(line.into()),
            Ok("true") => Cell::Bool(true),
            Ok(line) if serde_json::from_str::<serde_json::Number>(line).is_ok() => Cell::Number(line.into()),
            _ => Cell::Null,
        })
        .collect();
    let is_true = expr.is_true(&row);
    match expr.eval(&row) {
        Ok(Cell::Bool(value)) => assert_eq!(is_true, Ok(value)),
        Ok(Cell::Null) => assert_eq!(is_true, Ok(false)),
        Ok(Cell::Number(text)) => assert!(text.starts_with(|first: char| first == '-' || first.is_ascii_digit())),
        Ok(_) => (),
        Err(error) => assert!(is_true.is_err() && !error.to_string().contains('\n')),
    }
}
