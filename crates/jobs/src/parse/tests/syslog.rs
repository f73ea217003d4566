//! Syslog.

use super::{assert_fields, read};

#[test]
fn examples_of_rfc_5424() {
    // Section 6.5; the byte order mark is written there as the word BOM.
    assert_fields(
        "syslog",
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        &[
            ("priority", "#34"),
            ("facility", "#4"),
            ("severity", "#2"),
            ("timestamp", "2003-10-11T22:14:15.003Z"),
            ("host", "mymachine.example.com"),
            ("app", "su"),
            ("pid", "NULL"),
            ("msgid", "ID47"),
            ("structured_data", "NULL"),
            ("message", "'su root' failed for lonvick on /dev/pts/8"),
        ],
    );
    assert_fields(
        "syslog",
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        &[("facility", "#20"), ("severity", "#5"), ("pid", "#8710"), ("message", "%% It's time to make the do-nuts.")],
    );
    let data =
        r#"[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]"#;
    let header = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47";
    let expected = [
        ("sd.exampleSDID@32473.iut", "3"),
        ("sd.exampleSDID@32473.eventID", "1011"),
        ("sd.examplePriority@32473.class", "high"),
        ("sd.examplePriority@32473.iut", "NULL"),
        ("structured_data", data),
    ];
    assert_fields("syslog", format!("{header} {data} An application event"), &expected);
    assert_fields("syslog", format!("{header} {data} An application event"), &[("message", "An application event")]);
    assert_fields("syslog", format!("{header} {data}"), &expected);
    assert_fields("syslog", format!("{header} {data}"), &[("message", "NULL")]);
    assert_fields("syslog", format!("{header} {data} "), &[("message", "")]);
    assert_fields("syslog", "<0>1 - - - - - -", &[("priority", "#0"), ("timestamp", "NULL"), ("host", "NULL")]);
}

#[test]
fn structured_data_have_escapes() {
    let line = |data: &str| format!("<13>1 - h a - - {data} m");
    let names = "sd.a.b sd.`x.y`.z message";
    for (data, expected) in [
        (r#"[a b="\"\]\\" c="]"]"#, [r#""]\"#, "NULL", "m"]),
        (r#"[a b="\n\x22"]"#, [r"\n\x22", "NULL", "m"]),
        (r#"[a][a b=""]"#, ["", "NULL", "m"]),
        (r#"[a b="1" b="2"]"#, ["2", "NULL", "m"]),
        ("[x.y z=\"\u{e4}\"]", ["NULL", "\u{e4}", "m"]),
    ] {
        assert_eq!(read("syslog", names, line(data)).unwrap(), expected, "{data}");
    }
    for data in ["[", "[a", "[a ]", "[a b]", "[a b=]", "[a b=\"]", "[a b=\"\\\"]", "[]", "[ a]", "x", "-x", "[a]x"] {
        assert!(read("syslog", names, line(data)).is_err(), "{data}");
    }
}

#[test]
fn examples_of_rfc_3164() {
    // Section 5.4.
    assert_fields(
        "syslog",
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        &[
            ("priority", "#34"),
            ("timestamp", "Oct 11 22:14:15"),
            ("host", "mymachine"),
            ("app", "su"),
            ("pid", "NULL"),
            ("msgid", "NULL"),
            ("structured_data", "NULL"),
            ("message", "'su root' failed for lonvick on /dev/pts/8"),
        ],
    );
    assert!(read("syslog", "host", "Use the BFG!").is_err());
    assert_fields(
        "syslog",
        "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.",
        &[("timestamp", "Aug 24 05:34:00"), ("host", "CST"), ("app", "NULL")],
    );
    assert!(
        read("syslog", "host", "<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: x").is_err()
    );
}

#[test]
fn files_of_rsyslog_and_journalctl() {
    for stamp in [
        "Feb  1 03:04:05",
        "Feb 29 03:04:05",
        "Feb 01 03:04:05.123456",
        "2026-11-22T10:00:00.123456+01:00",
        "2026-11-22T10:00:00+0100",
        "2026-11-22T10:00:00Z",
    ] {
        for (rest, app, pid, message) in [
            ("sshd[1234]: Accepted publickey", "sshd", "#1234", "Accepted publickey"),
            ("systemd[1]: Started foo.service.", "systemd", "#1", "Started foo.service."),
            ("kernel: [    0.000000] Linux", "kernel", "NULL", "[    0.000000] Linux"),
            ("postfix/smtpd[12]:  two spaces", "postfix/smtpd", "#12", " two spaces"),
            ("Foo::Bar[x-1]: m", "Foo::Bar", "x-1", "m"),
            ("com.apple.xpc.launchd[1] (com.apple.x[2]): m", "com.apple.xpc.launchd", "#1", "(com.apple.x[2]): m"),
            ("su:", "su", "NULL", ""),
            ("last message repeated 2 times", "NULL", "NULL", "last message repeated 2 times"),
            ("[12]: m", "NULL", "NULL", "[12]: m"),
            ("a[]: m", "a", "NULL", "m"),
            ("a[1]x m", "NULL", "NULL", "a[1]x m"),
            (": m", "NULL", "NULL", ": m"),
            ("", "NULL", "NULL", ""),
        ] {
            let expected = [("host", "h-1"), ("app", app), ("pid", pid), ("message", message), ("timestamp", stamp)];
            assert_fields("syslog", format!("{stamp} h-1 {rest}"), &expected);
            assert_fields("syslog", format!("<13>{stamp} h-1 {rest}\r"), &expected);
        }
        assert_fields("syslog", format!("{stamp} h"), &[("host", "h"), ("message", "")]);
        assert!(read("syslog", "host", format!("{stamp} ")).is_err());
        assert!(read("syslog", "host", stamp).is_err());
    }
    assert_fields("syslog", b"Feb  1 03:04:05 h a: \xff", &[("message", "\u{fffd}")]);
}

#[test]
fn what_is_no_syslog_is_told() {
    for line in [
        "",
        "<",
        "<>1 - - - - - -",
        "<192>1 - - - - - -",
        "<034>1 - - - - - -",
        "<1234>1 - - - - - -",
        "<+1>1 - - - - - -",
        "<34> Oct 11 22:14:15 h a: m",
        "1 - - - - - -",
        "<34>0 - - - - - -",
        "<34>1 - - - - -",
        "<34>1 today - - - - -",
        "<34>1 2003-10-11 - - - - -",
        "Oct 32 22:14:15 h a: m",
        "Feb 30 22:14:15 h a: m",
        "Oct 11 24:14:15 h a: m",
        "Oct 11 22:14 h a: m",
        "oct 11 22:14:15 h a: m",
        "Oct 11 22:14:15: m",
        "2026-11-22 10:00:00 h a: m",
        "2026-13-22T10:00:00Z h a: m",
    ] {
        assert!(read("syslog", "host", line).unwrap_err().starts_with("no syslog: "), "{line}");
    }
}
