//! The supervisor dies; the program goes on with another.

use procession::{ErrorKind, Pool, Process, StartMethod, forkserver};
use rustix::process::{Resource, Rlimit};

use crate::alone;
use crate::support::{Gate, own_pid, square, through, until, until_gone};

fn supervisors() -> Vec<i32> {
    let children = procession_os::children_of_all();
    let mine = children.get(&(std::process::id() as i32)).cloned().unwrap_or_default();
    let is_supervisor = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("--procession-supervisor")
    };
    mine.into_iter().filter(is_supervisor).collect()
}

fn kill_supervisor() {
    let [pid] = supervisors()[..] else { panic!("there is one supervisor: {:?}", supervisors()) };
    assert!(procession_os::signal_process(pid, 9));
    until_gone(pid);
}

#[test]
fn all_share_one() {
    alone("supervisor::all_share_one", || {
        assert!(supervisors().is_empty(), "it is started when it is needed");
        let pools = [0, 1, 2].map(|_| Pool::builder().workers(2).build().unwrap());
        let mut process = Process::spawn(|()| (), ()).unwrap();
        assert!(pools.iter().all(|pool| pool.apply(square, 2).unwrap() == 4));
        assert!(process.join().unwrap().success());
        assert_eq!(supervisors().len(), 1);
    });
}

fn parent_pid(_: ()) -> i32 {
    procession_os::parent_pid()
}

/// Starts one, and tells which.
fn start_early() -> i32 {
    forkserver::ensure_running().unwrap();
    // The new program runs before the kernel has its arguments for those who look.
    until(|| supervisors().first().copied())
}

#[test]
fn one_that_was_started_early_serves() {
    alone("supervisor::one_that_was_started_early_serves", || {
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            let early = start_early();
            forkserver::ensure_running().unwrap();
            let pool = Pool::builder().workers(1).start_method(method).build().unwrap();
            assert_eq!(pool.apply(parent_pid, ()).unwrap(), early);
            assert_eq!(supervisors(), [early]);
            kill_supervisor();
        }
    });
}

#[test]
fn one_that_ended_before_it_was_used_is_replaced() {
    alone("supervisor::one_that_ended_before_it_was_used_is_replaced", || {
        for is_asked_again in [true, false] {
            let early = start_early();
            kill_supervisor();
            if is_asked_again {
                forkserver::ensure_running().unwrap();
            }
            let pool = Pool::builder().workers(1).build().unwrap();
            let parent = pool.apply(parent_pid, ()).unwrap();
            assert!(parent != early && supervisors() == [parent], "{early}, {parent}, {:?}", supervisors());
            drop(pool);
            kill_supervisor();
        }
    });
}

#[test]
fn one_that_cannot_start_early_is_no_obstacle_later() {
    alone("supervisor::one_that_cannot_start_early_is_no_obstacle_later", || {
        let before = rustix::process::getrlimit(Resource::Nofile);
        // Not one descriptor more.
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
        let refused = forkserver::ensure_running().unwrap_err();
        rustix::process::setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(refused.kind(), ErrorKind::Start);
        let said = refused.to_string();
        assert!(said.starts_with("failed to start the supervisor: ") && said.contains("`ulimit -n`"), "{said}");
        assert_eq!(Pool::new().unwrap().apply(square, 2).unwrap(), 4);
    });
}

#[test]
fn it_dies_while_nothing_runs() {
    alone("supervisor::it_dies_while_nothing_runs", || {
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            let pool = Pool::builder().workers(3).start_method(method).build().unwrap();
            let mut last = pool.apply(own_pid, ()).unwrap();
            for _ in 0..5 {
                kill_supervisor();
                until_gone(last as i32);
                // The pool learns of both deaths at its own time: a task may have been begun and lost in between.
                last = until(|| pool.apply(own_pid, ()).ok());
                assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
            }
        }
    });
}

#[test]
fn it_dies_while_tasks_run() {
    alone("supervisor::it_dies_while_tasks_run", || {
        let gate = Gate::new();
        let pools = [0, 3].map(|retries| Pool::builder().workers(2).retries(retries).build().unwrap());
        let tasks: Vec<_> = pools
            .iter()
            .flat_map(|pool| (0..10).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect::<Vec<_>>())
            .collect();
        until(|| pools.iter().all(|pool| pool.stats().workers.iter().filter(|w| w.is_busy).count() == 2).then_some(()));
        gate.wait_for_arrivals(2);
        kill_supervisor();
        gate.open();
        let outcomes: Vec<_> = tasks.into_iter().map(|task| task.wait()).collect();
        let lost = outcomes[..10].iter().filter(|o| !o.is_done()).count();
        assert!(lost <= 2 && outcomes[..10].iter().filter_map(|o| o.failure()).all(|f| f.is_crash()), "{outcomes:?}");
        assert!(outcomes[10..].iter().all(|o| o.is_done()), "{outcomes:?}");
    });
}

#[test]
fn it_dies_while_workers_start() {
    alone("supervisor::it_dies_while_workers_start", || {
        for round in 0..20 {
            // More workers than may fail to start.
            let pool = Pool::builder().workers(8).retries(2).build().unwrap();
            let tasks: Vec<_> = (0..50).map(|n| pool.submit(square, n).unwrap()).collect();
            if let Some(&pid) = supervisors().first() {
                procession_os::signal_process(pid, 9);
            }
            for (n, task) in (0..).zip(tasks) {
                assert_eq!(task.wait().result, Ok(n * n), "round {round}");
            }
        }
    });
}

#[test]
fn processes_die_with_it() {
    alone("supervisor::processes_die_with_it", || {
        let gate = Gate::new();
        let wait = |gate: std::path::PathBuf| {
            through((gate, 1));
        };
        let mut process = Process::spawn(wait, gate.path()).unwrap();
        gate.wait_for_arrivals(1);
        kill_supervisor();
        assert!(!process.join().unwrap().success());
        until_gone(process.pid() as i32);
        assert!(Process::spawn(|()| (), ()).unwrap().join().unwrap().success());
        assert_eq!(supervisors().len(), 1);
    });
}
