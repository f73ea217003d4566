//! What a parser is made of: the fields that are asked for, and the time.

use super::super::{LineFormat, LineParser, TimeField};
use super::shown;
use crate::data::json::Shape;
use crate::data::{FieldPath, Raw};

fn fields(names: &[&str]) -> Vec<FieldPath> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn error(format: &str, names: &[&str], time: Option<TimeField>) -> String {
    LineParser::new(&format.parse().unwrap(), &fields(names), time.as_ref()).unwrap_err()
}

#[test]
fn fields_that_a_format_never_has_are_refused() {
    assert_eq!(
        error("nginx", &["status", "user_agent"], None),
        "nginx lines have no field `user_agent`; they have remote_addr, remote_user, time_local, request, method, uri, path, \
         query, protocol, status, body_bytes_sent, http_referer, http_user_agent"
    );
    assert!(error("apache", &["remote_addr"], None).contains("vhost, host"));
    assert!(error("syslog", &["sd.x"], None).contains("no field `sd.x`; they have priority"));
    assert_eq!(error("regex:(?<a>.)(?<b>.)", &["c"], None), "lines of the regex have no field `c`; they have a, b");
    assert_eq!(error("regex:.", &["c"], None), "lines of the regex have no field `c`; they have none");
    assert!(error("nginx", &[], Some(TimeField::Named("time".parse().unwrap()))).contains("no field `time`"));
    assert!(error("regex:(?<a>.)", &["a"], Some(TimeField::Default)).contains("no group for the time: timestamp"));
    let deep = vec!["a"; 300].join(".");
    for format in ["json", "auto"] {
        assert_eq!(error(format, &[&deep], None), "a field 300 names deep is deeper than JSON is read");
    }
}

#[test]
fn regexes_that_are_none_are_refused_in_one_line() {
    for (regex, told) in [
        ("regex:(", "unclosed group at character 1 of the regex"),
        ("regex:\u{e4}(?<a>x)(?<a>y)", "duplicate capture group name at character 12 of the regex"),
        (r"regex:(?:\w{1000}){1000}", "MiB when compiled"),
    ] {
        let error = error(regex, &[], None);
        assert!(error.contains(told) && error.lines().count() == 1, "{error}");
    }
    assert!(LineParser::new(&LineFormat::Regex("(".repeat(100_000)), &[], None).is_err());
}

#[test]
fn a_field_may_be_asked_for_twice() {
    for (format, line) in [("json", r#"{"a":1,"b":2}"#), ("logfmt", "a=1 b=2"), ("regex:(?<a>1)(?<b>2)", "12")] {
        let parser = LineParser::new(&format.parse().unwrap(), &fields(&["a", "b", "a", "b", "a"]), None).unwrap();
        let mut slots = vec![Raw::Bool(true); parser.slots()];
        parser.read(line.as_bytes(), &mut slots, &mut Shape::default()).unwrap();
        assert_eq!(slots.iter().map(shown).collect::<Vec<_>>(), ["#1", "#2", "#1", "#2", "#1"], "{format}");
    }
}

#[test]
fn slots_that_are_missing_harm_nobody() {
    let parser = LineParser::new(&LineFormat::Auto, &fields(&["a", "status", "a"]), Some(&TimeField::Default)).unwrap();
    for line in [r#"{"a":1,"status":2}"#, "a=1 status=2"] {
        let mut slots = [Raw::Null];
        parser.read(line.as_bytes(), &mut slots, &mut Shape::default()).unwrap();
        assert_eq!(parser.time(&slots), None);
    }
}

#[test]
fn the_time_is_where_the_format_has_it() {
    let time = |format: &str, time: &str, line: &str| {
        let time = if time.is_empty() { TimeField::Default } else { TimeField::Named(time.parse().unwrap()) };
        // One of the fields is a place for the time too.
        let names = if format == "json" { &["ts"][..] } else { &[] };
        let parser = LineParser::new(&format.parse().unwrap(), &fields(names), Some(&time)).unwrap();
        let mut slots = vec![Raw::Null; parser.slots()];
        parser.read(line.as_bytes(), &mut slots, &mut Shape::default()).unwrap();
        parser.time(&slots).map(|text| String::from_utf8(text.into_owned()).unwrap())
    };
    let access = r#"::1 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 5 "-" "-""#;
    for (format, named, line, expected) in [
        ("nginx", "", access, Some("22/Nov/2026:10:01:02 +0100")),
        ("apache", "", access, Some("22/Nov/2026:10:01:02 +0100")),
        ("auto", "", access, Some("22/Nov/2026:10:01:02 +0100")),
        ("syslog", "", "Oct 11 22:14:15 h m", Some("Oct 11 22:14:15")),
        ("auto", "", "Oct 11 22:14:15 h m", Some("Oct 11 22:14:15")),
        ("syslog", "", "<1>1 - h - - - -", None),
        ("json", "", r#"{"ts":1.5,"time":"a\u0062"}"#, Some("ab")),
        ("json", "", r#"{"ts":1.5,"time":null}"#, Some("1.5")),
        ("json", "", r#"{"@timestamp":"x","datetime":2}"#, Some("x")),
        ("json", "", r#"{"ts":{}}"#, None),
        ("json", "", "{}", None),
        ("json", "a.b", r#"{"ts":1,"a":{"b":"c"}}"#, Some("c")),
        ("json", "ts", r#"{"time":1,"ts":"c"}"#, Some("c")),
        ("logfmt", "", "x=1 date=2026-11-22", Some("2026-11-22")),
        ("logfmt", "", r#"ts="a\"b""#, Some("a\"b")),
        ("auto", "", "x=1 ts=5", Some("5")),
        ("regex:(?<date>.)(?<time>.)", "", "ab", Some("b")),
        ("regex:(?<date>.)(?<time>.)", "date", "ab", Some("a")),
    ] {
        assert_eq!(time(format, named, line).as_deref(), expected, "{format} {named} {line}");
    }
}
