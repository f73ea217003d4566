//! `procession logs` with fields: what is asked of lines, and what is answered.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Lab, Run, send, until, wait};

/// Lines of an access log, as nginx writes them by default.
const ACCESS: &str = r#"10.0.0.1 - - [22/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5.0"
10.0.0.2 - bob [22/Nov/2026:10:00:30 +0000] "POST /login HTTP/1.1" 302 0 "https://example.org/" "Mozilla/5.0"
10.0.0.1 - - [22/Nov/2026:10:02:10 +0000] "GET /missing HTTP/1.1" 404 153 "-" "curl/8.5.0"
this is no line of it
10.0.0.3 - - [22/Nov/2026:10:02:59 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5.0"
"#;

/// The result of a run with `--format json`.
fn result(lab: &Lab, args: &[&str]) -> Value {
    lab.run([&["logs", "--format", "json"], args].concat()).expect(0).json()["result"].clone()
}

/// Many lines of JSON in a few files.
fn many_lines(lab: &Lab) {
    for file in 0..4 {
        let line = |n: u32| {
            let n = n * 4 + file;
            format!("{{\"user\":\"u{}\",\"ms\":{}.5,\"ts\":{}}}\n", n * 7919 % 5003, n % 997, 1_700_000_000 + n)
        };
        lab.file(format!("d/{file}"), (0..5000).map(line).collect::<String>());
    }
}

#[test]
fn an_access_log_is_grouped_by_status() {
    let lab = Lab::new();
    lab.file("access.log", ACCESS);
    let args = ["logs", "--parse", "nginx", "--by", "status", "--stats", "body_bytes_sent", "--histogram", "1m"];
    let run = lab.run([&args[..], &["--show-unparsed", "1", "access.log"]].concat()).expect(0);
    assert_eq!(
        run.out().split("first lines").next().unwrap(),
        "path             lines  selected  unparsed\n\
         access.log           5         4         1\n\
         total of 1 file      5         4         1\n\
         \n\
         status  lines  field            count  min  mean  p50  p90  p99  max\n\
         200         2  body_bytes_sent      2  612   612  612  612  612  612\n\
         302         1  body_bytes_sent      1    0     0    0    0    0    0\n\
         404         1  body_bytes_sent      1  153   153  153  153  153  153\n\
         \n\
         field            count  min   mean  p50  p90  p99  max\n\
         body_bytes_sent      4    0  344.2  153  608  608  612\n\
         \n\
         from                  lines\n\
         2026-11-22T10:00:00Z      2  ########################################\n\
         2026-11-22T10:01:00Z      0\n\
         2026-11-22T10:02:00Z      2  ########################################\n\
         \n"
    );
    let place = format!("\naccess.log:{}: ", ACCESS.find("this is").unwrap());
    assert!(run.out().contains(&place), "{}", run.out());
    assert!(run.out().ends_with(": this is no line of it\n"), "{}", run.out());
    assert_eq!(run.messages(), ["1 of 5 lines could not be read"]);
    let csv = lab.run([&args[..5], &["--format", "csv", "access.log"]].concat());
    assert!(csv.expect(0).out().starts_with("status,lines\n200,2\n302,1\n404,1\n"));
}

#[test]
fn each_group_has_a_row_for_each_field_and_fields_that_are_nowhere_are_told() {
    let lab = Lab::new();
    lab.file("a.ndjson", "{\"k\":1,\"v\":2,\"w\":3}\n{\"k\":1,\"v\":4}\n{\"k\":2}\n");
    let args = ["logs", "--by", "k", "--stats", "v", "--stats", "w", "--top", "1", "a.ndjson"];
    let run = lab.run(args).expect(0);
    let groups = "\n\n\
         k  lines  field  count  min  mean  p50  p90  p99  max\n\
         1      2  v          2    2     3    2    2    2    4\n\
         \x20         w          1    3     3    3    3    3    3\n\
         1 more group with 1 lines is not shown\n\n";
    let shown = run.out().replace("1.99", "2").replace("2.991", "3");
    assert!(shown.contains(groups), "{shown}");
    let run = lab.run(["logs", "--by", "kk", "--stats", "v", "--stats", "vv", "a.ndjson"]).expect(0);
    let none = |field, flag| format!("no line that is counted has the field `{field}` ({flag})");
    assert_eq!(run.messages()[..2], [none("kk", "--by"), none("vv", "--stats")]);
    lab.file("a.txt", "x\ny\n");
    let run = lab.run(["logs", "--by", "k", "a.txt"]).expect(0);
    assert!(run.err.starts_with("2 of 2 lines could not be read (--parse tells their format)\n"), "{}", run.err);
}

#[test]
fn lines_of_json_are_filtered_and_patterns_count_what_is_left() {
    let lab = Lab::new();
    let lines = [
        r#"{"level":"error","host":{"name":"a"},"took":12}"#,
        r#"{"level":"info","host":{"name":"b"},"took":1}"#,
        r#"{"level":"error","host":{"name":"b"},"took":700}"#,
        r#"{"level":"error","host":{"name":"b"},"took":"long"}"#,
    ];
    lab.file("app.ndjson", lines.join("\n"));
    let args = ["--parse", "json", "--where", "level = 'error' and took > 10", "--by", "host=host.name"];
    let found = result(&lab, &[&args[..], &["-e", "700|info", "app.ndjson"]].concat());
    assert_eq!(
        found["parsed"],
        json!({"format": "json", "since": null, "until": null, "lines": 4, "unparsed": 0, "without_time": 0, "selected": 2})
    );
    assert_eq!(
        found["groups"],
        json!({
            "by": ["host"],
            "count": 2,
            "rows": [{"key": ["a"], "lines": 1}, {"key": ["b"], "lines": 1}],
            "not_shown": {"groups": 0, "lines": 0},
        })
    );
    assert_eq!((&found["lines"], &found["patterns"][0]["lines"]), (&json!(4), &json!(1)));
    // The members of before stay.
    assert_eq!(
        found["files"],
        json!([{"path": "app.ndjson", "lines": 4, "patterns": [1], "selected": 2, "unparsed": 0}])
    );
}

#[test]
fn workers_and_chunks_change_nothing() {
    let lab = Lab::new();
    many_lines(&lab);
    let args = ["--parse", "json", "--by", "user", "--stats", "ms", "--histogram", "1h", "--top", "20", "d"];
    let one = result(&lab, &[&["-j", "1"], &args[..]].concat());
    assert_eq!(one, result(&lab, &[&["-j", "4"], &args[..]].concat()));
    // Ties are told apart by the key: 20,000 lines of 5003 users.
    let rows = one["groups"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &one["groups"]["count"]), (20, &json!(5003)));
    let mut users: Vec<&str> = rows.iter().map(|row| row["key"][0].as_str().unwrap()).collect();
    assert!(rows.iter().all(|row| row["lines"] == 4));
    let shown = users.clone();
    users.sort_unstable();
    assert_eq!(shown, users);
    assert_eq!(one["groups"]["not_shown"], json!({"groups": 4983, "lines": 20_000 - 80}));
    // One stream of all of it is cut elsewhere.
    let streamed = lab.shell(&format!("cat d/* | $P logs --format json {} -", args[..args.len() - 1].join(" ")));
    let streamed = &streamed.expect(0).json()["result"];
    for member in ["parsed", "groups", "stats", "histogram"] {
        assert_eq!(streamed[member], one[member], "{member}");
    }
}

#[test]
fn an_hour_ago_is_not_the_same_when_the_job_is_taken_up_again() {
    let lab = Lab::new();
    many_lines(&lab);
    let args = ["logs", "--parse", "json", "--by", "user", "--journal", "journal", "--resume"];
    let fixed = ["--since", "2023-11-14T22:30:00Z", "--top", "3", "d"];
    let first = lab.run([&args[..], &fixed].concat()).expect(0);
    let again = lab.run([&args[..], &fixed].concat()).expect(0);
    assert!(again.err.contains("from the journal") && again.out() == first.out(), "{}", again.err);
    let refused = lab.run([&args[..], &["--since", "1h", "d"]].concat()).expect(2);
    assert!(refused.err.contains("another purpose") && refused.err.contains("--force"), "{}", refused.err);
}

/// Runs with more groups than are kept in memory, into a folder for temporary things of its own.
fn spilling(lab: &Lab) -> std::process::Command {
    fs::create_dir_all(lab.path("tmp")).unwrap();
    let mut command = lab.command(["logs", "--parse", "json", "--by", "k", "--top", "2", "--format", "json", "d", "e"]);
    command.env("TMPDIR", lab.path("tmp"));
    command
}

#[test]
fn more_groups_than_fit_in_memory_are_put_into_a_file_that_does_not_stay() {
    let lab = Lab::new();
    // 100 MB of keys; the program keeps 64 MiB. Each is in two files.
    for file in 0..8_u32 {
        let line = |n: u32| format!("{{\"k\":\"{:0>10000}\"}}\n", file % 4 * 3000 + n);
        lab.file(format!("d/{file}"), (0..1300).map(line).collect::<String>());
    }
    // Behind them there is always something left to do.
    for file in 0..30 {
        lab.file(format!("e/{file}"), "");
    }
    // Killed when it has begun to spill.
    let mut child =
        spilling(&lab).args(["--delay", "100ms"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let spilled = until(|| {
        let folders = lab.names("tmp");
        let has_groups = folders.iter().any(|folder| lab.path("tmp").join(folder).join("groups").exists());
        (has_groups || child.try_wait().unwrap().is_some()).then_some(has_groups)
    });
    assert!(spilled, "nothing was put into a file");
    send(child.id(), Signal::KILL);
    wait(&mut child);
    // The next run removes what was left, and leaves nothing.
    let output = spilling(&lab).output().unwrap();
    let run = Run { code: output.status.code().unwrap(), out: output.stdout, err: String::new() };
    let groups = &run.expect(0).json()["result"]["groups"];
    assert_eq!((&groups["count"], &groups["rows"][1]["lines"]), (&json!(5200), &json!(2)));
    assert_eq!(groups["rows"][0]["key"][0].as_str().unwrap(), "0".repeat(10_000));
    assert_eq!(groups["not_shown"], json!({"groups": 5198, "lines": 10_396}));
    assert!(lab.names("tmp").is_empty());
}

#[test]
fn bad_flags_end_with_2_and_are_named() {
    let lab = Lab::new();
    lab.file("a", "{}\n");
    for (args, flag) in [
        (&["--parse", "xml"][..], "--parse"),
        (&["--parse", "regex:("], "--parse"),
        (&["--parse", "nginx", "--by", "colour"], "--parse"),
        (&["--by", "a b"], "--by"),
        (&["--where", "a >"], "--where"),
        (&["--since", "soon"], "--since"),
        (&["--histogram", "0s"], "--histogram"),
        (&["--top", "3"], "--by"),
        (&["--by", "a", "--top", "0"], "--top"),
        (&["--time", "a"], "--time"),
    ] {
        let run = lab.run([&["logs", "-o", "report"], args, &["a"]].concat()).expect(2);
        assert!(run.err.contains(flag) && run.out.is_empty(), "{args:?}: {}", run.err);
        assert_eq!(lab.names("."), ["a"]);
    }
}
