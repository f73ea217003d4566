//! Taking and releasing a lock: alone, against the standard library's mutex; in two processes, against the C library's.

use std::hint::black_box;
use std::sync::Mutex;

use procession::{Array, Event, Lock, Process, RLock, Semaphore};

use super::Scale;
use crate::measure::{Rounds, time};
use crate::peers::robust::Robust;
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, turns) = scale.pick((15, 2_000_000), (3, 200_000));
    let (lock, mutex) = (Lock::new()?, Mutex::new(0u64));
    let std = || Ok(each(turns, || *mutex.lock().expect("nobody panics") += 1));
    let alone = Rounds::measure(rounds, || Ok(each(turns, || drop(black_box(lock.acquire())))), std)?;
    Row::race("lock: alone, to std::sync::Mutex", Figure::Seconds, &alone, Target::Within(2.0)).print();
    let recursive = RLock::new()?;
    let alone = Rounds::measure(rounds, || Ok(each(turns, || drop(black_box(recursive.acquire())))), std)?;
    Row::race("lock: RLock alone, to std::sync::Mutex", Figure::Seconds, &alone, Target::Open).print();

    let robust = Robust::build()?;
    for processes in [1, 2] {
        let rounds = Rounds::measure(rounds, || contended(processes, turns), || robust.run(processes, turns))?;
        let name =
            format!("lock: {processes} process{}, to a robust pthread mutex", if processes > 1 { "es" } else { "" });
        Row::race(name, Figure::Seconds, &rounds, Target::Within(1.0)).print();
    }
    Ok(())
}

/// Seconds that one of `turns` calls takes.
fn each(turns: u64, mut f: impl FnMut()) -> f64 {
    time(|| (0..turns).for_each(|_| f())).0 / turns as f64
}

type Shared = (Lock, Array<u64>, Semaphore, Event, Semaphore, u64);

fn take_turns((lock, count, ready, go, done, turns): Shared) {
    ready.release();
    go.wait();
    for _ in 0..turns {
        let _guard = lock.acquire().expect("nobody dies");
        count.set(0, count.get(0).unwrap_or(0) + 1);
    }
    done.release();
}

/// Seconds that so many processes take for so many turns each.
fn contended(processes: usize, turns: u64) -> anyhow::Result<f64> {
    let (lock, count, go) = (Lock::new()?, Array::unlocked(1)?, Event::new()?);
    let (ready, done) = (Semaphore::new(0)?, Semaphore::new(0)?);
    let shared: Shared = (lock, count.clone(), ready.clone(), go.clone(), done.clone(), turns);
    let mut children = Vec::new();
    for _ in 0..processes {
        children.push(Process::spawn(take_turns, shared.clone())?);
    }
    children.iter().for_each(|_| ready.acquire_signal());
    let (seconds, ()) = time(|| {
        go.set();
        children.iter().for_each(|_| done.acquire_signal());
    });
    assert_eq!(count.get(0), Some(processes as u64 * turns));
    Ok(seconds)
}
