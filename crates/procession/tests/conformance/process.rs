//! `Process`: one child process, one function.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use procession::{ErrorKind, Process, ProcessBuilder};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{Gate, Kind, arrive, is_running, pass, raise, until_gone};

fn builder(kind: Kind) -> ProcessBuilder {
    Process::builder().start_method(kind.method())
}

fn notes((gate, note): (PathBuf, String)) {
    arrive(&gate, &note);
}

fn notes_and_waits((gate, note): (PathBuf, String)) {
    arrive(&gate, &note);
    pass(&gate);
}

pub fn it_runs_and_ends(kind: Kind) {
    let gate = Gate::new();
    let mut process = builder(kind).name("greeter").spawn(notes, (gate.path(), "hello".to_string())).unwrap();
    assert_eq!((process.name(), process.is_daemon()), ("greeter", false));
    assert!(process.pid() > 0 && process.pid() != std::process::id());
    assert!(process.join().unwrap().success());
    assert!(process.join().unwrap().success(), "joining again gives the same");
    assert!(!process.is_alive());
    assert_eq!(gate.arrivals(), ["hello"]);
}

fn ends(how: i32) {
    match how {
        0 => {}
        1 => panic!("a process panics"),
        2 => std::process::exit(42),
        3 => std::process::abort(),
        signal => raise(signal),
    }
}

pub fn its_end_is_told(kind: Kind) {
    for (how, code, signal) in [
        (0, Some(0), None),
        (1, Some(101), None),
        (2, Some(42), None),
        (3, None, Some(6)),
        (9, None, Some(9)),
        (11, None, Some(11)),
    ] {
        let mut process = builder(kind).spawn(ends, how).unwrap();
        let status = process.join().unwrap();
        assert_eq!((status.code(), status.signal()), (code, signal), "{how}");
        assert_eq!(process.exit_status(), Some(status));
    }
}

pub fn it_is_waited_for_or_not(kind: Kind) {
    let gate = Gate::new();
    let mut process = builder(kind).spawn(notes_and_waits, (gate.path(), "here".to_string())).unwrap();
    gate.wait_for_arrivals(1);
    assert_eq!(process.join_timeout(Duration::from_millis(5)).unwrap(), None);
    assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), None);
    assert!(process.is_alive() && process.exit_status().is_none());
    gate.open();
    assert!(process.join_timeout(Duration::MAX).unwrap().unwrap().success());
}

pub fn it_is_ended_by_signals(kind: Kind) {
    for signal in [15, 9] {
        let gate = Gate::new();
        let mut process = builder(kind).spawn(notes_and_waits, (gate.path(), "here".to_string())).unwrap();
        gate.wait_for_arrivals(1);
        if signal == 15 {
            process.terminate()
        } else {
            process.kill()
        }
        assert_eq!(process.join().unwrap().signal(), Some(signal));
        // Too late, and harmless.
        process.kill();
        process.terminate();
    }
    // As soon as it is there it can be killed.
    for _ in 0..20 {
        let mut process = builder(kind).spawn(|()| std::thread::sleep(Duration::from_secs(1000)), ()).unwrap();
        process.kill();
        assert_eq!(process.join().unwrap().signal(), Some(9));
    }
}

pub fn a_daemon_ends_with_its_handle(kind: Kind) {
    let gate = Gate::new();
    let process = builder(kind).daemon(true).spawn(notes_and_waits, (gate.path(), "here".to_string())).unwrap();
    gate.wait_for_arrivals(1);
    let pid = process.pid() as i32;
    assert!(process.is_daemon() && is_running(pid));
    drop(process);
    assert!(!is_running(pid));
}

pub fn others_are_waited_for(kind: Kind) {
    let gate = Gate::new();
    let process = builder(kind).spawn(notes_and_waits, (gate.path(), "here".to_string())).unwrap();
    let pid = process.pid() as i32;
    let path = gate.path();
    gate.wait_for_arrivals(1);
    let opener = std::thread::spawn(move || std::fs::write(path.join("open"), "").unwrap());
    drop(process);
    assert!(gate.path().join("open").exists() && !is_running(pid));
    opener.join().unwrap();
}

fn counts((gate, bytes): (PathBuf, Vec<u8>)) {
    arrive(&gate, &bytes.iter().map(|&b| u64::from(b)).sum::<u64>().to_string());
}

pub fn its_argument_may_be_large(kind: Kind) {
    for len in [0, 1, 100_000, 40_000_000] {
        let gate = Gate::new();
        assert!(builder(kind).spawn(counts, (gate.path(), vec![2; len])).unwrap().join().unwrap().success());
        assert_eq!(gate.arrivals(), [(2 * len).to_string()]);
    }
}

struct Mute;

impl Serialize for Mute {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("mute"))
    }
}

impl<'de> Deserialize<'de> for Mute {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Mute, D::Error> {
        Ok(Mute)
    }
}

pub fn its_argument_may_not_travel(kind: Kind) {
    let error = builder(kind).spawn(|_: Mute| (), Mute).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadArgument);
    assert!(error.to_string().starts_with("failed to encode the argument of the process"), "{error}");
}

#[allow(clippy::zombie_processes)] // Nobody waits for them: that is the point.
fn starts_others(gate: PathBuf) {
    for setsid in ["", "setsid "] {
        let script = format!("{setsid}sh -c ': > \"$0/at-$$\"; exec sleep 1000' \"$0\" & wait");
        Command::new("sh").arg("-c").arg(script).arg(&gate).spawn().unwrap();
    }
    pass(&gate);
}

pub fn its_children_end_with_it(kind: Kind) {
    for signal in [false, true] {
        let gate = Gate::new();
        let mut process = builder(kind).spawn(starts_others, gate.path()).unwrap();
        let children = gate.wait_for_arrivals(2);
        if signal {
            process.kill()
        } else {
            gate.open()
        }
        process.join().unwrap();
        children.iter().for_each(|pid| until_gone(pid.parse().unwrap()));
    }
}

pub fn many_at_once(kind: Kind) {
    let gate = Gate::new();
    let mut processes: Vec<_> =
        (0..20).map(|n| builder(kind).spawn(notes_and_waits, (gate.path(), n.to_string())).unwrap()).collect();
    gate.wait_for_arrivals(20);
    processes[7].kill();
    assert_eq!(processes[7].join().unwrap().signal(), Some(9));
    assert!(processes.iter_mut().enumerate().all(|(n, p)| p.is_alive() == (n != 7)));
    gate.open();
    for (n, process) in processes.iter_mut().enumerate() {
        assert_eq!(process.join().unwrap().success(), n != 7);
    }
}
