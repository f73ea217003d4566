//! Fields: against a slow model, and at the borders.

use std::collections::BTreeMap;

use super::*;
use crate::time::Timestamp;

/// A line, and what the model knows of it.
#[derive(Debug, Clone)]
struct Line {
    /// As JSON; none of a line that cannot be read.
    key: Option<&'static str>,
    number: Option<i32>,
    /// Seconds since 1970.
    time: Option<i64>,
    is_error: bool,
}

impl Line {
    fn text(&self) -> String {
        let Some(key) = self.key else { return "{broken".to_string() };
        let number = self.number.map_or("null".to_string(), |number| number.to_string());
        let time = self.time.map_or(String::new(), |time| format!(r#""ts":"{}","#, stamp(time)));
        let word = if self.is_error { "ERROR" } else { "fine" };
        format!(r#"{{{time}"k":{key}, "v":{number},"msg":"{word}"}}"#)
    }
}

fn stamp(seconds: i64) -> String {
    Timestamp::from_unix(seconds, 0).unwrap().to_string()
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let key = prop_oneof![
        8 => prop::sample::select(vec!["1", "\"1\"", "1.0", "null", "true", "\"a\"", "\"\\u0061\"", "\"\\u0000\"", "[1, 2]"]).prop_map(Some),
        1 => Just(None),
    ];
    let time = prop::option::weighted(0.9, 1_700_000_000_i64..1_700_000_400);
    let line = (key, prop::option::of(-50..50_i32), time, any::<bool>())
        .prop_map(|(key, number, time, is_error)| Line { key, number, time, is_error });
    prop::collection::vec(line, 0..80)
}

/// The value by which lines are grouped, as the report shows it.
fn shown(key: &str) -> Value {
    match key {
        "\"\\u0061\"" => json!("a"),
        // A number stays as it stands, and an array is text.
        "[1, 2]" => json!("[1,2]"),
        key => serde_json::from_str(key).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn all_is_as_the_model_has_it(
        lines in lines(),
        cut in 0_usize..80,
        since in 1_700_000_000_i64..1_700_000_200,
        memory_bytes in prop::sample::select(vec![0, 300, 1 << 20]),
    ) {
        let folder = TempDir::new().unwrap();
        let (first, second) = lines.split_at(cut.min(lines.len()));
        let text = |lines: &[Line]| lines.iter().map(|line| line.text() + "\n").collect::<String>();
        let paths = [file(&folder, "a", text(first).as_bytes()), file(&folder, "b", text(second).as_bytes())];
        let since_text = stamp(since);
        let args = ["--by", "k", "--stats", "v", "--histogram", "1m", "--where", "v is null or v < 40", "-e", "ERROR"];
        let args = args.into_iter().chain(["--since", &since_text, "--parse", "json"]).map(OsStr::new);
        let args: Vec<&OsStr> = args.chain(paths.iter().map(|path| path.as_os_str())).collect();
        let mut job = job(&args).unwrap();
        job.gather = job.context.query.as_ref().map(|query| Gather::new(query, MAX_GROUPS, memory_bytes));
        let (report, failures) = drive(job);
        prop_assert_eq!(failures, Vec::<String>::new());
        let result = report.json();

        let parsed: Vec<&Line> = lines.iter().filter(|line| line.key.is_some()).collect();
        let wanted: Vec<&&Line> = parsed.iter().filter(|line| line.number.is_none_or(|number| number < 40)).collect();
        let timed: Vec<&&&Line> = wanted.iter().filter(|line| line.time.is_some()).collect();
        let selected: Vec<&Line> = timed.iter().map(|line| ***line).filter(|line| line.time >= Some(since)).collect();
        let counts = &result["parsed"];
        prop_assert_eq!(&counts["lines"], lines.len());
        prop_assert_eq!(&counts["unparsed"], lines.len() - parsed.len());
        prop_assert_eq!(&counts["without_time"], wanted.len() - timed.len());
        prop_assert_eq!(&counts["selected"], selected.len());
        prop_assert_eq!(&result["patterns"][0]["lines"], selected.iter().filter(|line| line.is_error).count());

        let mut groups: BTreeMap<String, (Value, Vec<i32>, u64)> = BTreeMap::new();
        let mut spans: BTreeMap<i64, u64> = BTreeMap::new();
        for line in &selected {
            let value = shown(line.key.unwrap());
            // 1.0 is no other number to serde_json, but another text.
            let group = groups.entry(format!("{}{value}", line.key == Some("1.0"))).or_insert((value, Vec::new(), 0));
            group.1.extend(line.number);
            group.2 += 1;
            *spans.entry(line.time.unwrap().div_euclid(60) * 60).or_insert(0) += 1;
        }
        let found = &result["groups"];
        prop_assert_eq!(&found["count"], groups.len());
        prop_assert_eq!(&found["not_shown"], &json!({"groups": 0, "lines": 0}));
        let mut rows = found["rows"].as_array().unwrap().clone();
        prop_assert_eq!(rows.len(), groups.len());
        prop_assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row["lines"].as_u64())));
        for (value, numbers, count) in groups.into_values() {
            let mean = numbers.iter().map(|number| f64::from(*number)).sum::<f64>() / numbers.len() as f64;
            let at = rows.iter().position(|row| {
                let stats = &row["stats"]["v"];
                row["key"] == json!([value])
                    && row["lines"] == count
                    && stats["count"] == numbers.len()
                    && stats["min"] == json!(numbers.iter().min())
                    && stats["max"] == json!(numbers.iter().max())
                    && (numbers.is_empty() || stats["mean"] == mean)
            });
            prop_assert!(at.is_some(), "{value} {count} {numbers:?} in {rows:?}");
            rows.remove(at.unwrap());
        }
        let buckets = result["histogram"]["buckets"].as_array().unwrap();
        let some: Vec<Value> = buckets.iter().filter(|bucket| bucket["lines"] != 0).cloned().collect();
        let expected: Vec<Value> =
            spans.iter().map(|(from, lines)| json!({"from": stamp(*from), "lines": lines})).collect();
        prop_assert_eq!(some, expected);
        let first_to_last = spans.keys().next_back().zip(spans.keys().next()).map_or(0, |(last, first)| (last - first) / 60 + 1);
        prop_assert_eq!(buckets.len() as i64, first_to_last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_worker_that_lies_does_no_harm(
        lines in lines(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        is_asked in any::<bool>(),
    ) {
        let folder = TempDir::new().unwrap();
        let text: String = lines.iter().map(|line| line.text() + "\n").collect();
        let path = file(&folder, "a", text.as_bytes());
        let asked = ["--by", "k", "--stats", "v", "--histogram", "1m", "--show-unparsed", "3"].map(OsStr::new);
        let args = [&["--parse=json", "-e", "ERROR", "--show=2"].map(OsStr::new)[..], &[path.as_os_str()]].concat();
        let honest = job(&[&asked[..], &args].concat()).unwrap();
        let mut lied_to = if is_asked { job(&[&asked[..], &args].concat()).unwrap() } else { job(&args).unwrap() };
        for planned in lied_to.plan(&FilesAhead::default()).unwrap().tasks {
            let Planned::Task(item, task) = planned else { panic!("a failure") };
            let mut bytes = postcard::to_stdvec(&LogsJob::run(&honest.context, task).unwrap()).unwrap();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Ok(done) = postcard::from_bytes(&bytes) {
                let _ = lied_to.fold(&item, done);
            }
        }
        let _ = lied_to.finish(true);
        let report = Box::new(lied_to).report();
        let mut text = Vec::new();
        report.text(&mut text).unwrap();
        let is_hidden = |letter: char| letter.is_control() && !['\n', '\t'].contains(&letter);
        prop_assert!(!String::from_utf8(text).unwrap().contains(is_hidden));
        report.json();
        report.warnings();
        let table = report.table();
        prop_assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
    }
}

#[test]
fn times_are_from_since_on_and_before_until() {
    let folder = TempDir::new().unwrap();
    let text = ["09:59:59.999999999", "10:00:00", "10:59:59.999", "11:00:00"]
        .map(|time| format!("{{\"time\":\"2026-11-22T{time}Z\"}}\n"))
        .concat();
    let path = file(&folder, "log", text.as_bytes());
    for (since, until, expected) in [
        ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z", 2),
        ("2026-11-22T10:00:00.000000001Z", "2026-11-22T11:00:00.000000001Z", 2),
        ("2026-11-22T11:00:00+01:00", "2026-11-23", 3),
    ] {
        let args = ["--parse", "json", "--since", since, "--until", until].map(OsStr::new);
        let (result, _) = run(&[&args[..], &[path.as_os_str()]].concat());
        assert_eq!(result["parsed"]["selected"], expected, "{since} {until}");
    }
}

#[test]
fn so_long_ago_is_a_time_of_its_own_in_what_a_journal_is_for() {
    let clock = Clock::at(Timestamp::from_unix(1_700_000_000, 0).unwrap());
    let purpose = |clock| {
        let cli = Cli::try_parse_from(["logs", "--parse", "json", "--since", "1h", "x"]).unwrap();
        crate::purpose(&LogsJob::at(cli.logs, 2, clock).unwrap())
    };
    assert!(purpose(clock).contains("2023-11-14T21:13:20Z"), "{}", purpose(clock));
    assert_eq!(purpose(clock), purpose(clock));
    let later = Clock::at(Timestamp::from_unix(1_700_000_001, 0).unwrap());
    assert_ne!(purpose(clock), purpose(later));
}

#[test]
fn what_workers_get_is_the_same_all_day() {
    let context = |seconds, args: &[&str]| {
        let cli = Cli::try_parse_from(["logs", "x"].iter().chain(args)).unwrap();
        let clock = Clock::at(Timestamp::from_unix(seconds, 0).unwrap());
        postcard::to_stdvec(LogsJob::at(cli.logs, 2, clock).unwrap().context()).unwrap()
    };
    let midnight = 1_700_006_400;
    for args in [&["--parse=json", "--histogram=1m"][..], &["--parse=nginx", "--histogram=1m"], &["--by=a"]] {
        assert_eq!(context(midnight, args), context(midnight + 86_399, args));
    }
    let syslog = ["--parse=syslog", "--histogram=1m"];
    assert_ne!(context(midnight - 1, &syslog), context(midnight, &syslog));
    assert_eq!(context(midnight - 1, &["--by=a"]), context(midnight, &["--by=a"]));
}

#[test]
fn what_cannot_be_read_is_shown_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let huge = format!("{{\"k\":\"{}\",\"v\":1}}", "x".repeat(70_000));
    let text = ["{\"k\":1,\"v\":1}", "nothing", "{\"k\":2,\"v\":\"many\"}", &huge, ""].join("\n") + "\r\n{\"k\":1}";
    let path = file(&folder, "log", text.as_bytes());
    let args = ["--parse", "json", "--where", "v + 1 > 0 or v is null", "--by", "k", "--show-unparsed", "9"];
    let (result, failures) = run(&[&args.map(OsStr::new)[..], &[path.as_os_str()]].concat());
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(result["groups"]["rows"], json!([{"key": [1], "lines": 2}]));
    let unparsed = result["unparsed_lines"].as_array().unwrap();
    let reasons: Vec<&str> = unparsed.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons[0].contains("object") && reasons[1].starts_with("--where: "), "{reasons:?}");
    assert!(reasons[2].contains("64 KiB"), "{reasons:?}");
    assert_eq!((&unparsed[0]["offset"], &unparsed[0]["line"]), (&json!(14), &json!("nothing")));
    assert_eq!(result["files"][0]["unparsed"], 4);
    // Fewer are shown, the first ones, and all are counted.
    let (result, _) = run(&["--parse".as_ref(), "json".as_ref(), "--show-unparsed=1".as_ref(), path.as_os_str()]);
    assert_eq!((result["unparsed_lines"].as_array().unwrap().len(), &result["parsed"]["unparsed"]), (1, &json!(2)));
}

#[test]
fn too_many_spans_are_an_error_that_names_the_flag() {
    let folder = TempDir::new().unwrap();
    let text: String = (0..=100_000).map(|second| format!("{{\"ts\":{}}}\n", 1_700_000_000 + second)).collect();
    let path = file(&folder, "log", text.as_bytes());
    let (result, failures) = run(&["--parse=json".as_ref(), "--histogram=1s".as_ref(), path.as_os_str()]);
    assert!(failures.len() == 1 && failures[0].contains("--histogram"), "{failures:?}");
    assert_eq!(result["parsed"]["selected"], 100_001);
    let (result, failures) = run(&["--parse=json".as_ref(), "--histogram=2s".as_ref(), path.as_os_str()]);
    assert_eq!((failures.len(), result["histogram"]["buckets"].as_array().unwrap().len()), (0, 50_001));
}

#[test]
fn bad_questions_name_their_flag() {
    for (args, flag) in [
        (&["--by", "a,,b"][..], "--by"),
        (&["--by", "a,a"], "--by"),
        (&["--stats", "a b"], "--stats"),
        (&["--stats", "a", "--stats", "a"], "--stats"),
        (&["--where", "a >"], "--where"),
        (&["--since", "soon"], "--since"),
        (&["--since", "-1h"], "--since"),
        (&["--since", "20261122"], "--since"),
        (&["--until", "2026"], "--until"),
        (&["--until", "2026-13-01"], "--until"),
        (&["--since", "2026-11-22", "--until", "2026-11-22"], "--since, --until"),
        (&["--time", "ts"], "--time"),
        (&["--parse", "regex:("], "--parse"),
    ] {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).chain([OsStr::new("x")]).collect();
        let message = job(&args).unwrap_err().to_string();
        assert!(message.contains(flag), "{args:?}: {message}");
    }
    for args in [
        ["--top", "0"],
        ["--top", "3"],
        ["--histogram", "soon"],
        ["--histogram", "-1s"],
        ["--parse", "csv"],
        ["--show-unparsed", "-1"],
    ] {
        let error = Cli::try_parse_from(["logs", "x"].into_iter().chain(args)).unwrap_err();
        assert!(error.to_string().contains(args[0]), "{error}");
    }
}

#[test]
fn without_questions_nothing_is_asked() {
    let job = job(&["x", "-e", "ERROR"].map(OsStr::new)).unwrap();
    assert!(job.context.query.is_none() && job.gather.is_none());
}
