//! Lines of which nobody says what they are.

use super::{assert_fields, read};

#[test]
fn each_line_is_what_it_looks_like() {
    let access = r#"192.0.2.7 - frank [22/Nov/2026:10:01:02 +0100] "GET /a?b HTTP/1.1" 200 5"#;
    for (line, expected) in [
        (r#" {"host":"a","status":500,"app":{"x":1}}"#, ["a", "#500", "#{\"x\":1}", "NULL", "NULL"]),
        ("<34>1 2003-10-11T22:14:15.003Z h su - - -", ["h", "NULL", "su", "NULL", "NULL"]),
        ("<34>Oct 11 22:14:15 h su: x status=1", ["h", "NULL", "su", "NULL", "NULL"]),
        ("Oct 11 22:14:15 h status=1", ["h", "NULL", "NULL", "NULL", "NULL"]),
        ("2026-11-22T10:00:00Z h app[1]: status=1", ["h", "NULL", "app", "NULL", "NULL"]),
        (access, ["192.0.2.7", "#200", "NULL", "/a", "192.0.2.7"]),
        ("host=b status=404 path=/x", ["b", "#404", "NULL", "/x", "NULL"]),
        // What begins with a time is syslog only if it has more of it.
        ("2026-11-22T10:00:00Z host=c status=1", ["c", "#1", "NULL", "NULL", "NULL"]),
        ("<a host=\"d\">", ["d", "NULL", "NULL", "NULL", "NULL"]),
        (r#"msg="GET / [x] " status=7"#, ["NULL", "#7", "NULL", "NULL", "NULL"]),
    ] {
        assert_eq!(read("auto", "host status app path remote_addr", line).unwrap(), expected, "{line}");
    }
    let combined = format!(r#"{access} "-" "curl""#);
    assert_fields("auto", &combined, &[("user_agent", "curl"), ("http_user_agent", "curl"), ("body_bytes_sent", "#5")]);
    for line in ["", "{", "{\"a\":1", "{a=1}", "<34>x a=1", "Traceback (most recent call last):", "a=\"b", "plain"] {
        assert!(read("auto", "host", line).is_err(), "{line}");
    }
    assert_eq!(read("auto", "host", "plain").unwrap_err(), "the line is of no known format");
}
