//! Against serde_json, which takes and refuses the same but for what is named here.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::data::{FieldPath, Raw};

/// Whether a text is one value.
fn is_json(text: &[u8]) -> Result<(), Fault> {
    let mut scan = Scan::new(text);
    scan.space();
    scan.value(0)?;
    scan.space();
    match scan.peek() {
        None => Ok(()),
        Some(_) => Err(scan.fault("something stands behind")),
    }
}

#[test]
fn what_is_no_json_is_refused_where_it_stops_being_some() {
    for (text, at) in [
        ("", 0),
        ("[1,]", 3),
        ("[,1]", 1),
        ("{\"a\":1,}", 7),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("01", 1),
        ("-", 1),
        ("-01", 2),
        ("1.", 2),
        (".5", 0),
        ("+1", 0),
        ("1e", 2),
        ("1e+", 3),
        ("0x1", 1),
        ("NaN", 0),
        ("Infinity", 0),
        ("nul", 0),
        ("truee", 4),
        ("'a'", 0),
        ("\"a", 2),
        ("\"\t\"", 1),
        ("\"0123456789abcdef\n\"", 17),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\ud800\"", 1),
        ("\"\\ud800\\u0041\"", 1),
        ("\"\\udc00\"", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("[[[", 3),
        ("1 2", 2),
        ("\u{feff}1", 0),
        ("\u{a0}1", 0),
    ] {
        assert_eq!(is_json(text.as_bytes()).map_err(|fault| fault.at), Err(at), "{text}");
    }
}

#[test]
fn what_is_json_is_taken() {
    for text in [
        "0",
        "-0",
        "-0.0e-0",
        "1E400",
        "123456789012345678901234567890.5",
        " null ",
        "\"\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{}",
        "[[],{},[{}]]",
        "{\"\":[1,{\"a\":{}}]}",
        "\t[ 1 , 2 ]\r\n",
        "\"\u{7f}\u{20ac}\"",
        "\"\\u0000\"",
    ] {
        assert_eq!(is_json(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn depth_is_an_error_and_no_crash() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| [open.repeat(depth), "1".into(), close.repeat(depth)].concat();
        assert_eq!(is_json(nested(scan::MAX_DEPTH).as_bytes()), Ok(()));
        let fault = is_json(nested(1_000_000).as_bytes()).unwrap_err();
        assert_eq!(fault.at, scan::MAX_DEPTH * open.len());
        assert!(fault.reason.contains("512 deep"), "{}", fault.reason);
    }
}

/// Pieces of JSON and of what is none, so that every second text is some.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\":",
        "1",
        "0",
        "-",
        ".5",
        "e1",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\\",
        "\\n",
        "\\u00e4",
        "\\ud83d\\ude00",
        "x",
        "\u{e4}",
        "\"long enough for a block\"",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30).prop_map(|parts| parts.concat().into_bytes())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "\\PC{0,20}|[\\x00-\\x7f]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\\\]{0,2}", inner), 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn texts_are_taken_as_serde_takes_them(text in texts()) {
        // A value that is thrown away may be a number of any size.
        let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(is_json(&text).is_ok(), theirs.is_ok());
    }

    #[test]
    fn values_come_through(value in values()) {
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(is_json(&pretty), Ok(()));
        let small = minify(&pretty);
        prop_assert_eq!(&small[..], &serde_json::to_vec(&value).unwrap()[..]);
        if let Value::Object(object) = &value {
            let mut found = serde_json::Map::new();
            members(&pretty, |name, quoted, raw| {
                let name = String::from_utf8(name.text().unwrap().into_owned()).unwrap();
                assert_eq!(serde_json::from_slice::<String>(quoted).unwrap(), name);
                let mut json = Vec::new();
                crate::data::write_json(&raw, &mut json);
                found.insert(name, serde_json::from_slice(&json).unwrap());
            }).unwrap();
            prop_assert_eq!(&found, object);
        }
    }

    #[test]
    fn strings_are_written_and_read_as_the_same(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let mut json = Vec::new();
        write_string(text.as_bytes(), &mut json);
        prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text.clone());
        let escaped = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        prop_assert_eq!(is_json(format!("\"{escaped}\"").as_bytes()), Ok(()));
        prop_assert_eq!(unescape(escaped.as_bytes()), text.into_bytes());
    }
}

#[test]
fn wanted_fields_are_found_wherever_they_are() {
    let paths: Vec<FieldPath> = ["a", "h.n", "h", "`x.y`"].iter().map(|path| path.parse().unwrap()).collect();
    let wanted = Wanted::new(&paths).unwrap();
    let mut shape = Shape::default();
    for (text, expected, unknown) in [
        ("{}", ["", "", "", ""], ""),
        (r#"{"a":1,"h":{"n":2},"x.y":3}"#, ["1", "2", r#"{"n":2}"#, "3"], ""),
        (r#"{"x.y":3 , "h":{"m":[{}], "n":"2"},"b":0}"#, ["", "\"2\"", r#"{"m":[{}],"n":"2"}"#, "3"], "b"),
        // The last one counts, with all that is in it.
        (r#"{"a":1,"a":2,"h":{"n":1},"h":{"m":1}}"#, ["2", "", r#"{"m":1}"#, ""], ""),
        (r#"{"h":{"n":1},"h":7}"#, ["", "", "7", ""], ""),
        (r#"{"\u0061":5,"x":{"y":1}}"#, ["5", "", "", ""], "x"),
    ] {
        let mut slots = vec![Raw::Null; 4];
        let mut told = String::new();
        let mut scan = Scan::new(text.as_bytes());
        wanted
            .read(&mut scan, &mut slots, &mut shape, &mut |name| {
                told.push_str(std::str::from_utf8(&name.text().unwrap()).unwrap());
            })
            .unwrap();
        let found: Vec<String> = slots
            .iter()
            .map(|raw| {
                let mut json = Vec::new();
                if *raw != Raw::Null {
                    crate::data::write_json(raw, &mut json);
                }
                String::from_utf8(json).unwrap()
            })
            .collect();
        assert_eq!((found.iter().map(String::as_str).collect::<Vec<_>>(), told.as_str()), (expected.to_vec(), unknown));
    }
}

/// Digits are looked at eight at a time, and what follows them may be any byte.
#[test]
fn a_number_ends_at_the_first_byte_that_is_no_digit() {
    for digits in 1..20 {
        for other in 0..=255_u8 {
            if other.is_ascii_digit() || matches!(other, b'.' | b'e' | b'E') {
                continue;
            }
            let mut text = b"1234567890123456789"[..digits].to_vec();
            text.push(other);
            text.extend(b"5678 5678");
            let mut scan = Scan::new(&text);
            assert_eq!(scan.value(0).unwrap(), Raw::Number(&text[..digits]), "{digits} {other}");
        }
    }
}

/// An object as it may be written: names from a few, in any order, with or without white space, values of any kind; some
/// are broken.
fn object() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("a"),
        Just("b"),
        Just("\\u0061"),
        Just("h"),
        Just("a-name-that-is-longer-than-thirty-two-bytes")
    ];
    let value = prop_oneof![
        Just("1"),
        Just("-2.5e3"),
        Just("\"text\""),
        Just("null"),
        Just("[1, {}]"),
        Just("{\"n\":2}"),
        Just("{\"n\" : [], \"n\":3}"),
        Just("x"),
    ];
    let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n ")];
    let member = (space(), name, space(), space(), value, space());
    prop::collection::vec(member, 0..5).prop_map(|members| {
        let members = members.iter().map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"));
        format!("{{{}}}{}", members.collect::<Vec<_>>().join(","), " ".repeat(40))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_shape_of_other_objects_changes_nothing(objects in prop::collection::vec(object(), 1..6)) {
        let paths: Vec<FieldPath> = ["b", "h.n", "a", "h"].iter().map(|path| path.parse().unwrap()).collect();
        let wanted = Wanted::new(&paths).unwrap();
        let read = |text: &str, shape: &mut Shape| {
            let (mut scan, mut slots, mut told) = (Scan::new(text.as_bytes()), vec![Raw::Null; 4], Vec::new());
            let read = wanted.read(&mut scan, &mut slots, shape, &mut |name| told.push(name.text().unwrap().into_owned()));
            let slots: Vec<String> = slots.iter().map(|slot| format!("{slot:?}")).collect();
            (read, scan.at(), slots, told)
        };
        let mut shape = Shape::default();
        // Each comes twice, since it is the second that meets its own shape.
        for text in objects.iter().flat_map(|text| [text, text]) {
            prop_assert_eq!(read(text, &mut shape), read(text, &mut Shape::default()), "{}", text);
        }
    }
}
