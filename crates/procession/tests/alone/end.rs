//! The program ends, by whatever means, and all of its descendants with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use procession::{Pool, Process, StartMethod};

use crate::support::{Gate, arrive, pass, square, until, until_gone};
use crate::{part, program, watched};

/// Starts `sleep` in a session of its own, which notes its pid, and another below that one.
fn escape(gate: &Path) {
    let script = "setsid sh -c 'sh -c \": > $0/at-\\$\\$; exec sleep 1000\" & : > $0/at-$$; exec sleep 1000' $0 &";
    Command::new("sh").arg("-c").arg(script).arg(gate).spawn().unwrap().wait().unwrap();
}

/// Task: leaves children of several kinds behind it, says so, and stays.
fn breeds(gate: PathBuf) {
    escape(&gate);
    arrive(&gate, &std::process::id().to_string());
    pass(&gate);
}

/// Task: has a pool of its own, whose task breeds.
fn nests(gate: PathBuf) {
    arrive(&gate, &std::process::id().to_string());
    Pool::builder().workers(1).build().unwrap().apply(breeds, gate).unwrap();
}

/// What the program does until it is ended: notes of all that there is are left at the gate.
fn start_everything(gate: PathBuf) {
    let forked = Pool::builder().workers(2).build().unwrap();
    let spawned = Pool::builder().workers(1).start_method(StartMethod::Spawn).build().unwrap();
    let tasks =
        [forked.submit(breeds, gate.clone()), forked.submit(nests, gate.clone()), spawned.submit(breeds, gate.clone())];
    let mut process = Process::spawn(breeds, gate).unwrap();
    tasks.into_iter().for_each(|task| drop(task.unwrap().wait()));
    process.join().unwrap();
}

/// Two escaped ones of each of four breeders, these four, and the worker with the nested pool.
const DESCENDANTS: usize = 13;

fn start(name: &str, gate: &Gate) -> (Child, Vec<i32>) {
    let program =
        program(name, gate.path().to_str().unwrap()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let noted = gate.wait_for_arrivals(DESCENDANTS).iter().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>();
    // With the supervisors, and whatever else there is.
    let children = procession_os::children_of_all();
    let mut all = procession_os::descendants(&children, program.id() as i32);
    assert!(noted.iter().all(|pid| all.contains(pid)), "{noted:?} {all:?}");
    all.extend(noted);
    (program, all)
}

fn ends_with_all(name: &str, end: impl FnOnce(&mut Child)) {
    watched(name, || match part() {
        Some(path) => {
            start_everything(PathBuf::from(path));
        }
        None => {
            let gate = Gate::new();
            let (mut program, descendants) = start(name, &gate);
            end(&mut program);
            program.wait().unwrap();
            descendants.into_iter().for_each(until_gone);
        }
    });
}

#[test]
fn by_kill() {
    ends_with_all("end::by_kill", |program| program.kill().unwrap());
}

#[test]
fn by_a_request() {
    ends_with_all("end::by_a_request", |program| {
        procession_os::signal_process(program.id() as i32, 15);
    });
}

#[test]
fn by_a_crash() {
    ends_with_all("end::by_a_crash", |program| {
        procession_os::signal_process(program.id() as i32, 6);
    });
}

/// Ctrl-C goes to all of the terminal's foreground group.
#[test]
fn by_an_interrupt() {
    ends_with_all("end::by_an_interrupt", |program| {
        procession_os::signal_process(program.id() as i32, 2);
    });
}

#[test]
fn while_workers_start() {
    const NAME: &str = "end::while_workers_start";
    watched(NAME, || {
        if let Some(path) = part() {
            let pools: Vec<Pool> = (0..4).map(|_| Pool::builder().workers(4).build().unwrap()).collect();
            arrive(&PathBuf::from(path), "here");
            pools.iter().for_each(|pool| drop(pool.map(square, 0..)));
            return;
        }
        for _ in 0..10 {
            let gate = Gate::new();
            let mut program = program(NAME, gate.path().to_str().unwrap())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            gate.wait_for_arrivals(1);
            let tree = procession_os::children_of_all();
            program.kill().unwrap();
            program.wait().unwrap();
            for pid in procession_os::descendants(&tree, program.id() as i32) {
                until_gone(pid);
            }
            // Those that were started after that look, too.
            let is_theirs = |pid: &i32| {
                let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                String::from_utf8_lossy(&variables).contains(gate.path().to_str().unwrap())
            };
            until(|| {
                let all = procession_os::children_of_all();
                (!all.values().flatten().any(is_theirs)).then_some(())
            });
        }
    });
}
