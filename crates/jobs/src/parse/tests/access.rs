//! Access logs.

use super::{assert_fields, read};

const NGINX: &str = r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET /a/b.html?x=1&y=%20 HTTP/2.0" 200 5316 "https://example.com/?a=b" "Mozilla/5.0 (X11; Linux x86_64)""#;

#[test]
fn nginx_lines_have_what_combined_has() {
    let mut expected = vec![
        ("remote_addr", "192.0.2.7"),
        ("remote_user", "NULL"),
        ("time_local", "22/Nov/2026:10:01:02 +0100"),
        ("request", "GET /a/b.html?x=1&y=%20 HTTP/2.0"),
        ("method", "GET"),
        ("uri", "/a/b.html?x=1&y=%20"),
        ("path", "/a/b.html"),
        ("query", "x=1&y=%20"),
        ("protocol", "HTTP/2.0"),
        ("status", "#200"),
        ("body_bytes_sent", "#5316"),
        ("http_referer", "https://example.com/?a=b"),
        ("http_user_agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ];
    assert_fields("nginx", NGINX, &expected);
    assert_fields("nginx", format!("{NGINX}\r"), &expected);
    for behind in [r#" "203.0.113.9, 10.0.0.1""#, r#" "-" 0.003 0.002 . p"#, " ", r#" "open"#] {
        assert_fields("nginx", format!("{NGINX}{behind}"), &expected);
    }
    expected.reverse();
    assert_fields("nginx", NGINX, &expected);
}

#[test]
fn odd_nginx_lines() {
    let line = |who: &str, request: &str, numbers: &str, agent: &str| {
        format!(r#"{who} [22/Nov/2026:10:01:02 +0100] "{request}" {numbers} "-" "{agent}""#)
    };
    // A client that sends TLS to a port without it, nothing at all, or no HTTP.
    for request in [r"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", "-", "", "quit"] {
        assert_fields(
            "nginx",
            line("::1 - -", request, "400 157", "-"),
            &[
                ("remote_addr", "::1"),
                ("method", "NULL"),
                ("path", "NULL"),
                ("status", "#400"),
                ("http_user_agent", "NULL"),
            ],
        );
    }
    let request = read("nginx", "request", line("::1 - -", r"\x16\x03", "400 157", "-"));
    assert_eq!(request, Ok(vec!["\u{16}\u{3}".to_string()]));
    // Users and user agents with what stands elsewhere between columns.
    assert_fields(
        "nginx",
        line("unix: - j [d] oe", r"GET /\x22q\x22?\xC3\xA4 HTTP/1.1", "000 0", r"a \x22b\x22 [c] \x5Cx"),
        &[
            ("remote_addr", "unix:"),
            ("remote_user", "j [d] oe"),
            ("uri", "/\"q\"?\u{e4}"),
            ("path", "/\"q\""),
            ("query", "\u{e4}"),
            // No number of JSON, but as an expression a text that is one.
            ("status", "000"),
            ("body_bytes_sent", "#0"),
            ("http_user_agent", r#"a "b" [c] \x"#),
        ],
    );
}

#[test]
fn what_is_no_nginx_line_is_told() {
    for (line, reason) in [
        ("", "request"),
        ("hello", "request"),
        (r#"192.0.2.7 - - "GET / HTTP/1.1" 200 5 "-" "-""#, "[time]"),
        (r#"192.0.2.7 - - [today] "GET / HTTP/1.1" 200 5 "-" "-""#, "[time]"),
        (r#"192.0.2.7 [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 5 "-" "-""#, "client"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1"#, "closed"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1\" 200"#, "closed"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" OK 5 "-" "-""#, "status"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200"#, "size"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 5"#, "referer"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 5 "-" "Moz"#, "user agent"),
        (r#"192.0.2.7 - - [22/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 5 "-" "-"x"#, "behind"),
    ] {
        let told = read("nginx", "status", line).unwrap_err();
        assert!(told.contains(reason), "{line}: {told}");
    }
}

#[test]
fn apache_lines_are_common_combined_or_of_virtual_hosts() {
    // The example of Apache's documentation.
    let common = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#;
    let combined = format!(r#"{common} "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)""#);
    let shared = [
        ("host", "127.0.0.1"),
        ("ident", "NULL"),
        ("user", "frank"),
        ("time", "10/Oct/2000:13:55:36 -0700"),
        ("request", "GET /apache_pb.gif HTTP/1.0"),
        ("method", "GET"),
        ("uri", "/apache_pb.gif"),
        ("path", "/apache_pb.gif"),
        ("query", "NULL"),
        ("protocol", "HTTP/1.0"),
        ("status", "#200"),
        ("bytes", "#2326"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&shared[..], more].concat();
    let none = [("referer", "NULL"), ("user_agent", "NULL"), ("vhost", "NULL")];
    assert_fields("apache", common, &with(&none));
    assert_fields("apache", format!("{common} 1234"), &with(&none));
    let both = [("referer", "http://www.example.com/start.html"), ("user_agent", "Mozilla/4.08 [en] (Win98; I ;Nav)")];
    assert_fields("apache", &combined, &with(&both));
    assert_fields("apache", format!("{combined} 0 \"x\""), &with(&both));
    for vhost in ["www.example.com:443", "[::1]:80"] {
        let expected = [&shared[..], &both, &[("vhost", vhost)]].concat();
        assert_fields("apache", format!("{vhost} {combined}"), &expected);
    }
}

#[test]
fn odd_apache_lines() {
    let line = |who: &str, rest: &str| format!(r#"{who} [10/Oct/2000:13:55:36 -0700] {rest}"#);
    assert_fields(
        "apache",
        line("::1 - john q doe", r#""GET /a\"b\\ HTTP/1.1" 304 - "\xe4\t" "a\x22b""#),
        &[
            ("vhost", "NULL"),
            ("host", "::1"),
            ("user", "john q doe"),
            ("path", "/a\"b\\"),
            ("bytes", "NULL"),
            ("referer", "\u{fffd}\t"),
            ("user_agent", "a\"b"),
        ],
    );
    assert_fields(
        "apache",
        line("h:1 10.0.0.1 - john doe", r#""-" 408 -"#),
        &[
            ("vhost", "h:1"),
            ("host", "10.0.0.1"),
            ("user", "john doe"),
            ("request", "NULL"),
            ("method", "NULL"),
            ("status", "#408"),
        ],
    );
    assert!(read("apache", "status", line("h - -", r#""GET /" 200 5 "torn"#)).is_err());
    let invalid = [line("h - -", r#""GET /"#).as_bytes(), b"\xff HTTP/1.1\" 200 5"].concat();
    assert_fields("apache", invalid, &[("path", "/\u{fffd}")]);
}
