//! JSON, logfmt and regexes.

use super::{assert_fields, read};

#[test]
fn a_line_of_json_is_one_object() {
    assert_fields(
        "json",
        r#" {"ts":1.50,"a":{"b":[1, 2],"c":null},"m":"\u00e4\n","m2":"x","t":true,"x.y":1,"m2":"y"} "#,
        &[
            ("ts", "#1.50"),
            ("a.b", "#[1, 2]"),
            ("a.c", "NULL"),
            ("m", "\u{e4}\n"),
            ("m2", "y"),
            ("t", "#true"),
            ("`x.y`", "#1"),
            ("x.y", "NULL"),
            ("none", "NULL"),
        ],
    );
    assert_fields("json", b"{\"a\":\"\xff\"}", &[("a", "\u{fffd}")]);
    assert_fields("json", "{}\r", &[("a", "NULL")]);
    for line in [
        "",
        "[]",
        "1",
        "null",
        "{\"a\":1}{}",
        "{\"a\":1} x",
        "{\"a\":1,}",
        "{\"a\":01}",
        "\u{feff}{}",
        "{\"a\":\"\t\"}",
    ] {
        assert!(read("json", "a", line).unwrap_err().starts_with("no JSON object: "), "{line}");
    }
    assert_eq!(
        read("json", "a", "{\"a\":1} x").unwrap_err(),
        "no JSON object: something stands behind the object (byte 9)"
    );
}

#[test]
fn logfmt_lines_have_keys_and_values() {
    assert_fields(
        "logfmt",
        r#"at=info method=GET path="/a b?c=d" host.name=web-1 dyno=web.1 status=200 took=1.5e3 id=007 quoted="200" empty= none="" retried flag=false n=null url=/?a=b&c="d last"#,
        &[
            ("at", "info"),
            ("path", "/a b?c=d"),
            ("host.name", "web-1"),
            ("`host.name`", "web-1"),
            ("dyno", "web.1"),
            ("status", "#200"),
            ("took", "#1.5e3"),
            ("id", "007"),
            ("quoted", "200"),
            ("empty", ""),
            ("none", ""),
            ("retried", "#true"),
            ("flag", "#false"),
            ("n", "NULL"),
            ("url", "/?a=b&c=\"d"),
            ("last", "#true"),
            ("missing", "NULL"),
        ],
    );
    for (line, value) in [
        ("x=1", "#1"),
        ("x=1 x=2", "#2"),
        ("  x=1\t", "#1"),
        ("x=1 y", "#1"),
        ("x y=1", "#true"),
        ("y=1 \"x\" =5", "#true"),
        ("y=1 x", "#true"),
        (r#"x="a"y=1"#, "a"),
        (r#"x="a\"b\\" y"#, "a\"b\\"),
        (r#"x="\u00e4\n\x41\q""#, "\u{e4}\nA\\q"),
        ("x=\"a\tb\"", "a\tb"),
        ("x==1", "=1"),
        ("x=-", "-"),
        ("x=\u{e4}", "\u{e4}"),
    ] {
        assert_fields("logfmt", line, &[("x", value)]);
    }
    for line in ["", "x", "hello world", "=", "=1", "\"x\"=1", "x=\"a", "x=\"a\\\"", "a=1 x=\""] {
        assert!(read("logfmt", "x", line).unwrap_err().starts_with("no logfmt: "), "{line}");
    }
    assert_fields("logfmt", b"x=\"a\xff\\n\" y=\xff", &[("x", "a\u{fffd}\n"), ("y", "\u{fffd}")]);
}

#[test]
fn named_groups_are_fields() {
    let regex = r"regex:^\[(?<level>[A-Z]+)\] ((\d+)|(?<word>\w+)) (?P<host.name>\S*)(?: took (?<ms>\d+)ms)?$";
    assert_fields(
        regex,
        "[INFO] 17 web-1 took 20ms",
        &[("ms", "#20"), ("level", "INFO"), ("word", "NULL"), ("host.name", "web-1"), ("`host.name`", "web-1")],
    );
    assert_fields(regex, "[INFO] x  took 20ms\r", &[("word", "x"), ("host.name", "")]);
    assert_fields(regex, "[INFO] x y", &[("ms", "NULL")]);
    assert_eq!(read(regex, "", "[INFO] x y"), Ok(vec![]));
    assert_eq!(read(regex, "", "INFO").unwrap_err(), "the regex is not found in it");
    assert_eq!(read(regex, "ms", "INFO").unwrap_err(), "the regex is not found in it");
    // Anchors are the user's, and what was found first counts.
    assert_fields(r"regex:(?<n>\d+)", "a 1 b 2", &[("n", "#1")]);
    assert_fields(r"regex:(?:(?<n>\d+) ?)+", "a 1 2 3", &[("n", "#3")]);
    // Bytes that are no text match what is told to match bytes.
    assert_fields(r"regex:a(?<b>(?-u:.))c(?<d>.*)", b"a\xffcd", &[("b", "\u{fffd}"), ("d", "d")]);
    let many: String = (0..40).map(|n| format!(r"(?<g{n}>\d)")).collect();
    let names: String = (0..40).map(|n| format!("g{n} ")).collect();
    let values = read(&format!("regex:{many}"), &names, "0123456789".repeat(4)).unwrap();
    assert_eq!(values, (0..40).map(|n| format!("#{}", n % 10)).collect::<Vec<_>>());
}
