//! Signals that the program handles interrupt system calls, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use procession::{Condition, Event, Lock, Pipe, Pool, Process, Semaphore};

use crate::alone;
use crate::support::square;

const SIGUSR1: i32 = 10;

fn catch_signals() -> Arc<AtomicBool> {
    let seen = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR1, Arc::clone(&seen)).unwrap();
    seen
}

/// Interrupts a process again and again, until it says `is_done`.
fn pester(pid: i32, is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        procession_os::signal_process(pid, SIGUSR1);
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn they_interrupt_no_wait() {
    fn sleep(n: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(2));
        n
    }
    alone("signals::they_interrupt_no_wait", || {
        let seen = catch_signals();
        let (is_done, pid) = (AtomicBool::new(false), std::process::id() as i32);
        let (lock, semaphore, event) = (Lock::new().unwrap(), Semaphore::new(0).unwrap(), Event::new().unwrap());
        let (condition, begun) = (Condition::new().unwrap(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| pester(pid, &is_done));
            let pool = Pool::builder().workers(2).initializer(|()| drop(catch_signals()), ()).build().unwrap();
            assert_eq!(pool.map(sleep, 0..50).unwrap(), (0..50).collect::<Vec<_>>());
            assert_eq!(pool.submit(sleep, 7).unwrap().wait().result.unwrap(), 7);
            assert_eq!(pool.imap(square, 0..100).unwrap().count(), 100);
            let large = vec![7; 3 << 20];
            assert_eq!(pool.apply(|bytes: Vec<u8>| bytes, large.clone()).unwrap(), large);
            assert!(Process::spawn(|n: u64| assert_eq!(sleep(n), 3), 3).unwrap().join().unwrap().success());

            let (ours, theirs) = Pipe::duplex::<Vec<u8>, u64>().unwrap();
            let echo = |end: procession::Connection<u64, Vec<u8>>| {
                sleep(1);
                let bytes = end.recv().unwrap();
                end.send(bytes.len() as u64).unwrap();
            };
            let mut process = Process::spawn(echo, theirs).unwrap();
            ours.send(large).unwrap();
            assert!(ours.poll(Duration::from_secs(60)).unwrap());
            assert_eq!(ours.recv().unwrap(), 3 << 20);
            process.join().unwrap();

            let held = lock.acquire().unwrap();
            let short = Duration::from_millis(3);
            assert!(lock.acquire_timeout(short).is_none());
            assert!(!event.wait_timeout(short));
            assert!(!condition.acquire().unwrap().wait_timeout(short).unwrap());
            let waiter = scope.spawn(|| {
                begun.store(1, Ordering::Release);
                drop(lock.acquire().unwrap());
                event.wait();
                semaphore.acquire_signal();
                semaphore.available() == 0
            });
            while begun.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            drop(held);
            event.set();
            semaphore.release();
            assert!(waiter.join().unwrap());
            pool.join();
            is_done.store(true, Ordering::Relaxed);
        });
        assert!(seen.load(Ordering::Relaxed));
    });
}
