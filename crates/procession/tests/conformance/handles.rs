//! Submitted tasks: waiting, cancelling, callbacks, futures.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use procession::{FailureKind, Outcome, as_completed, wait};

use crate::support::{Gate, Kind, own_pid, square, through, until};

pub fn a_handle_waits(kind: Kind) {
    let pool = kind.pool();
    let task = pool.submit(square, 5).unwrap();
    let outcome = match task.wait_timeout(Duration::from_secs(1000)) {
        Ok(outcome) => outcome,
        Err(task) => panic!("{task:?}"),
    };
    assert_eq!((outcome.index, outcome.attempts, outcome.result), (0, 1, Ok(25)));
    let task = pool.submit(square, 6).unwrap();
    until(|| task.is_ready().then_some(()));
    // Too late for that.
    task.cancel();
    assert_eq!(task.wait().result, Ok(36));
}

pub fn a_handle_waits_for_a_while(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let mut task = pool.submit(through, (gate.path(), 1)).unwrap();
    for wait in [0, 1, 20] {
        task = task.wait_timeout(Duration::from_millis(wait)).unwrap_err();
        assert!(!task.is_ready());
    }
    gate.open();
    assert_eq!(task.wait().result, Ok(1));
}

fn assert_cancelled<R: std::fmt::Debug>(outcome: &Outcome<R>) {
    let failure = outcome.failure().unwrap();
    assert_eq!(*failure.kind(), FailureKind::Cancelled { reason: "its handle was cancelled".to_string() });
}

pub fn a_waiting_task_is_cancelled(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let busy: Vec<_> = (0..kind.workers() as u64).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    gate.wait_for_arrivals(busy.len());
    let waiting: Vec<_> = (10..20).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    for task in waiting.iter().step_by(2) {
        task.cancel();
        task.cancel();
        assert!(task.is_ready());
    }
    assert_eq!(gate.arrivals().len(), busy.len());
    gate.open();
    for (n, task) in waiting.into_iter().enumerate() {
        let outcome = task.wait();
        if n % 2 == 0 { assert_cancelled(&outcome) } else { assert_eq!(outcome.result, Ok(10 + n as u64)) }
    }
    assert!(busy.into_iter().all(|task| task.wait().is_done()));
    assert_eq!(gate.arrivals().len(), kind.workers() + 5, "a cancelled task never ran");
}

pub fn a_running_task_is_cancelled(kind: Kind) {
    let (pool, gate) = (kind.builder().retries(3).build().unwrap(), Gate::new());
    for n in 0..5 {
        let task = pool.submit(through, (gate.path(), n)).unwrap();
        gate.wait_for_arrivals(n as usize + 1);
        let next: Vec<_> = (0..10).map(|n| pool.submit(square, n).unwrap()).collect();
        task.cancel();
        assert_cancelled(&task.wait());
        // Only that one was lost.
        for (n, task) in (0..).zip(next) {
            assert_eq!(task.wait().result, Ok(n * n));
        }
    }
    assert_eq!((pool.stats().cancelled, pool.stats().retried), (5, 0));
}

pub fn a_task_is_cancelled_while_its_worker_starts(kind: Kind) {
    for round in 0..60 {
        let pool = kind.pool();
        let cancelled: Vec<_> =
            (0..kind.workers() as u64).map(|n| pool.submit(|n: u64| n + 1000, n).unwrap()).collect();
        for task in &cancelled {
            task.cancel();
        }
        let next: Vec<_> = (0..5).map(|n| pool.submit(square, n + round).unwrap()).collect();
        for (n, task) in (0..).zip(next) {
            assert_eq!(task.wait().result, Ok(square(n + round)), "round {round}");
        }
        for (n, task) in (0..).zip(cancelled) {
            // It may have been done before it could be cancelled.
            let outcome = task.wait();
            if outcome.result != Ok(n + 1000) {
                assert_cancelled(&outcome);
            }
        }
        assert_eq!(pool.stats().crashed, 0);
    }
}

pub fn a_large_argument_is_cancelled_on_its_way(kind: Kind) {
    for round in 0..10 {
        let (pool, gate) = (kind.pool(), Gate::new());
        let busy: Vec<_> =
            (0..kind.workers() as u64).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
        gate.wait_for_arrivals(busy.len());
        // It does not fit into a ring, so part of it waits here.
        let large = pool.submit(|bytes: Vec<u8>| bytes.len(), vec![7; 30_000_000]).unwrap();
        gate.open();
        busy.into_iter().for_each(|task| drop(task.wait()));
        large.cancel();
        let outcome = large.wait();
        assert!(outcome.is_done() || outcome.failure().unwrap().is_cancelled());
        if round % 2 == 0 {
            // Nobody waits here but the pool's own thread.
            let (done, told) = mpsc::channel();
            pool.submit(square, 3).unwrap().on_done(move |o| done.send(o.clone()).unwrap());
            assert_eq!(told.recv().unwrap().result, Ok(9));
        }
        pool.join();
    }
}

pub fn as_completed_gives_all(kind: Kind) {
    let (pool, other) = (kind.pool(), kind.pool());
    let tasks = (0..100).map(|n| if n % 2 == 0 { &pool } else { &other }.submit(square, n).unwrap());
    let mut all: Vec<_> = as_completed(tasks).map(|(at, outcome)| (at, outcome.result.unwrap())).collect();
    all.sort();
    assert_eq!(all, (0..100).map(|n| (n, square(n as u64))).collect::<Vec<_>>());
}

pub fn as_completed_goes_by_the_end(kind: Kind) {
    let pools = [kind.pool(), kind.pool(), kind.pool()];
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let tasks: Vec<_> = (0..3).map(|n| pools[n].submit(through, (gates[n].path(), n as u64)).unwrap()).collect();
    let mut ended = as_completed(tasks);
    for n in [2, 0, 1] {
        gates[n].open();
        let (at, outcome) = ended.next().unwrap();
        assert_eq!((at, outcome.result), (n, Ok(n as u64)));
    }
    assert!(ended.next().is_none());
}

pub fn wait_counts_what_is_ready(kind: Kind) {
    let pools = [kind.pool(), kind.pool(), kind.pool()];
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let tasks: Vec<_> = (0..3).map(|n| pools[n].submit(through, (gates[n].path(), n as u64)).unwrap()).collect();
    assert_eq!(wait(&tasks, 1, Some(Duration::from_millis(5))), 0);
    assert_eq!(wait(&tasks, 0, None), 0);
    gates[1].open();
    assert_eq!(wait(&tasks, 1, None), 1);
    gates[0].open();
    assert_eq!(wait(&tasks, 2, None), 2);
    assert_eq!(wait(&tasks, 3, Some(Duration::from_millis(5))), 2);
    gates[2].open();
    assert_eq!(wait(&tasks, 100, None), 3);
}

pub fn callbacks_are_called_once(kind: Kind) {
    let pool = kind.pool();
    let (sender, told) = mpsc::channel();
    let watch = |fails: bool| {
        let function: fn(u64) -> u64 = if fails { |_| panic!("no") } else { square };
        let task = pool.submit(function, 3).unwrap();
        for _ in 0..2 {
            let (a, b, c) = (sender.clone(), sender.clone(), sender.clone());
            task.on_done(move |outcome| a.send(("done", outcome.is_done())).unwrap());
            task.on_success(move |result| b.send(("success", *result == 9)).unwrap());
            task.on_error(move |failure| c.send(("error", !failure.is_panic())).unwrap());
            // The second time around there are others to be told at once.
            until(|| task.is_ready().then_some(()));
        }
        task
    };
    let tasks = [watch(false), watch(true)];
    drop(sender);
    drop(tasks);
    let mut calls: Vec<_> = told.iter().collect();
    calls.sort();
    let want = [
        ("done", false),
        ("done", false),
        ("done", true),
        ("done", true),
        ("error", false),
        ("error", false),
        ("success", true),
        ("success", true),
    ];
    assert_eq!(calls, want);
}

pub fn join_waits_for_callbacks(kind: Kind) {
    let pool = kind.pool();
    let (sender, told) = mpsc::channel();
    for n in 0..5 {
        let sender = sender.clone();
        pool.submit(square, n).unwrap().on_done(move |_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            sender.send(n).unwrap();
        });
    }
    pool.join();
    assert_eq!(told.try_iter().count(), 5);
}

pub fn a_callback_may_panic(kind: Kind) {
    let pool = kind.pool();
    let (sender, told) = mpsc::channel();
    for n in 0..10 {
        let task = pool.submit(square, n).unwrap();
        let sender = sender.clone();
        task.on_done(|_| panic!("a callback panics"));
        task.on_done(move |_| sender.send(n).unwrap());
    }
    drop(sender);
    let mut seen: Vec<u64> = told.iter().collect();
    seen.sort();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

/// Counts wake-ups and unparks the thread that waits.
struct Alarm(AtomicUsize, std::thread::Thread);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let alarm = Arc::new(Alarm(AtomicUsize::new(0), std::thread::current()));
    let waker = Waker::from(Arc::clone(&alarm));
    let mut future = pin!(future);
    let mut seen = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while alarm.0.load(Ordering::SeqCst) == seen {
            std::thread::park();
        }
        seen = alarm.0.load(Ordering::SeqCst);
    }
}

pub fn a_handle_is_a_future(kind: Kind) {
    let pool = kind.pool();
    for n in 0..100 {
        assert_eq!(block_on(pool.submit(square, n).unwrap()).result, Ok(n * n));
    }
    let sum = block_on(async {
        let (a, b) = (pool.submit(square, 3).unwrap(), pool.submit(square, 4).unwrap());
        a.await.result.unwrap() + b.await.result.unwrap()
    });
    assert_eq!(sum, 25);
}

pub fn a_future_is_woken_from_elsewhere(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let mut tasks: Vec<_> = (0..4).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    for task in &mut tasks {
        // A first executor asks, and then gives the future to another.
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut *task).poll(&mut context).is_pending());
        assert!(Pin::new(task).poll(&mut context).is_pending());
    }
    // One is given up by its executor: it runs all the same.
    let dropped = tasks.remove(0);
    drop(dropped);
    let threads: Vec<_> = tasks.into_iter().map(|task| std::thread::spawn(move || block_on(task))).collect();
    gate.open();
    let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap().result.unwrap()).collect();
    assert_eq!(results, [1, 2, 3]);
    until(|| (pool.stats().outstanding == 0).then_some(()));
    assert_eq!(gate.arrivals(), ["0", "1", "2", "3"]);
}

pub fn stats_count_outcomes(kind: Kind) {
    let pool = kind.pool();
    pool.map(square, 0..100).unwrap();
    pool.map(|n: u64| assert!(n > 3), 0..10).unwrap_err();
    let stats = pool.stats();
    assert_eq!((stats.done, stats.failed, stats.timed_out, stats.crashed, stats.cancelled), (106, 4, 0, 0, 0));
    assert_eq!((stats.outstanding, stats.queued, stats.retried), (0, 0, 0));
}

pub fn stats_show_what_waits_and_runs(kind: Kind) {
    let (pool, gate) = (kind.pool(), Gate::new());
    let workers = kind.workers();
    let tasks: Vec<_> = (0..20).map(|n| pool.submit(through, (gate.path(), n)).unwrap()).collect();
    gate.wait_for_arrivals(workers);
    let stats = until(|| Some(pool.stats()).filter(|s| s.workers.len() == workers));
    assert_eq!((stats.outstanding, stats.queued as usize), (20, 20 - workers));
    assert!(stats.workers.iter().all(|w| w.is_busy && w.tasks == 1 && w.rss_bytes > 0 && w.peak_rss_bytes > 0));
    gate.open();
    tasks.into_iter().for_each(|task| assert!(task.wait().is_done()));
    let pids: Vec<u32> = pool.stats().workers.iter().map(|w| w.pid).collect();
    assert!(pids.contains(&pool.apply(own_pid, ()).unwrap()));
    assert_eq!(pool.stats().outstanding, 0);
}

pub fn an_idle_thread_sees_results_while_another_pulls(kind: Kind) {
    // One worker more, for the task that waits.
    let pool = kind.builder().workers(kind.workers() + 1).build().unwrap();
    for at in 0..12 {
        let gate = Gate::new();
        let first = pool.submit(through, (gate.path(), 1)).unwrap();
        gate.wait_for_arrivals(1);
        let (done, told) = mpsc::channel();
        first.on_done(move |outcome| done.send(outcome.is_done()).unwrap());
        // The call that has looked after the workers so far is busy with its own iterator.
        let items = (0u64..12).inspect(|&n| {
            if n == at {
                gate.open();
                assert!(told.recv().unwrap());
            }
        });
        assert_eq!(pool.chunk_size(1).map(square, items).unwrap().len(), 12);
    }
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

pub fn a_waker_may_panic(kind: Kind) {
    let gate = Gate::new();
    let pool = kind.builder().timeout(Duration::from_secs(60)).build().unwrap();
    let mut task = pool.submit(through, (gate.path(), 5)).unwrap();
    let waker = Waker::from(Arc::new(BadWaker));
    assert!(pin!(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    gate.open();
    until(|| task.is_ready().then_some(()));
    assert_eq!(task.wait().result, Ok(5));
    // The engine lives, and drives while nobody waits.
    let other = pool.submit(square, 3).unwrap();
    until(|| other.is_ready().then_some(()));
}

pub fn a_task_is_cancelled_that_waits_in_a_worker_about_to_end(kind: Kind) {
    let gate = Gate::new();
    let pool = kind.builder().workers(1).max_tasks_per_worker(4).build().unwrap();
    pool.chunk_size(1).map(square, 0..2).unwrap();
    let running = pool.submit(through, (gate.path(), 1)).unwrap();
    let waiting = pool.submit(through, (gate.path(), 2)).unwrap();
    gate.wait_for_arrivals(1);
    waiting.cancel();
    assert_cancelled(&waiting.wait());
    gate.open();
    assert_eq!(running.wait().result, Ok(1));
    assert_eq!(gate.arrivals(), ["1"]);
}
