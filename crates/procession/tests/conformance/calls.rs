//! The calls, and what they give.

use std::collections::HashMap;
use std::time::Duration;

use procession::{ErrorKind, FailureKind, Pool};

use crate::support::{Kind, square};

fn squares(n: u64) -> Vec<u64> {
    (0..n).map(square).collect()
}

fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

fn unless_five(n: u64) -> u64 {
    assert!(n % 10 != 5, "it is {n}");
    n
}

fn lookup(words: &HashMap<u64, String>, n: u64) -> Option<String> {
    words.get(&n).cloned()
}

pub fn map_keeps_the_order(kind: Kind) {
    let pool = kind.pool();
    for n in [1, 2, 3, 64, 1000, 30_000] {
        assert_eq!(pool.map(square, 0..n).unwrap(), squares(n));
    }
}

pub fn every_call_takes_an_empty_iterator(kind: Kind) {
    let pool = kind.pool();
    let none = || std::iter::empty::<u64>();
    assert!(pool.map(square, none()).unwrap().is_empty());
    assert!(pool.try_map(parse, Vec::new()).unwrap().is_empty());
    assert!(pool.map_with(&HashMap::new(), lookup, none()).unwrap().is_empty());
    assert_eq!(pool.imap(square, none()).unwrap().count(), 0);
    assert_eq!(pool.imap_unordered(square, none()).unwrap().count(), 0);
    assert_eq!(pool.imap_unordered_with(&HashMap::new(), lookup, none()).unwrap().count(), 0);
    assert_eq!(procession::as_completed(Vec::<procession::Task<u64>>::new()).count(), 0);
    assert_eq!(procession::wait::<u64>(&[], 3, None), 0);
}

pub fn try_map_gives_the_first_error_of_all(kind: Kind) {
    let pool = kind.pool();
    let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
    assert_eq!(pool.try_map(parse, words("1 -2 3")).unwrap(), [1, -2, 3]);
    let error = pool.try_map(parse, words("1 x 3 y")).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((error.kind(), failure.index(), failure.is_failed()), (ErrorKind::Task, 1, true));
    assert_eq!(error.to_string(), "task 1 failed: invalid digit found in string");
}

fn parse_beyond(least: &i64, text: String) -> Result<i64, String> {
    let n = parse(text).map_err(|e| e.to_string())?;
    if n < *least { Err(format!("{n} is below {least}")) } else { Ok(n) }
}

pub fn errors_of_tasks_are_their_outcomes(kind: Kind) {
    let pool = kind.pool();
    let words = || ["1", "x", "3"].map(str::to_string);
    let told = |outcomes: Vec<procession::Outcome<i64>>| {
        let mut told: Vec<_> = outcomes.into_iter().map(|o| (o.index, o.result.map_err(|f| f.to_string()))).collect();
        told.sort();
        told
    };
    let bad = Err("invalid digit found in string".to_string());
    let want = [(0, Ok(1)), (1, bad.clone()), (2, Ok(3))];
    let ordered: Vec<_> = pool.try_imap(parse, words()).unwrap().collect();
    assert!(ordered.iter().map(|o| o.index).eq(0..3));
    assert!(ordered[1].failure().unwrap().is_failed());
    assert_eq!(told(ordered), want);
    assert_eq!(told(pool.try_imap_unordered(parse, words()).unwrap().collect()), want);
    let found = told(pool.try_imap_unordered_with(&2, parse_beyond, words()).unwrap().collect());
    assert_eq!(found, [(0, Err("1 is below 2".to_string())), (1, bad), (2, Ok(3))]);
}

fn rest(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

pub fn outcomes_tell_how_long_they_took(kind: Kind) {
    let pool = kind.pool();
    for millis in [30, 1, 20] {
        // On a busy machine the program may see late that a task has begun, and tells of less; but not every time.
        let elapsed = || pool.imap(rest, [millis]).unwrap().next().unwrap().elapsed;
        let longest = (0..50).map(|_| elapsed()).find(|elapsed| *elapsed >= Duration::from_millis(millis));
        assert!(longest.is_some(), "of {millis} ms");
    }
}

pub fn map_runs_all_and_gives_the_first_failure(kind: Kind) {
    let pool = kind.pool();
    let error = pool.map(unless_five, 0..1000).unwrap_err();
    assert_eq!(error.failure().unwrap().index(), 5);
    assert!(error.to_string().contains("it is 5"), "{error}");
    let stats = pool.stats();
    assert_eq!((stats.done, stats.failed, stats.outstanding), (900, 100, 0));
}

pub fn a_context_is_shared_by_all_tasks(kind: Kind) {
    let pool = kind.pool();
    for round in 0..5u64 {
        let words: HashMap<u64, String> = (0..100).map(|n| (n, format!("{round}/{n}"))).collect();
        let found = pool.map_with(&words, lookup, 0..101).unwrap();
        let want: Vec<_> = (0..101).map(|n| (n < 100).then(|| format!("{round}/{n}"))).collect();
        assert_eq!(found, want);
        let mut found: Vec<_> =
            pool.imap_unordered_with(&words, lookup, 0..101).unwrap().map(|o| (o.index, o.result.unwrap())).collect();
        found.sort();
        assert!(found.iter().map(|(_, word)| word).eq(&want));
    }
}

pub fn a_context_is_of_any_type(kind: Kind) {
    let pool = kind.pool();
    assert_eq!(pool.map_with(&10u64, |c: &u64, n: u64| c + n, [1, 2]).unwrap(), [11, 12]);
    assert_eq!(pool.map_with(&7u8, |c: &u8, n: u8| c * n, [3]).unwrap(), [21]);
    assert_eq!(pool.map_with(&0.5f32, |c: &f32, n: f32| c * n, [3.0]).unwrap(), [1.5]);
    assert_eq!(pool.map_with(&-3i128, |c: &i128, n: i128| c * n, [3]).unwrap(), [-9]);
    for bytes in [vec![], vec![65u8, 66], vec![200; 300]] {
        let seen = pool.map_with(&bytes, |c: &Vec<u8>, _: ()| c.clone(), [(), ()]).unwrap();
        assert_eq!(seen, [bytes.clone(), bytes]);
    }
}

pub fn imap_gives_outcomes_in_order(kind: Kind) {
    let pool = kind.pool();
    for (n, outcome) in (0u64..).zip(pool.imap(unless_five, 0..3000).unwrap()) {
        assert_eq!((outcome.index, outcome.attempts), (n as usize, 1));
        match outcome.result {
            Ok(result) => assert_eq!(result, n),
            Err(failure) => assert!(n % 10 == 5 && failure.is_panic() && failure.index() == n as usize),
        }
    }
    assert_eq!(pool.imap(square, 0..3000).unwrap().count(), 3000);
}

pub fn imap_unordered_gives_each_outcome_once(kind: Kind) {
    let pool = kind.pool();
    let mut seen = vec![0; 3000];
    for outcome in pool.imap_unordered(square, 0..3000).unwrap() {
        seen[outcome.index] += 1;
        assert_eq!(outcome.result, Ok(square(outcome.index as u64)));
    }
    assert!(seen.iter().all(|&n| n == 1));
}

pub fn one_task_is_applied_or_submitted(kind: Kind) {
    let pool = kind.pool();
    for n in 0..300 {
        assert_eq!(pool.apply(square, n).unwrap(), n * n);
    }
    let error = pool.apply(unless_five, 5).unwrap_err();
    assert!(matches!(error.failure().unwrap().kind(), FailureKind::Panicked { .. }));
    let tasks: Vec<_> = (0..300).map(|n| pool.submit(square, n).unwrap()).collect();
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(task.wait().result, Ok(square(n)));
    }
}

pub fn arguments_and_results_of_many_shapes(kind: Kind) {
    let pool = kind.pool();
    assert_eq!(pool.map(|(a, b): (u64, i8)| a as i64 * i64::from(b), [(2, -3), (4, 5)]).unwrap(), [-6, 20]);
    assert_eq!(pool.map(|()| (), [(); 500]).unwrap().len(), 500);
    assert_eq!(pool.map(|s: String| s.len(), ["", "ä"].map(str::to_string)).unwrap(), [0, 2]);
    let nested = pool.map(|n: u8| vec![Some(vec![n; n.into()]); 2], 0..3).unwrap();
    assert_eq!(nested[2], [Some(vec![2, 2]), Some(vec![2, 2])]);
    let numbers = [f64::MIN_POSITIVE, -0.0, f64::INFINITY];
    assert!(pool.map(|x: f64| x, numbers).unwrap().iter().zip(numbers).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(
        pool.apply(|(a, b): (u128, char)| (b, a), (u128::MAX, '\u{10ffff}')).unwrap(),
        ('\u{10ffff}', u128::MAX)
    );
    assert_eq!(pool.apply(|r: Result<u8, String>| r, Err("e".to_string())).unwrap(), Err("e".to_string()));
}

fn largest<T: Ord + Copy + Default>(of: Vec<T>) -> T {
    of.iter().copied().max().unwrap_or_default()
}

mod inner {
    pub(super) struct Turn;
    impl Turn {
        pub(super) fn around(text: String) -> String {
            text.chars().rev().collect()
        }
    }
}

pub fn functions_of_every_form(kind: Kind) {
    let pool = kind.pool();
    assert_eq!(pool.apply(largest::<u8>, vec![3, 9, 4]).unwrap(), 9);
    assert_eq!(pool.apply(largest::<i64>, vec![-3, -9]).unwrap(), -3);
    assert_eq!(pool.apply(inner::Turn::around, "abc".to_string()).unwrap(), "cba");
    assert_eq!(pool.apply(u64::from_str_radix_16, "ff".to_string()).unwrap(), 255);
    assert_eq!(pool.apply(str::<7>, ()).unwrap(), 7);
    let pointers: [fn(u64) -> u64; 3] = [square, |n| n + 1, u64::swap_bytes];
    assert_eq!(pointers.map(|f| pool.apply(f, 3).unwrap()), [9, 4, 3 << 56]);
}

fn str<const N: usize>(_: ()) -> usize {
    N
}

trait FromHex {
    fn from_str_radix_16(text: String) -> Self;
}

impl FromHex for u64 {
    fn from_str_radix_16(text: String) -> u64 {
        u64::from_str_radix(&text, 16).unwrap()
    }
}

pub fn chunks_of_any_size_give_the_same(kind: Kind) {
    let pool = kind.pool();
    for size in [0, 1, 2, 7, 100, 999, 1000, 100_000] {
        assert_eq!(pool.chunk_size(size).map(square, 0..1000).unwrap(), squares(1000));
        assert_eq!(pool.chunk_size(size).imap(square, 0..500).unwrap().filter(|o| o.is_done()).count(), 500);
    }
}

fn sum_in_a_pool(n: u64) -> u64 {
    let pool = Pool::builder().workers(2).build().unwrap();
    pool.map(square, 0..n).unwrap().iter().sum()
}

pub fn pools_nest(kind: Kind) {
    let pool = kind.pool();
    assert_eq!(pool.map(sum_in_a_pool, [3, 10]).unwrap(), [5, 285]);
    // And one more level.
    let deeper = |n: u64| Pool::builder().workers(1).build().unwrap().apply(sum_in_a_pool, n).unwrap();
    assert_eq!(pool.apply(deeper, 10).unwrap(), 285);
}

pub fn threads_share_a_pool(kind: Kind) {
    let pool = kind.pool();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let pool = &pool;
            scope.spawn(move || {
                let from = thread * 1_000_000;
                for round in 0..10 {
                    let n = from + round * 1000;
                    assert_eq!(pool.map(|n: u64| n + 1, n..n + 500).unwrap(), (n + 1..n + 501).collect::<Vec<_>>());
                    assert_eq!(pool.apply(|n: u64| n + 2, n).unwrap(), n + 2);
                    let mut all: Vec<u64> =
                        pool.imap_unordered(|n: u64| n + 3, n..n + 50).unwrap().map(|o| o.result.unwrap()).collect();
                    all.sort();
                    assert_eq!(all, (n + 3..n + 53).collect::<Vec<_>>());
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.done, stats.outstanding), (4 * 10 * 551, 0));
}

pub fn one_call_feeds_another(kind: Kind) {
    let pool = kind.pool();
    let stream = pool.imap(square, 0..200).unwrap().map(|outcome| outcome.result.unwrap());
    let next = pool.imap(|n: u64| n + 1, stream).unwrap().map(|outcome| outcome.result.unwrap());
    assert_eq!(pool.map(|n: u64| n - 1, next).unwrap(), squares(200));
    let applied = (0..50).map(|n| pool.apply(square, n).unwrap());
    assert_eq!(pool.map(|n: u64| n, applied).unwrap(), squares(50));
}
