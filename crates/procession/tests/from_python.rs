//! What hangs in Python's multiprocessing (docs/hangs.py) and is not shown by the tests of its own part.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::sync::{Mutex, PoisonError};

use procession::{Event, Process, Queue, StartMethod, Value};
use support::{until, watched};

fn wait((event, is_there): (Event, Value<u32>)) {
    is_there.set(1);
    event.wait();
}

fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

#[test]
fn an_event_is_set_though_one_that_waited_was_killed() {
    watched("an_event_is_set_though_one_that_waited_was_killed", || {
        let (event, is_there) = (Event::new().unwrap(), Value::new(0u32).unwrap());
        let mut victim = Process::spawn(wait, (event.clone(), is_there.clone())).unwrap();
        until(|| (is_there.get() == 1 && sleeps(victim.pid())).then_some(()));
        let mut other = Process::spawn(wait, (event.clone(), is_there)).unwrap();
        victim.kill();
        assert_eq!(victim.join().unwrap().signal(), Some(9));
        event.set();
        assert!(other.join().unwrap().success());
    });
}

fn put_large(queue: Queue<Vec<u8>>) {
    queue.put(vec![7; 20_000_000]).unwrap();
}

#[test]
fn a_process_ends_before_what_it_has_put_is_got() {
    watched("a_process_ends_before_what_it_has_put_is_got", || {
        let queue = Queue::unbounded().unwrap();
        let mut process = Process::spawn(put_large, queue.clone()).unwrap();
        assert!(process.join().unwrap().success());
        assert_eq!(queue.get().unwrap(), vec![7; 20_000_000]);
    });
}

static HELD: Mutex<u32> = Mutex::new(0);

fn take(_: ()) {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) += 1;
}

#[test]
fn a_process_does_not_inherit_locks_that_threads_hold() {
    watched("a_process_does_not_inherit_locks_that_threads_hold", || {
        let held = HELD.lock().unwrap();
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            let mut process = Process::builder().start_method(method).spawn(take, ()).unwrap();
            assert!(process.join().unwrap().success());
        }
        assert_eq!(*held, 0);
    });
}
