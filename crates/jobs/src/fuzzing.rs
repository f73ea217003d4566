//! What the fuzz targets in fuzz/ call: lists, patterns, globs and files as users have them.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::data::csv::{Dialect, RowBorders, Rows, write_text};
use crate::data::json::{ArrayBorders, Scan, Shape, minify};
use crate::data::{Cell, FieldPath, Raw};
use crate::decode::Format;
use crate::expr::Expr;
use crate::hash::line::{LineParser, LineStyle};
use crate::hash::list::read_line;
use crate::logs::matcher::{Matcher, count_lines};
use crate::logs::pattern;
use crate::parse::{self, LineFormat, TimeField};
use crate::time::{Clock, Timestamp, parse_when};
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
            // A number and nothing around it, as a reader of rows gives it.
            Ok(line)
                if line.starts_with(|first: char| first == '-' || first.is_ascii_digit())
                    && line == line.trim()
                    && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() =>
            {
                Cell::Number(line.into())
            }
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

/// A text that may be JSON: taken as serde_json takes it, but for halves of surrogate pairs and for its depth; and what is
/// taken is the same without white space, and in parts.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut scan = Scan::new(data);
    scan.space();
    let read = scan.value(0);
    scan.space();
    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    match read {
        Ok(_) => assert_eq!(scan.peek().is_none(), theirs),
        Err(fault) => {
            assert!(fault.at <= data.len());
            assert!(!theirs || fault.reason.contains("surrogate") || fault.reason.contains("deep"), "{}", fault.reason);
            return;
        }
    }
    if theirs {
        let small = minify(data);
        assert_eq!(minify(&small), small);
        let mut scan = Scan::new(&small);
        assert!(scan.value(0).is_ok() && scan.peek().is_none());
        elements(&small);
    }
}

/// Elements of an array, which lie between its borders.
fn elements(array: &[u8]) {
    let Some(inside) = array.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).filter(|i| !i.is_empty())
    else {
        return;
    };
    let (mut borders, mut at) = (ArrayBorders::default(), 0);
    let mut rest = array;
    while let Some(end) = borders.find(rest, 1) {
        let element = &rest[usize::from(at == 0)..end - 1];
        let mut scan = Scan::new(element);
        assert!(scan.value(1).is_ok() && scan.peek().is_none());
        (at, rest) = (at + end, &rest[end..]);
    }
    assert!(at <= inside.len());
    let mut scan = Scan::new(&rest[usize::from(at == 0)..]);
    assert!(scan.value(1).is_ok() && scan.peek() == Some(b']'));
}

/// A CSV file: its rows are cut where they are read, and are read as the same when they are written again.
pub fn csv(data: &[u8]) {
    let dialect = Dialect::CSV;
    let mut rows = Rows::new(data, dialect, 1);
    let (mut fields, mut at) = (Vec::new(), 0);
    while let Some((begin, read)) = rows.next(&mut fields) {
        assert_eq!(begin, at);
        let length = RowBorders::new(dialect).find(&data[begin..], 1).unwrap_or(data.len() - begin);
        assert_eq!(rows.at(), begin + length);
        at = rows.at();
        if read.is_err() {
            continue;
        }
        let mut written = Vec::new();
        for (n, field) in fields.iter().enumerate() {
            written.extend((n > 0).then_some(b','));
            if let Some(text) = field.text() {
                write_text(&text, dialect, &mut written);
            }
        }
        written.push(b'\n');
        let mut again = Vec::new();
        let mut reread = Rows::new(&written, dialect, 1);
        assert!(reread.next(&mut again).is_some_and(|(_, read)| read.is_ok()) && reread.at() == written.len());
        assert!(again.iter().map(|field| field.text()).eq(fields.iter().map(|field| field.text())));
    }
    assert_eq!(at, data.len());
}

/// The format of lines and the fields that are wanted (the first line, between spaces), and lines: a field is the same
/// whatever else is wanted, and a time is the same when it is shown.
pub fn lines(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    // Longer regexes take their time to compile, and find nothing new.
    let Some(Ok(head)) = lines.next().map(|line| std::str::from_utf8(&line[..line.len().min(128)])) else { return };
    let (format, names) = head.split_once(' ').unwrap_or((head, ""));
    let Ok(format) = format.parse::<LineFormat>() else { return };
    assert_eq!(format.to_string().parse().as_ref(), Ok(&format));
    let fields: Vec<FieldPath> = names.split(' ').filter_map(|name| name.parse().ok()).collect();
    let Ok(all) = parse::LineParser::new(&format, &fields, None) else { return };
    let timed = parse::LineParser::new(&format, &[], Some(&TimeField::Default)).ok();
    let alone: Vec<_> =
        fields.iter().map(|field| parse::LineParser::new(&format, std::slice::from_ref(field), None)).collect();
    let clock = Clock::at(Timestamp::from_unix(1_795_000_000, 0).unwrap_or(Timestamp::EPOCH));
    let mut shape = Shape::default();
    for line in lines {
        let mut slots = vec![Raw::Null; all.slots()];
        let is_read = all.read(line, &mut slots, &mut shape).is_ok();
        for (parser, value) in alone.iter().zip(&slots) {
            let mut slot = [Raw::Null];
            let parser = parser.as_ref().expect("one field of many that are known is known");
            assert_eq!(parser.read(line, &mut slot, &mut Shape::default()).is_ok(), is_read);
            assert!(!is_read || slot[0] == *value);
            value.cell();
        }
        let Some(timed) = &timed else { continue };
        let mut slots = vec![Raw::Null; timed.slots()];
        assert_eq!(timed.read(line, &mut slots, &mut Shape::default()).is_ok(), is_read);
        let time = timed.time(&slots).and_then(|text| Timestamp::parse(&text, clock));
        for time in [time, Timestamp::parse(line, clock)].into_iter().flatten() {
            assert_eq!(parse_when(&time.to_string(), clock), Ok(time));
        }
    }
}
