//! Iterators are pulled as the pool needs them, and may do anything.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::support::{Kind, square};

pub fn items_are_pulled_as_they_are_needed(kind: Kind) {
    let pool = kind.builder().max_in_flight(64, 1 << 20).build().unwrap();
    let pulled = Cell::new(0);
    let items = (0u64..100_000).inspect(|_| pulled.set(pulled.get() + 1));
    let mut stream = pool.imap_unordered(square, items).unwrap();
    assert_eq!(pulled.get(), 0, "nothing is pulled before the first outcome is asked for");
    for taken in 1..500 {
        stream.next().unwrap();
        assert!(pulled.get() <= taken + 64, "{} pulled, {taken} taken", pulled.get());
    }
}

pub fn no_more_items_are_in_flight_than_allowed(kind: Kind) {
    for (limit, chunk) in [(1, None), (10, None), (10, Some(7)), (10, Some(1000)), (1000, None)] {
        let pool = kind.builder().max_in_flight(limit, 1 << 20).build().unwrap();
        for ordered in [true, false] {
            let pulled = Cell::new(0);
            let items = (0u64..3000).inspect(|_| pulled.set(pulled.get() + 1));
            let calls = pool.chunk_size(chunk.unwrap_or(1));
            let stream = match (chunk, ordered) {
                (None, true) => pool.imap(square, items),
                (None, false) => pool.imap_unordered(square, items),
                (Some(_), true) => calls.imap(square, items),
                (Some(_), false) => calls.imap_unordered(square, items),
            };
            let mut taken = 0;
            for outcome in stream.unwrap() {
                assert!(outcome.is_done());
                assert!(pulled.get() <= taken + limit, "{} pulled, {taken} taken, {limit} allowed", pulled.get());
                taken += 1;
            }
            assert_eq!(taken, 3000);
        }
    }
}

pub fn no_more_bytes_are_in_flight_than_allowed(kind: Kind) {
    let pool = kind.builder().max_in_flight(1000, 1 << 20).build().unwrap();
    let pulled = Cell::new(0usize);
    let items = (0u64..60).map(|_| vec![1u8; 300_000]).inspect(|_| pulled.set(pulled.get() + 1));
    let mut taken = 0;
    for outcome in pool.imap(|bytes: Vec<u8>| bytes, items).unwrap() {
        assert_eq!(outcome.result.unwrap().len(), 300_000);
        // Four items are more than a mebibyte, be it of arguments or of results.
        assert!(pulled.get() - taken <= 5, "{} pulled, {taken} taken", pulled.get());
        taken += 1;
    }
    assert_eq!(taken, 60);
}

pub fn an_iterator_without_end_is_fine(kind: Kind) {
    let pool = kind.pool();
    let first: Vec<u64> = pool.imap(square, 0..).unwrap().take(200).map(|o| o.result.unwrap()).collect();
    assert_eq!(first, (0..200).map(square).collect::<Vec<_>>());
    assert_eq!(pool.imap_unordered(square, std::iter::repeat(3)).unwrap().take(200).count(), 200);
    assert_eq!(pool.apply(square, 4).unwrap(), 16);
}

fn panics_at(at: u64) -> impl Iterator<Item = u64> {
    (0..at + 100).inspect(move |&n| assert!(n != at, "the iterator panics"))
}

pub fn an_iterator_may_panic(kind: Kind) {
    let pool = kind.pool();
    for at in [0, 1, 5, 1000] {
        assert!(catch_unwind(AssertUnwindSafe(|| pool.map(square, panics_at(at)))).is_err());
        assert_eq!(pool.map(square, 0..10).unwrap().len(), 10);
        assert!(catch_unwind(AssertUnwindSafe(|| pool.imap(square, panics_at(at)).unwrap().count())).is_err());
        let (done, told) = mpsc::channel();
        pool.submit(square, at).unwrap().on_done(move |outcome| done.send(outcome.is_done()).unwrap());
        assert!(told.recv().unwrap());
    }
    pool.join();
}

pub fn an_iterator_may_go_on_after_a_panic(kind: Kind) {
    let pool = kind.pool();
    pool.map(square, 0..1000).unwrap();
    let items = (0u64..300).inspect(|n| assert!(n % 100 != 50, "the iterator panics"));
    let mut stream = pool.imap(square, items).unwrap();
    let (mut indexes, mut panics) = (Vec::new(), 0);
    loop {
        match catch_unwind(AssertUnwindSafe(|| stream.next())) {
            Ok(None) => break,
            Ok(Some(outcome)) => indexes.push(outcome.index),
            Err(_) => panics += 1,
        }
    }
    assert_eq!((panics, indexes), (3, (0..297).collect::<Vec<_>>()));
}

pub fn an_iterator_may_wait_for_the_pool(kind: Kind) {
    let pool = kind.pool();
    let items = (0u64..20).map(|n| {
        let (done, told) = mpsc::channel();
        pool.submit(square, n).unwrap().on_done(move |outcome| done.send(outcome.clone()).unwrap());
        told.recv().unwrap().result.unwrap()
    });
    assert_eq!(pool.map(|n: u64| n, items).unwrap(), (0..20).map(square).collect::<Vec<_>>());
}

pub fn outcomes_may_be_left_alone(kind: Kind) {
    let pool = kind.pool();
    for taken in [0, 1, 10, 100] {
        let mut stream = pool.imap(square, 0..100_000).unwrap();
        for n in 0..taken {
            assert_eq!(stream.next().unwrap().result, Ok(square(n)));
        }
        drop(stream);
        assert_eq!(pool.apply(square, 7).unwrap(), 49);
        assert_eq!(pool.imap_unordered(square, 0..50_000).unwrap().take(taken as usize).count(), taken as usize);
        assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
    }
    // Dropping drops; it does not stop workers, nor leave tasks without an outcome.
    pool.join();
}
