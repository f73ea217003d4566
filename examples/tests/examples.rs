//! The programs of this folder print what they promise, and do it to the files that they are given.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Where the programs are, built as this test was, and into the same folder.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("this test has a path");
        // target/PROFILE/deps/TEST
        let profile_folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
        let target = profile_folder.parent().expect("a profile lies in the target folder");
        let profile = if profile_folder.ends_with("release") { "release" } else { "dev" };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--examples", "--profile", profile, "--manifest-path"])
            .arg(Path::new(FOLDER).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status();
        assert!(status.expect("cargo starts").success(), "the examples do not build");
        profile_folder.join("examples")
    })
}

fn command(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    // Resolving a stack takes long in a debug build.
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the examples print text")
}

fn run_with<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Vec<String> {
    let Output { status, stdout, stderr } = command(name).args(arguments).output().expect("the example starts");
    let errors = text(stderr);
    assert!(status.success(), "{name} ended with {status}: {errors}");
    assert_eq!(errors, "", "{name} wrote to standard error");
    text(stdout).lines().map(str::to_string).collect()
}

fn run(name: &str) -> Vec<String> {
    run_with(name, [""; 0])
}

/// Lines without a time, which differs from run to run.
fn without_times(mut lines: Vec<String>, time_lines: &[&str]) -> Vec<String> {
    let all = lines.len();
    lines.retain(|line| !time_lines.iter().any(|start| line.trim_start().starts_with(start)));
    assert_eq!(all - lines.len(), time_lines.len(), "not every time is there: {lines:?}");
    lines
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_program_is_listed_and_tested() {
    let manifest = fs::read_to_string(Path::new(FOLDER).join("Cargo.toml")).unwrap();
    let table = fs::read_to_string(Path::new(FOLDER).join("README.md")).unwrap();
    let tests = include_str!("examples.rs");
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some(OsStr::new("rs")) {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(manifest.contains(&format!("path = \"{name}.rs\"")), "Cargo.toml lacks {name}");
        assert!(table.contains(&format!("[{name}]({name}.rs)")), "README.md lacks {name}");
        assert!(tests.contains(&format!("(\"{name}\"")), "{name} is not tested");
    }
}

#[test]
fn first_process() {
    let expected =
        ["Hello from a new process!", "It ended with exit status: 0", "The quitter ended with exit status: 3"];
    assert_eq!(run("first_process"), expected);
}

#[test]
fn pool_map() {
    assert_eq!(run("pool_map"), ["Results: [2, 4, 6, 8, 10]", "Powers: [1024, 81]", "Limits above: [3, 1]"]);
}

#[test]
fn two_processes() {
    let lines = without_times(run("two_processes"), &["Total time taken: ", "One after the other: "]);
    let task = |i: u64| [format!("Starting task {i}"), format!("Task {i} completed: 752938")];
    // The first two as they come, the others in order.
    let (at_once, in_turn) = lines.split_at(4);
    assert_eq!(sorted(at_once.to_vec()), sorted([task(1), task(2)].concat()));
    assert_eq!(in_turn, [task(3), task(4)].concat());
}

#[test]
fn named_processes() {
    let lines = run("named_processes");
    let pid_of = |name: &str| {
        let start = format!("Process {name} (PID: ");
        let line = lines.iter().find_map(|line| line.strip_prefix(&start)).expect("each process tells its id");
        line.strip_suffix(") starting...").expect("the line ends so").parse::<u32>().unwrap()
    };
    let pids = ["Worker", "Worker-0", "Worker-1", "Worker-2"].map(pid_of);
    assert!(pids.iter().enumerate().all(|(i, pid)| !pids[..i].contains(pid)), "{pids:?}");
    assert!(lines.contains(&"Process Worker completed: 17984 primes below 200000".to_string()));
    for i in 0..3 {
        assert!(lines.contains(&format!("Process Worker-{i} completed: 9592 primes below 100000")));
        assert!(lines.contains(&format!("Worker-{i} (PID: {}) ended with exit status: 0", pids[i + 1])));
    }
}

#[test]
fn executor() {
    let squares = "Squares: [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]";
    assert_eq!(run("executor"), [squares, "Sum of the squares: 385"]);
}

#[test]
fn callbacks() {
    let lines = sorted(run("callbacks"));
    let sum = |n: u64| format!("Task {n} completed with result: {}", (0..n).map(|i| i * i).sum::<u64>());
    assert_eq!(lines[..5], [10_000, 20_000, 30_000, 40_000, 50_000].map(sum));
    assert!(lines[5].starts_with("Task failed: panicked at "), "{}", lines[5]);
    assert!(lines[5].ends_with(": the sum does not fit into 64 bits"), "{}", lines[5]);
    assert_eq!(lines.len(), 6);
}

#[test]
fn safe_worker() {
    let lines = run("safe_worker");
    for (line, start) in lines.iter().zip(["Task 1: 1", "Task 2: 4", "Task -3 failed", "Task 4: 16", "Task -5 failed"])
    {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(lines[2].contains("Negative input not allowed (examples/safe_worker.rs:"), "{}", lines[2]);
    assert_eq!(lines.len(), 5);
    let traced = command("safe_worker").env("RUST_BACKTRACE", "1").output().unwrap();
    assert!(text(traced.stdout).contains("safe_worker::safe_worker"), "the stack names the function");
}

#[test]
fn failures() {
    let lines = run("failures");
    assert_eq!(lines[..3], ["task 0: 0", "task 1: 10", "task 2: panicked: I do not like 2"]);
    assert!(lines[3].starts_with("task 3: the worker was killed by signal 6 (SIGABRT)"), "{}", lines[3]);
    assert_eq!(lines[4..], ["task 4: longer than 2s", "task 5: 50"]);
}

#[test]
fn initializer() {
    assert_eq!(run("initializer"), ["[Some(2), None, Some(0)]"]);
}

#[test]
fn managed_pool() {
    let work = ["Mapped: [1, 2, 6, 24, 120]", "Submitted: 2432902008176640000"];
    let lives = ["A worker runs: true", "It runs after finish: false", "Another runs after drop: false"];
    assert_eq!(run("managed_pool"), [&work[..], &lives].concat());
}

#[test]
fn matrix_product() {
    let lines = without_times(run("matrix_product"), &["Sequential: ", "Parallel: ", "Speedup: "]);
    for (line, size) in lines.iter().zip([500, 400, 300, 200, 100]) {
        let trace = line.strip_prefix(&format!("{size} x {size}: trace ")).expect("the largest come first");
        // A mean of 1/4 for each of the size² products of two numbers from 0 to 1.
        let mean = trace.parse::<f64>().unwrap() / f64::from(size * size);
        assert!((0.23..0.27).contains(&mean), "{line}");
    }
    assert_eq!(lines[5..], ["Same results: true"]);
}

#[test]
fn cpu_and_memory() {
    let times = ["Sequential: ", "Parallel: ", "Speedup: "].repeat(2);
    let lines = run("cpu_and_memory");
    assert_eq!(lines.len(), 10);
    let kept: Vec<&String> = lines.iter().filter(|line| !times.iter().any(|t| line.trim().starts_with(t))).collect();
    assert_eq!(kept, ["CPU-bound:", "  Same results: true", "Memory-bound:", "  Same results: true"]);
}

#[test]
fn process_rows() {
    let lines = without_times(run("process_rows"), &["Processing time: "]);
    assert_eq!(lines.len(), 10);
    for (i, line) in lines.iter().enumerate() {
        match i {
            6 => assert_eq!(line, "Row 6 failed: reports gets more requests than it can answer"),
            8 => assert!(line.starts_with("Row 8 failed: CSV deserialize error: record 9 (line: 10"), "{line}"),
            _ => assert!(line.starts_with(&format!("Processed row {i}: ")) && line.ends_with(" ms"), "{line}"),
        }
    }
    // Such a queue (M/M/1) keeps 99% below ln(100) / (1 / service time - arrivals per time): here 23.03 ms.
    let delay_ms = lines[0].strip_prefix("Processed row 0: login answers 99% within ").unwrap();
    let delay_ms: f64 = delay_ms.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((22.0..24.0).contains(&delay_ms), "{delay_ms}");
}

#[test]
fn health_checks() {
    let lines = without_times(run("health_checks"), &["Health check completed in: "]);
    let expected = [
        "Server server1 is healthy: 200 OK",
        "Server server2 is healthy: 200 OK",
        "Server server3 is not healthy: ran longer than 2s and was killed",
        "Server server4 is not healthy: 503 Service Unavailable",
        "Server server5 is healthy: 200 OK",
        "Server server6 is not healthy: Connection refused (os error 111)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn log_search() {
    let lines = run("log_search");
    assert_eq!(lines[..3], ["log1.txt: 1200", "log2.txt: 600", "log3.txt: 400"]);
    assert!(lines[3].starts_with("Not counted: failed to read ") && lines[3].contains("log4.txt`: no such file"));
    assert_eq!(lines[4..], ["Total Errors/WARNs: 2200"]);

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("odd.log");
    fs::write(&log, b"ERROR and WARN in one line\n\xff\xfe ERROR\nwarn\n\nlast WARN").unwrap();
    assert_eq!(run_with("log_search", [&log]), ["odd.log: 3", "Total Errors/WARNs: 3"]);
}

#[test]
fn json_to_csv() {
    let first = ["timestamp,value", "2026-01-01T00:00:00,0.5", "2026-01-01T00:01:00,1.5", "2026-01-01T00:02:00,4.5"];
    assert_eq!(run("json_to_csv"), [&["Records: 1001"], &first[..]].concat());

    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.json"), folder.path().join("out.csv"));
    // Fewer records than workers, and numbers that do not divide evenly.
    for count in [0, 1, 2, 3, 7, 1000] {
        let records: Vec<String> = (0..count).map(|n| format!(r#"{{"value":{n},"timestamp":"t,{n}"}}"#)).collect();
        fs::write(&input, format!("[{}]", records.join(","))).unwrap();
        run_with("json_to_csv", [&input, &output]);
        let rows: String = (0..count).map(|n| format!("\"t,{n}\",{n}\n")).collect();
        assert_eq!(mode(&output), mode(&input));
        assert_eq!(fs::read_to_string(&output).unwrap(), format!("timestamp,value\n{rows}"), "{count} records");
    }

    fs::remove_file(&output).unwrap();
    fs::write(&input, r#"[{"timestamp": "now", "value": 1}, {"timestamp": now}]"#).unwrap();
    let failed = command("json_to_csv").args([&input, &output]).output().unwrap();
    assert!(!failed.status.success());
    let told = text(failed.stderr);
    assert!(told.contains("in.json`: byte 50: expected a value"), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the input is there");
}

#[test]
fn grayscale() {
    let lines = run("grayscale");
    let sizes = ["processed_image1.jpg: 160x120", "processed_image2.jpg: 320x240", "processed_image3.jpg: 480x360"];
    assert_eq!(lines[..3], sizes);
    assert!(lines[3].starts_with("Left out: failed to convert ") && lines[3].contains("image4.jpg: "), "{}", lines[3]);
    assert_eq!(lines.len(), 4);

    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("blue.png");
    image::RgbImage::from_pixel(5, 4, image::Rgb([0, 0, 255])).save(&photo).unwrap();
    assert_eq!(run_with("grayscale", [&photo]), ["processed_blue.png: 5x4"]);
    let image::DynamicImage::ImageLuma8(gray) = image::open(folder.path().join("processed_blue.png")).unwrap() else {
        panic!("it has colours")
    };
    assert_eq!(gray.dimensions(), (5, 4));
    // Blue gives 7% of the brightness (ITU-R BT.709).
    assert!(gray.pixels().all(|pixel| (17..=19).contains(&pixel.0[0])));
}

#[test]
fn resize_images() {
    let lines = without_times(run("resize_images"), &["Total time: "]);
    assert_eq!(lines, (1..=6).map(|i| format!("Resized photo{i}.jpg")).collect::<Vec<_>>());

    let folder = tempfile::tempdir().unwrap();
    let (images, output) = (folder.path().join("images"), folder.path().join("a/b"));
    fs::create_dir(&images).unwrap();
    image::RgbImage::from_pixel(70, 400, image::Rgb([200, 0, 0])).save(images.join("tall.jpg")).unwrap();
    fs::write(images.join("broken.jpg"), "not an image").unwrap();
    let lines = run_with("resize_images", [&images, &output]);
    assert!(lines[0].starts_with("Left out: failed to resize broken.jpg: "), "{}", lines[0]);
    assert_eq!(lines[1], "Resized tall.jpg");
    assert_eq!(image::image_dimensions(output.join("tall.jpg")).unwrap(), (300, 300));
}

#[test]
fn load_generation() {
    let lines = without_times(run("load_generation"), &["Delay of 50%", "Delay of 99%", "Delay of 100%", "Rate: "]);
    assert_eq!(lines, ["Requests: 1000", "Status 200: 900", "Status 503: 100"]);
}

/// What a Fernet token holds, if it is genuine.
fn decrypt(key: &str, token: &str) -> Option<Vec<u8>> {
    let key = URL_SAFE.decode(key).ok()?;
    let token = URL_SAFE.decode(token).ok()?;
    let (signing, encryption) = key.split_at_checked(16)?;
    let (signed, tag) = token.split_at_checked(token.len().checked_sub(32)?)?;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(signing).ok()?;
    mac.update(signed);
    mac.verify_slice(tag).ok()?;
    let (head, text) = signed.split_at_checked(25)?;
    let cipher = cbc::Decryptor::<aes::Aes128>::new_from_slices(encryption, &head[9..]).ok()?;
    (head[0] == 0x80).then(|| cipher.decrypt_padded_vec::<Pkcs7>(text).ok())?
}

#[test]
fn encrypt() {
    assert_eq!(run("encrypt"), (1..=3).map(|i| format!("Encrypted: file{i}.txt.enc")).collect::<Vec<_>>());

    // verify.json of https://github.com/fernet/spec: this test decrypts as others do.
    let token = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    let key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    assert_eq!(decrypt(key, token).as_deref(), Some(&b"hello"[..]));

    let folder = tempfile::tempdir().unwrap();
    let [key, text, empty, none] = ["key", "text", "empty", "none"].map(|name| folder.path().join(name));
    fs::write(&text, "a secret of more than one block\n").unwrap();
    fs::write(&empty, "").unwrap();
    let mut tokens = Vec::new();
    // The first run makes the key, the second uses it.
    for _ in 0..2 {
        let lines = run_with("encrypt", [&key, &text, &empty, &none]);
        assert_eq!(lines[..2], ["Encrypted: text.enc", "Encrypted: empty.enc"]);
        assert!(lines[2].starts_with("Left out: failed to encrypt ") && lines[2].contains("none: No such file"));
        assert_eq!((mode(&key), mode(&folder.path().join("text.enc"))), (0o600, mode(&text)));
        let key = fs::read_to_string(&key).unwrap();
        for path in [&text, &empty] {
            let token = fs::read_to_string(format!("{}.enc", path.display())).unwrap();
            assert_eq!(decrypt(key.trim_end(), &token).unwrap(), fs::read(path).unwrap());
            tokens.push(token);
        }
    }
    assert!(tokens[0] != tokens[2], "each has a random start value of its own");
}

#[test]
fn compress() {
    let lines = run("compress");
    for (line, (name, before)) in lines.iter().zip([("app1", 23461), ("app2", 500_295), ("app3", 121_742)]) {
        let after = line.strip_prefix(&format!("{name}.log.gz: ")).unwrap();
        let after: u64 = after.strip_suffix(&format!(" bytes instead of {before}")).unwrap().parse().unwrap();
        assert!(after < before / 3, "{line}");
    }
    assert_eq!(lines.len(), 3);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.txt");
    let bytes = b"0123456789".repeat(50_000);
    fs::write(&file, &bytes).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    run_with("compress", [&file]);
    assert_eq!(mode(&folder.path().join("data.txt.gz")), 0o640);
    let mut unpacked = Vec::new();
    let packed = fs::File::open(folder.path().join("data.txt.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == bytes);
}

#[test]
fn train() {
    let lines = run("train");
    let accuracies =
        lines[0].strip_prefix("Accuracy for each chunk: [").and_then(|rest| rest.strip_suffix(']')).unwrap();
    let accuracies: Vec<f64> = accuracies.split(", ").map(|a| a.parse().unwrap()).collect();
    assert_eq!(accuracies.len(), 4);
    // Chance alone keeps it from 1; guessing would give 0.5.
    assert!(accuracies.iter().all(|a| (0.9..1.0).contains(a)), "{accuracies:?}");
}

#[test]
fn hash_files() {
    // FIPS 180-2, appendix B, has the last two.
    let expected = [
        "file1.txt: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "file2.txt: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "file3.txt: cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    ];
    assert_eq!(run("hash_files"), expected);
    let lines = run_with("hash_files", ["/nowhere"]);
    assert_eq!(lines, ["Left out: failed to read /nowhere: No such file or directory (os error 2)"]);
}

#[test]
fn package_artifacts() {
    assert_eq!(run("package_artifacts"), ["api.tar.gz: 4 files", "web.tar.gz: 21 files", "worker.tar.gz: 8 files"]);

    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("app-1.0");
    fs::create_dir_all(folder.join("lib/empty")).unwrap();
    fs::write(folder.join("lib/b"), "b").unwrap();
    fs::write(folder.join("a"), "a").unwrap();
    std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
    let pack = || {
        assert_eq!(run_with("package_artifacts", [&folder]), ["app-1.0.tar.gz: 3 files"]);
        fs::read(scratch.path().join("app-1.0.tar.gz")).unwrap()
    };
    let packed = pack();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    fs::File::open(folder.join("a")).unwrap().set_modified(old).unwrap();
    assert!(pack() == packed, "the same files give the same bytes, whenever they were written");

    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let describe = |mut entry: tar::Entry<'_, _>| {
        let name = entry.path().unwrap().display().to_string();
        if let Some(target) = entry.link_name().unwrap() {
            return format!("{name} -> {}", target.display());
        }
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if entry.header().entry_type().is_dir() { format!("{name}/") } else { format!("{name}: {content}") }
    };
    let entries: Vec<String> = archive.entries().unwrap().map(|entry| describe(entry.unwrap())).collect();
    let expected =
        ["app-1.0/", "app-1.0/a: a", "app-1.0/lib/", "app-1.0/lib/b: b", "app-1.0/lib/empty/", "app-1.0/link -> a"];
    assert_eq!(entries, expected);
}

#[test]
fn value_array() {
    assert_eq!(run("value_array"), ["Counter: 2000", "Name: Alice", "Counter: 2001"]);
}

#[test]
fn manager_status() {
    assert_eq!(run("manager_status"), ["Final status: completed"]);
}

#[test]
fn manager_objects() {
    let lines = run("manager_objects");
    assert!(
        lines[0].starts_with(r#"Shared dict: [("Worker-0", "Process Worker-0 was here"), ("Worker-1","#),
        "{lines:?}"
    );
    let entries: Vec<String> = (0..4).map(|n| format!("Entry from Worker-{n}")).collect();
    assert_eq!(lines[1], format!("Shared list: {entries:?}"));
    assert_eq!(lines[2], r#"Most frequent word: Some(("worker", 8))"#);
}

#[test]
fn queue() {
    let mut items: Vec<String> = run("queue")
        .iter()
        .map(|line| line.split_once(" consumed: ").expect("a consumer says what it has got").1.to_string())
        .collect();
    items.sort();
    let expected: Vec<String> =
        ["a", "b"].iter().flat_map(|name| (0..5).map(move |i| format!("Producer-{name}-Item-{i}"))).collect();
    assert_eq!(items, expected);
}

#[test]
fn shared_array() {
    // The sum of the squares below n is (n - 1) n (2n - 1) / 6.
    let expected = ["First 10 elements: [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0, 64.0, 81.0]"];
    let lines = run("shared_array");
    assert_eq!(lines[..1], expected);
    let sum: f64 = lines[1].strip_prefix("Sum: ").unwrap().parse().unwrap();
    let exact = 999_999.0 * 1_000_000.0 * 1_999_999.0 / 6.0;
    assert!((sum / exact - 1.0).abs() < 1e-9, "{sum} is not about {exact}");
}

#[test]
fn pipe() {
    let mut expected: Vec<String> = (0..5).map(|i| format!("Received: Message {i}")).collect();
    expected.push("No more messages".to_string());
    assert_eq!(run("pipe"), expected);
}
