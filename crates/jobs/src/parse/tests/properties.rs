//! What a model writes comes back, and no bytes do harm.

use proptest::prelude::*;

use super::{parser, read};
use crate::data::Raw;
use crate::data::json::{Shape, is_number, write_string};

const FORMATS: [&str; 7] =
    ["auto", "json", "logfmt", "nginx", "apache", "syslog", r"regex:(?<a>\w+)=(?<b>[^ ]*)(?: (?<message>.*))?$"];

/// Texts with all that is special somewhere.
fn texts() -> impl Strategy<Value = String> {
    "[a-c0-1 \"'\\\\=\\[\\]{}<>:?/.,\t\u{1}\u{7f}\u{e4}\u{1f600}-]{0,12}"
}

/// As a value is shown by the other tests, if it stood there without quotes.
fn typed(text: &str) -> String {
    match text {
        "true" | "false" => format!("#{text}"),
        "null" => "NULL".into(),
        number if is_number(number.as_bytes()) => format!("#{number}"),
        text => text.into(),
    }
}

fn known(text: &str) -> String {
    if text == "-" { "NULL".into() } else { text.into() }
}

/// Escapes as nginx writes them, and as Apache does.
fn escaped(text: &str, server: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        let mut bytes = [0; 4];
        match letter {
            '"' | '\\' if server == "apache" => out.extend(['\\', letter]),
            '\t' if server == "apache" => out.push_str("\\t"),
            ' '..='~' if letter != '"' && letter != '\\' => out.push(letter),
            letter => out.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\x{byte:02X}"))),
        }
    }
    out
}

proptest! {
    #[test]
    fn logfmt_is_read_as_it_was_written(
        pairs in prop::collection::vec(("[a-c.\u{e4}-]{1,3}", prop_oneof![
            texts().prop_map(|text| (true, text)),
            "[a-c0-9.=\"\\\\-]{0,6}|true|false|null|-?[1-9][0-9]{0,3}(\\.[0-9])?".prop_map(|text| (false, text)),
        ]), 1..6),
    ) {
        let mut line = Vec::new();
        for (key, (is_quoted, value)) in &pairs {
            line.extend(format!(" {key}=").as_bytes());
            match is_quoted {
                true => write_string(value.as_bytes(), &mut line),
                false => line.extend(value.trim_start_matches('"').as_bytes()),
            }
        }
        for (key, _) in &pairs {
            let (_, (is_quoted, value)) = pairs.iter().rfind(|(other, _)| other == key).unwrap();
            let expected = if *is_quoted { value.clone() } else { typed(value.trim_start_matches('"')) };
            let found = read("logfmt", &format!("`{key}`"), &line);
            prop_assert_eq!(found, Ok(vec![expected]), "{}", String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn access_logs_are_read_as_they_were_written(
        server in prop::sample::select(&["nginx", "apache"][..]),
        user in "[a-c \\[\\]\"\\\\]{0,6}[a-c]",
        path in "/[a-c \"\\\\%\u{e4}]{0,6}",
        query in prop::option::of("[a-c =?\"]{0,6}"),
        agents in (texts(), texts()),
        status in 100..600_u32,
        more in prop::sample::select(&["", " ", " 0.001", " \"x\"", " \""][..]),
    ) {
        let names = match server {
            "nginx" => "remote_user path query protocol status http_referer http_user_agent",
            _ => "user path query protocol status referer user_agent",
        };
        let uri = match &query {
            None => path.clone(),
            Some(query) => format!("{path}?{query}"),
        };
        let quoted = |text: &str| format!("\"{}\"", escaped(text, server));
        let line = format!(
            "::1 - {} [22/Nov/2026:10:01:02 +0100] {} {status} 5 {} {}{more}",
            escaped(&user, server), quoted(&format!("GET {uri} HTTP/1.1")), quoted(&agents.0), quoted(&agents.1),
        );
        let expected = vec![
            user, path, query.unwrap_or("NULL".into()), "HTTP/1.1".into(), format!("#{status}"), known(&agents.0), known(&agents.1),
        ];
        prop_assert_eq!(read(server, names, &line), Ok(expected.clone()), "{}", line);
        prop_assert_eq!(read("auto", names, &line), Ok(expected), "{}", line);
    }

    #[test]
    fn syslog_is_read_as_it_was_written(
        priority in 0..192_u32,
        words in ("[!-~]{1,8}", "[!-~]{1,8}", "[a-z][!-~]{0,7}", "[!-~]{1,8}"),
        parameters in prop::collection::vec(("[a-c@.]{1,2}", "[a-c.]{1,2}", texts()), 0..4),
        message in prop::option::of(texts()),
    ) {
        let mut data = String::new();
        for (id, name, value) in &parameters {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
            data += &format!("[{id} {name}=\"{value}\"]");
        }
        if data.is_empty() {
            data.push('-');
        }
        let (host, app, pid, id) = &words;
        let behind = message.as_ref().map(|message| format!(" {message}")).unwrap_or_default();
        let line = format!("<{priority}>1 2026-11-22T10:01:02.5Z {host} {app} {pid} {id} {data}{behind}");
        let expected = vec![
            format!("#{priority}"), format!("#{}", priority / 8), format!("#{}", priority % 8),
            known(host), known(app), known(pid), known(id), known(&data), message.unwrap_or("NULL".into()),
        ];
        let names = "priority facility severity host app pid msgid structured_data message";
        prop_assert_eq!(read("syslog", names, &line), Ok(expected.clone()), "{}", line);
        prop_assert_eq!(read("auto", names, &line), Ok(expected), "{}", line);
        for (id, name, _) in &parameters {
            let value = &parameters.iter().rfind(|(i, n, _)| i == id && n == name).unwrap().2;
            prop_assert_eq!(read("syslog", &format!("sd.`{id}`.`{name}`"), &line), Ok(vec![value.clone()]), "{}", line);
        }
    }

    #[test]
    fn no_bytes_do_harm(
        format in prop::sample::select(&FORMATS[..]),
        pieces in prop::collection::vec(prop::sample::select(&[
            "<13>", "1 ", "Oct 11 22:14:15 ", "2026-11-22T10:00:00Z ", "h a[1]: ", "- ", "[a b=\"", "\"]", "{", "}", "a", "=", "\"", "\\",
            "\\x", "\\u", "d83d", " ", "GET / HTTP/1.1", "[22/Nov/2026:10:01:02 +0100] ", "200 5", ":1", "\t", "\u{e4}", "message", "\r", ",", ":",
        ][..]), 0..16),
        wild in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut line = pieces.concat().into_bytes();
        for (at, byte) in wild {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = byte;
            }
        }
        let names = match format {
            "nginx" => "remote_addr request path http_user_agent",
            "apache" => "vhost request path user_agent",
            "syslog" => "facility pid message sd.a.b",
            _ => "a b message",
        };
        let parser = parser(format, names);
        let mut slots = vec![Raw::Null; parser.slots()];
        if parser.read(&line, &mut slots, &mut Shape::default()).is_ok() {
            slots.iter().for_each(|slot| drop(slot.cell()));
        }
    }
}

#[test]
fn long_lines_take_no_longer_than_they_are_long() {
    // A parser that looked back for each of them would not come to an end.
    for piece in ["\"", "\\", "[", "] ", "[a", "{\"a\":", " a=\"b\"", "\\u00", "<", "::", "=", " - ", "[a b=\"c\"]"] {
        let many = piece.repeat(300_000 / piece.len());
        for begin in [
            "",
            "a=\"",
            "<13>1 - - - - - ",
            "::1 - - [22/Nov/2026:10:01:02 +0100] \"",
            "{\"a\":\"",
            "Oct 11 22:14:15 h ",
        ] {
            let line = format!("{begin}{many}");
            for format in ["auto", "logfmt", "apache", "syslog"] {
                let _ = read(format, if format == "apache" { "path" } else { "message" }, &line);
            }
        }
    }
}
