//! What workers are like, and how they come and go.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use procession::{ErrorKind, worker_state};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{Gate, Kind, arrive, own_pid, raise, square, through, until_gone};

fn prepare((gate, n): (PathBuf, u64)) -> (u64, u32) {
    arrive(&gate, &std::process::id().to_string());
    (n, std::process::id())
}

fn state_and(n: u64) -> (u64, u32, bool) {
    let (state, pid) = worker_state::<(u64, u32)>().unwrap();
    (state + n, *pid, worker_state::<String>().is_none())
}

pub fn an_initializer_makes_the_state(kind: Kind) {
    let gate = Gate::new();
    let pool = kind.builder().initializer(prepare, (gate.path(), 100)).build().unwrap();
    for (n, (sum, pid, other)) in (0..).zip(pool.map(state_and, 0..200).unwrap()) {
        assert_eq!((sum, other), (100 + n, true));
        assert!(gate.arrivals().contains(&pid.to_string()));
    }
    assert!(worker_state::<(u64, u32)>().is_none(), "there is none outside of tasks");
    let none = kind.pool();
    assert!(none.apply(|()| worker_state::<(u64, u32)>().is_none(), ()).unwrap());
}

pub fn a_worker_is_idle_or_not(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let tasks: Vec<_> = (0..kind.workers() as u64).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    gate.wait_for_arrivals(tasks.len());
    assert!(!pool.has_idle_worker());
    gate.open();
    tasks.into_iter().for_each(|task| drop(task.wait()));
    assert!(pool.has_idle_worker());
}

pub fn each_worker_is_initialized_once(kind: Kind) {
    let gate = Gate::new();
    let pool = kind.builder().initializer(prepare, (gate.path(), 0)).max_tasks_per_worker(10).build().unwrap();
    let pids: BTreeSet<String> = pool.map(own_pid_of, 0..100).unwrap().into_iter().map(|p| p.to_string()).collect();
    assert!(pids.len() >= 10);
    let initialized: BTreeSet<String> = gate.arrivals().into_iter().collect();
    assert!(pids.is_subset(&initialized), "{pids:?} {initialized:?}");
}

fn own_pid_of(_: u64) -> u32 {
    own_pid(())
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

pub fn the_initializers_argument_may_not_travel(kind: Kind) {
    let error = kind.builder().initializer(|_: Mute| (), Mute).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadArgument);
    assert!(error.to_string().starts_with("failed to encode the argument of the initializer"), "{error}");
}

pub fn a_failing_initializer_breaks_the_pool(kind: Kind) {
    let fails = |n: u8| if n == 0 { panic!("no database") } else { std::process::exit(7) };
    for (how, why) in [(0u8, "no database"), (1, "exit code 7")] {
        let pool = kind.builder().initializer(fails, how).build().unwrap();
        let tasks: Vec<_> = (0..10).filter_map(|n| pool.submit(square, n).ok()).collect();
        for task in tasks {
            let outcome = task.wait();
            let failure = outcome.failure().unwrap();
            assert!(failure.is_cancelled() && failure.to_string().contains(why), "{failure}");
        }
        let error = loop {
            // It may still be trying.
            match pool.map(square, 0..3) {
                Err(error) if error.kind() == ErrorKind::Broken => break error,
                Err(error) => assert!(error.failure().unwrap().is_cancelled()),
                Ok(_) => panic!("there is no worker that could have done it"),
            }
        };
        assert!(error.to_string().contains(why), "{error}");
        pool.join();
    }
}

fn fails_now_and_then(gate: PathBuf) {
    let before = std::fs::read_dir(&gate).unwrap().count();
    arrive(&gate, &format!("{before}-{}", std::process::id()));
    assert!(before % 3 == 2, "not this time");
}

pub fn an_initializer_may_fail_now_and_then(kind: Kind) {
    let gate = Gate::new();
    // Workers that fail between others that do not are no reason to give up.
    let pool = kind.builder().workers(1).initializer(fails_now_and_then, gate.path()).max_tasks_per_worker(1);
    let pool = pool.build().unwrap();
    assert_eq!(pool.map(square, 0..8).unwrap(), (0..8).map(square).collect::<Vec<_>>());
}

pub fn workers_are_recycled(kind: Kind) {
    let pool = kind.builder().workers(1).max_tasks_per_worker(2).build().unwrap();
    let pids: Vec<u32> = (0..10).map(|_| pool.apply(own_pid, ()).unwrap()).collect();
    assert!(pids.chunks(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(pool.stats().crashed, 0);
}

pub fn workers_are_recycled_in_the_middle_of_a_chunk(kind: Kind) {
    let pool = kind.builder().max_tasks_per_worker(7).build().unwrap();
    let pids = pool.chunk_size(10).map(own_pid_of, 0..100).unwrap();
    let each = |pid: &u32| pids.iter().filter(|p| *p == pid).count();
    assert!(pids.iter().all(|pid| each(pid) <= 7), "{pids:?}");
}

pub fn contexts_are_forgotten(kind: Kind) {
    let pool = kind.builder().workers(1).build().unwrap();
    let large = vec![1u64; 2_000_000];
    for _ in 0..3 {
        assert_eq!(pool.map_with(&large, |c: &Vec<u64>, n: usize| c.len() + n, [0, 1]).unwrap()[1], 2_000_001);
    }
    let after_few = pool.stats().workers[0].rss_bytes;
    for _ in 0..20 {
        assert_eq!(pool.map_with(&large, |c: &Vec<u64>, n: usize| c.len() + n, [0, 1]).unwrap()[1], 2_000_001);
    }
    let after_many = pool.stats().workers[0].rss_bytes;
    // Twenty of them would be 320 MB.
    assert!(after_many < after_few + 100_000_000, "{after_few} {after_many}");
}

fn looks_around(_: ()) -> (String, String, usize) {
    let input = std::fs::read_link("/proc/self/fd/0").unwrap().display().to_string();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap().trim().to_string();
    let read = std::io::Read::read(&mut std::io::stdin(), &mut [0; 10]).unwrap();
    (input, name, read)
}

pub fn a_worker_has_no_input_and_a_name(kind: Kind) {
    let pool = kind.builder().workers(1).name("indexer:é\0x").build().unwrap();
    assert_eq!(pool.apply(looks_around, ()).unwrap(), ("/dev/null".to_string(), "indexer:éx-0".to_string(), 0));
    let long = kind.builder().workers(1).name("a name that is too long").build().unwrap();
    assert_eq!(long.apply(looks_around, ()).unwrap().1, "a name that is", "and a space, which is trimmed");
}

/// Task: starts a process that wants to live longer, and perhaps ends its worker.
#[allow(clippy::zombie_processes)] // Nobody waits for it: that is the point.
fn leaves_behind((gate, ends): (PathBuf, bool)) -> u32 {
    let script =
        "setsid sh -c 'echo $$ > \"$0/new\"; mv \"$0/new\" \"$0/at-$$\"; exec sleep 1000' \"$0\" & exec sleep 1000";
    let child = Command::new("sh").arg("-c").arg(script).arg(&gate).spawn().unwrap();
    while std::fs::read_dir(&gate).unwrap().filter(|e| e.as_ref().unwrap().file_name() != "new").count() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    if ends {
        raise(9);
    }
    child.id()
}

pub fn what_a_task_leaves_behind_is_ended(kind: Kind) {
    // With its worker that crashes, with its worker that is replaced, and with its pool.
    let gate = Gate::new();
    let pool = kind.pool();
    assert!(pool.submit(leaves_behind, (gate.path(), true)).unwrap().wait().failure().unwrap().is_crash());
    until_gone(gate.arrivals()[0].parse().unwrap());

    let gate = Gate::new();
    let recycled = kind.builder().workers(1).max_tasks_per_worker(1).build().unwrap();
    let child = recycled.apply(leaves_behind, (gate.path(), false)).unwrap();
    until_gone(gate.arrivals()[0].parse().unwrap());
    until_gone(child as i32);

    let gate = Gate::new();
    let child = pool.apply(leaves_behind, (gate.path(), false)).unwrap();
    drop(pool);
    until_gone(gate.arrivals()[0].parse().unwrap());
    until_gone(child as i32);
}
