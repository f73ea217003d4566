//! The end of a pool, by every way.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use procession::{ErrorKind, Pool};

use crate::support::{Gate, Kind, arrive, square, through, until_gone};

fn assert_closed(pool: &Pool) {
    let errors = [
        pool.apply(square, 1).unwrap_err(),
        pool.submit(square, 1).unwrap_err(),
        pool.map(square, [1]).unwrap_err(),
        pool.try_map(|n: u64| Ok::<_, String>(n), [1]).unwrap_err(),
        pool.map_with(&1u64, |a: &u64, b: u64| a + b, [1]).unwrap_err(),
        pool.imap(square, [1]).map(|_| ()).unwrap_err(),
        pool.imap_unordered(square, [1]).map(|_| ()).unwrap_err(),
    ];
    assert!(errors.iter().all(|e| e.kind() == ErrorKind::Closed), "{errors:?}");
}

pub fn a_closed_pool_takes_nothing(kind: Kind) {
    let pool = kind.pool();
    let task = pool.submit(square, 3).unwrap();
    pool.close();
    pool.close();
    assert_closed(&pool);
    assert_eq!(task.wait().result, Ok(9));
    pool.join();
}

pub fn a_terminated_pool_takes_nothing(kind: Kind) {
    let pool = kind.pool();
    pool.map(square, 0..10).unwrap();
    pool.terminate();
    pool.terminate();
    assert_closed(&pool);
    assert_eq!(pool.stats().done, 10);
}

pub fn terminate_right_after_the_start(kind: Kind) {
    for _ in 0..5 {
        // Enough workers that die before their first task to look like a pool that cannot start any.
        let pool = kind.builder().workers(8).build().unwrap();
        let task = pool.submit(square, 1).unwrap();
        pool.terminate();
        assert_closed(&pool);
        let outcome = task.wait();
        assert!(outcome.is_done() || outcome.failure().unwrap().is_cancelled());
    }
}

pub fn join_finishes_what_was_handed_over(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let tasks: Vec<_> = (0..50).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    let (done, told) = mpsc::channel();
    tasks[49].on_done(move |outcome| done.send(outcome.is_done()).unwrap());
    let (joined, has_joined) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        pool.join();
        joined.send(()).unwrap();
    });
    gate.wait_for_arrivals(1);
    assert!(has_joined.try_recv().is_err());
    gate.open();
    thread.join().unwrap();
    assert!(told.recv().unwrap());
    assert_eq!(gate.arrivals().len(), 50);
    assert!(tasks.iter().all(|task| task.is_ready()));
}

fn sleeps((gate, n): (PathBuf, u64)) {
    arrive(&gate, &format!("{n}-{}", std::process::id()));
    std::thread::sleep(Duration::from_secs(1000));
}

pub fn terminate_does_not_wait(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let tasks: Vec<_> = (0..10_000).map(|n| pool.submit(sleeps, (gate.path(), n)).unwrap()).collect();
    let running = gate.wait_for_arrivals(kind.workers());
    pool.terminate();
    for note in running {
        until_gone(note.split_once('-').unwrap().1.parse().unwrap());
    }
    assert!(tasks.into_iter().all(|task| task.wait().failure().unwrap().is_cancelled()));
    assert_eq!((pool.stats().cancelled, pool.stats().outstanding), (10_000, 0));
}

pub fn handles_outlive_their_pool(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let tasks: Vec<_> = (0..100).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    gate.wait_for_arrivals(1);
    let (done, told) = mpsc::channel();
    tasks[99].on_done(move |outcome| done.send(outcome.clone()).unwrap());
    drop(pool);
    assert!(told.recv().unwrap().failure().unwrap().is_cancelled());
    let (done, told) = mpsc::channel();
    tasks[98].on_error(move |failure| done.send(failure.is_cancelled()).unwrap());
    assert!(told.recv().unwrap());
    for task in tasks {
        task.cancel();
        assert!(task.wait().failure().unwrap().is_cancelled());
    }
}

pub fn a_stream_outlives_its_pool(kind: Kind) {
    for ordered in [true, false] {
        let pool = kind.pool();
        let mut stream = if ordered { pool.imap(square, 0..) } else { pool.imap_unordered(square, 0..) }.unwrap();
        for _ in 0..10 {
            assert!(stream.next().unwrap().is_done());
        }
        drop(pool);
        // What was pulled has an outcome, and no more is pulled.
        let rest: Vec<_> = stream.collect();
        assert!(rest.iter().filter_map(|o| o.failure()).all(|f| f.is_cancelled()));
    }
}

pub fn a_pool_may_be_dropped_in_a_callback(kind: Kind) {
    let pool = kind.pool();
    let (sender, told) = mpsc::channel();
    let task = pool.submit(square, 3).unwrap();
    let waiting: Vec<_> = (0..100).map(|n| pool.submit(square, n).unwrap()).collect();
    task.on_done(move |_| {
        drop(pool);
        sender.send(()).unwrap();
    });
    told.recv().unwrap();
    for task in waiting {
        let outcome = task.wait();
        assert!(outcome.is_done() || outcome.failure().unwrap().is_cancelled());
    }
}

pub fn several_pools_live_side_by_side(kind: Kind) {
    let pools: Vec<Pool> = (0..4).map(|_| kind.pool()).collect();
    std::thread::scope(|scope| {
        for (at, pool) in (0u64..).zip(&pools) {
            scope.spawn(move || assert_eq!(pool.map(square, at..at + 500).unwrap()[3], square(at + 3)));
        }
    });
    let mut pools = pools;
    while let Some(ended) = pools.pop() {
        drop(ended);
        for pool in &pools {
            assert_eq!(pool.apply(square, 2).unwrap(), 4);
        }
    }
}

pub fn close_lets_calls_go_on(kind: Kind) {
    for _ in 0..3 {
        let pool = kind.pool();
        let (pulled, is_pulled) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let items = (0..200u64).inspect(move |&n| {
                if n == 100 {
                    pulled.send(()).unwrap();
                    may_go_on.recv().unwrap();
                }
            });
            let pool = &pool;
            let call = scope.spawn(move || pool.map(square, items));
            is_pulled.recv().unwrap();
            pool.close();
            go_on.send(()).unwrap();
            assert_eq!(call.join().unwrap().unwrap().len(), 200);
        });
        pool.join();
    }
}
