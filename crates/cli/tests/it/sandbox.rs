//! What workers of the toolbox reach: their inputs, by whatever name, and nothing else.

use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::common::{Lab, descendants, is_alive, poll, reader_of, send, until, wait};

#[test]
fn what_was_read_before_is_read_in_a_sandbox() {
    let lab = Lab::new();
    lab.file("folder/deep/file", "one\n");
    lab.file("elsewhere/file", "two\n");
    lab.file("plain", "three\n");
    symlink("elsewhere/file", lab.path("link")).unwrap();
    symlink("link", lab.path("chain")).unwrap();
    symlink("elsewhere", lab.path("linked-folder")).unwrap();
    symlink("../elsewhere/file", lab.path("folder/skipped")).unwrap();
    let inputs = "folder ./plain folder/../plain link chain linked-folder /proc/version /proc/sys/kernel/ostype \
                  <(echo piped) /dev/stdin /dev/null -";
    for command in ["hash -q -j 2", "logs -j 2 -e t --format csv"] {
        let run = |mode: &str| lab.shell(&format!("echo input | $P {command} --sandbox {mode} {inputs}"));
        let free = run("off").expect(0);
        assert!(free.out().contains("folder/deep/file") && free.out().contains("/proc/version"), "{free:?}");
        for mode in ["auto", "require"] {
            let caged = run(mode);
            if mode == "require" && caged.code == 2 {
                assert!(caged.err.contains("--sandbox auto"), "{caged:?}");
                continue;
            }
            let caged = caged.expect(0);
            // The process substitution has another name each time.
            let lines =
                |text: &str| text.lines().filter(|l| !l.contains("/dev/fd")).map(str::to_string).collect::<Vec<_>>();
            assert_eq!(lines(caged.out()), lines(free.out()), "{command} {mode}");
        }
    }
}

#[test]
fn very_many_named_files_and_lists_of_them_are_read() {
    let lab = Lab::new();
    for n in 0..400 {
        lab.file(format!("files/{n}"), n.to_string());
    }
    symlink("../files/7", lab.path("link")).unwrap_or(());
    lab.shell("$P hash -q -j 2 files/* > list && [ $(wc -l < list) = 400 ]").expect(0);
    lab.run(["hash", "--check", "-q", "list"]).expect(0);
    // A folder in a list is no file, and its contents are not granted either.
    lab.shell("head -3 list > few && sed 's,files/1$,/,' few > hostile; $P hash --check -q hostile").expect(1);
}

#[test]
fn the_report_says_what_is_in_force() {
    let lab = Lab::new();
    lab.file("file", "text\n");
    let json = lab.run(["hash", "--format", "json", "-q", "file"]).expect(0).json();
    let auto = json["sandbox"].as_str().unwrap().to_string();
    assert!(["Landlock ABI ", "seccomp", "none: "].iter().any(|start| auto.starts_with(start)), "{auto}");
    let json = lab.run(["hash", "--format", "json", "-q", "--sandbox", "off", "file"]).expect(0).json();
    assert_eq!(json["sandbox"], "off");
    let verbose = lab.run(["hash", "-v", "file"]).expect(0);
    assert!(verbose.err.contains(&format!("sandbox: {auto}")), "{verbose:?}");
}

/// What the program was started with is not its workers' to read.
#[test]
fn what_the_program_inherits_stays_with_it() {
    let lab = Lab::new();
    let secret = lab.file("secret", "text\n");
    lab.endless("endless");
    let mut program = lab.shell_command("exec $P hash -q -j 1 endless 9< secret").spawn().unwrap();
    let has_secret = |pid: u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.flat_map(|entry| std::fs::read_link(entry.path())).any(|target| target == secret)
    };
    let worker = until(|| reader_of(program.id(), &lab.path("endless")));
    let found = (has_secret(program.id()), descendants(program.id()).into_iter().any(has_secret));
    send(program.id(), Signal::KILL);
    wait(&mut program);
    assert!(poll(|| !is_alive(worker)));
    assert_eq!(found, (true, false));
}

#[test]
fn the_doctor_tells_in_words_and_json() {
    let lab = Lab::new();
    let json = lab.run(["doctor", "--format", "json"]).expect(0).json();
    assert_eq!(json["is_enough"], true);
    for name in ["cpus", "memory", "cgroup", "landlock", "seccomp", "memfd", "pidfd", "open_files", "io_uring"] {
        let fact = &json["facts"][name];
        assert!(fact["state"].is_string() && fact["found"].is_string() && fact["meaning"].is_string(), "{name}");
    }
    assert!(json["facts"]["cpus"]["usable"].as_u64().unwrap() >= 1);
    let words = lab.run(["doctor"]).expect(0);
    assert!(words.out().contains("landlock") && words.out().contains("four for each worker"), "{words:?}");
    // With too few descriptors there is no pool.
    let poor = lab.shell("ulimit -n 20; $P doctor").expect(1);
    assert!(poor.out().contains("not enough to run: open_files missing"), "{poor:?}");
}
