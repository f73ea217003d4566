//! Tasks that are held back.

use std::time::{Duration, SystemTime};

use crate::support::{Kind, square, until};

fn begun_at(_: u64) -> SystemTime {
    SystemTime::now()
}

pub fn tasks_start_apart(kind: Kind) {
    let delay = Duration::from_millis(30);
    let pool = kind.builder().delay(delay).build().unwrap();
    let mut times = pool.map(begun_at, 0..6).unwrap();
    times.sort();
    // The last begins no earlier than all delays after the first is given out, which begins a moment later.
    let whole = times[5].duration_since(times[0]).unwrap();
    assert!(whole >= delay * 4, "{whole:?}");
}

pub fn tasks_wait_for_memory(kind: Kind) {
    // No machine has so much: nothing begins, and what waits can be given up.
    let pool = kind.builder().memory_free(1 << 60).build().unwrap();
    let task = pool.submit(square, 3).unwrap().wait_timeout(Duration::from_millis(100)).unwrap_err();
    assert_eq!((pool.stats().queued, pool.stats().outstanding), (1, 1));
    task.cancel();
    until(|| task.is_ready().then_some(()));
    assert_eq!(kind.builder().memory_free(1).build().unwrap().map(square, 0..100).unwrap().len(), 100);
}

pub fn tasks_wait_for_the_load(kind: Kind) {
    let pool = kind.builder().max_load(0.0).build().unwrap();
    let task = pool.submit(square, 3).unwrap().wait_timeout(Duration::from_millis(100)).unwrap_err();
    drop(pool);
    assert!(task.wait().failure().unwrap().is_cancelled());
    assert_eq!(kind.builder().max_load(1e9).build().unwrap().map(square, 0..100).unwrap().len(), 100);
}
