//! The supervisor is started before the flags are read, and ends with the program also if nobody needed it.

use std::fs::{self, OpenOptions};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::common::{Lab, descendants, is_alive, poll, send, until, wait};

/// A variable that only the processes of one run have.
const MARK: &str = "PROCESSION_TEST_MARK";

/// Processes with this mark in their environment: the program and all that it has started, whoever their parent is by now.
fn marked(mark: &str) -> Vec<u32> {
    let variable = format!("{MARK}={mark}");
    let has_mark = |pid: &u32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|&byte| byte == 0).any(|found| found == variable.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(has_mark).collect()
}

fn marked_command(mut command: Command, mark: &str) -> Command {
    command.env(MARK, mark);
    command
}

#[test]
fn nothing_is_left_of_a_run_without_workers() {
    let lab = Lab::new();
    lab.file("a", "a\n");
    let lines = [
        ("$P logs --no-such-flag a", 2),
        ("$P no-such-job", 2),
        ("$P hash --dry-run a", 0),
        ("$P logs --dry-run a | cat", 0),
        ("out=$($P completions bash); test -n \"$out\"", 0),
        ("$P man logs | head -n 1 >/dev/null", 0),
        ("$P --help", 0),
    ];
    for (number, (line, code)) in lines.into_iter().enumerate() {
        let mark = format!("{}-{number}", std::process::id());
        let mut shell = marked_command(lab.shell_command(line), &mark);
        // Returns when nobody has the pipes any more.
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(poll(|| marked(&mark).is_empty()), "{line}: {:?} are left", marked(&mark));
    }
}

/// A run without workers that waits for the writer of `fifo` while it plans, and its supervisor.
fn planning(lab: &Lab, mark: &str) -> (Child, u32) {
    lab.shell("rm -f fifo; mkfifo fifo").expect(0);
    let command = lab.command(["hash", "--check", "--dry-run", "fifo"]);
    let mut child = marked_command(command, mark).stdout(Stdio::null()).spawn().unwrap();
    let below = until(|| {
        assert_eq!(child.try_wait().unwrap(), None);
        Some(descendants(child.id())).filter(|below| !below.is_empty())
    });
    let [supervisor] = below[..] else { panic!("{below:?}") };
    (child, supervisor)
}

#[test]
fn a_supervisor_that_nobody_needed_ends_with_the_program() {
    let lab = Lab::new();
    lab.file("a", "a\n");
    for is_killed in [false, true] {
        let mark = format!("{}-{is_killed}", std::process::id());
        let (mut child, supervisor) = planning(&lab, &mark);
        // The new program runs before the kernel has its environment for those who look.
        assert!(poll(|| marked(&mark).contains(&supervisor)));
        if is_killed {
            send(child.id(), Signal::KILL);
            assert_eq!(wait(&mut child).code(), None);
        } else {
            // An empty list; the reader goes on once it is there.
            drop(OpenOptions::new().write(true).open(lab.path("fifo")).unwrap());
            assert!(wait(&mut child).code().is_some());
        }
        assert!(poll(|| !is_alive(supervisor) && marked(&mark).is_empty()), "{:?} are left", marked(&mark));
    }
}
