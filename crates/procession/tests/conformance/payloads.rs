//! What travels: any size, in both directions, and values that refuse to.

use std::panic::{AssertUnwindSafe, catch_unwind};

use procession::{ErrorKind, FailureKind, Pool};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{Kind, Random, square};

/// Around every border that the transport has: a ring, a quarter of it, and where results get memory of their own.
const SIZES: [usize; 22] = [
    0,
    1,
    127,
    128,
    4096,
    32_767,
    32_768,
    64_511,
    65_535,
    65_536,
    65_537,
    66_560,
    131_072,
    262_095,
    262_096,
    262_143,
    262_144,
    262_145,
    524_289,
    1 << 20,
    5_000_000,
    40_000_000,
];

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let block: Vec<u8> = (0..509).map(|_| random.next() as u8).collect();
    let mut bytes = block.repeat(len / block.len() + 1);
    bytes.truncate(len);
    bytes
}

pub fn bytes_of_any_size(kind: Kind) {
    let pool = kind.pool();
    for len in SIZES {
        let sent = bytes(len as u64, len);
        let got = pool.apply(|b: Vec<u8>| b, sent.clone()).unwrap();
        assert!(got == sent, "{len} bytes came back changed");
    }
    let all = pool.map(|b: Vec<u8>| b, SIZES.map(|len| bytes(1, len))).unwrap();
    assert!(all.iter().zip(SIZES).all(|(got, len)| *got == bytes(1, len)));
}

pub fn text_of_any_size(kind: Kind) {
    let pool = kind.pool();
    let texts = SIZES.map(|len| "ä".repeat(len / 2) + &"x".repeat(len % 2));
    for text in &texts {
        assert!(pool.apply(|t: String| t, text.clone()).unwrap() == *text);
    }
    let lens = pool.map(|t: String| t.len(), texts).unwrap();
    assert_eq!(lens, SIZES);
    assert_eq!(
        pool.map(|len: usize| "y".repeat(len), SIZES).unwrap().iter().map(String::len).collect::<Vec<_>>(),
        SIZES
    );
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Page {
    title: String,
    body: Vec<u8>,
    next: Option<Box<Page>>,
}

fn page(len: usize) -> Page {
    let next = Page { title: "last".to_string(), body: bytes(3, len), next: None };
    Page { title: "t".repeat(len / 3), body: bytes(2, len / 2), next: Some(Box::new(next)) }
}

pub fn values_of_any_size(kind: Kind) {
    let pool = kind.pool();
    let sizes = SIZES.into_iter().filter(|&len| len <= 1 << 20);
    let pages: Vec<Page> = sizes.map(page).collect();
    let with_title = |mut p: Page| {
        p.title.push('!');
        p
    };
    let back = pool.map(with_title, pages.clone()).unwrap();
    assert!(back.into_iter().eq(pages.into_iter().map(with_title)));
}

/// Task: answers with as many bytes as it is asked for, which depend on those that came.
fn answer((len, came): (usize, Vec<u8>)) -> Vec<u8> {
    bytes(came.iter().step_by(97).map(|&b| u64::from(b)).sum(), len)
}

fn questions(seed: u64, count: usize) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random(seed);
    let mut len = move || random.below(random.clone().below(1_500_000) + 1) as usize;
    (0..count).map(|n| (len(), bytes(seed + n as u64, len()))).collect()
}

fn check_answers(pool: &Pool, seed: u64, count: usize) {
    let asked = questions(seed, count);
    let want: Vec<Vec<u8>> = asked.iter().cloned().map(answer).collect();
    assert!(pool.map(answer, asked.clone()).unwrap() == want);
    let mut seen = 0;
    for outcome in pool.imap_unordered(answer, asked.clone()).unwrap() {
        assert!(outcome.result.unwrap() == want[outcome.index]);
        seen += 1;
    }
    assert_eq!(seen, count);
    let tasks: Vec<_> = asked.into_iter().map(|q| pool.submit(answer, q).unwrap()).collect();
    for (task, want) in tasks.into_iter().zip(want) {
        assert!(task.wait().result.unwrap() == want);
    }
}

pub fn many_large_values_in_both_directions(kind: Kind) {
    let pool = kind.pool();
    for seed in 0..3 {
        check_answers(&pool, seed * 100, 20);
    }
}

pub fn large_values_from_several_threads(kind: Kind) {
    let pool = kind.builder().max_in_flight(100, 3 << 20).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let pool = &pool;
            scope.spawn(move || check_answers(pool, 1000 + thread * 100, 10));
        }
    });
}

/// Cannot be encoded if it is odd, nor decoded if it is a multiple of four.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shy(u64);

impl Serialize for Shy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 2 == 1 {
            return Err(S::Error::custom("it is odd"));
        }
        // Part of it is written before it is found out.
        (self.0, self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shy, D::Error> {
        let (number, _) = <(u64, u64)>::deserialize(deserializer)?;
        if number % 4 == 0 { Err(D::Error::custom("it is a multiple of four")) } else { Ok(Shy(number)) }
    }
}

pub fn arguments_that_cannot_travel(kind: Kind) {
    let pool = kind.pool();
    for (n, can) in [(1, false), (2, true), (4, false)] {
        let outcome = pool.submit(|shy: Shy| shy.0, Shy(n)).unwrap().wait();
        assert_eq!(outcome.is_done(), can, "{outcome:?}");
        if let Err(failure) = outcome.result {
            assert!(matches!(failure.kind(), FailureKind::BadArgument { .. }), "{failure:?}");
            assert!(failure.to_string().starts_with("the argument cannot be passed"), "{failure}");
        }
    }
    let outcomes = || pool.imap(|shy: Shy| shy.0, (0..400).map(Shy)).unwrap();
    for (n, outcome) in (0..).zip(outcomes()) {
        assert_eq!((outcome.index as u64, outcome.is_done()), (n, n % 4 == 2), "{outcome:?}");
    }
    assert_eq!(outcomes().count(), 400);
    let error = pool.map(|shy: Shy| shy.0, [2, 6, 7].map(Shy)).unwrap_err();
    assert_eq!(error.failure().unwrap().index(), 2);
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

pub fn results_that_cannot_travel(kind: Kind) {
    let pool = kind.pool();
    for (n, outcome) in (0..).zip(pool.imap(Shy, 0..400).unwrap()) {
        assert_eq!(outcome.index as u64, n);
        match outcome.result {
            Ok(shy) => assert!(n % 4 == 2 && shy.0 == n),
            Err(failure) => {
                assert!(n % 4 != 2 && matches!(failure.kind(), FailureKind::BadResult { .. }), "{n}: {failure:?}")
            }
        }
    }
    let error = pool.apply(Shy, 4).unwrap_err();
    assert!(error.to_string().contains("the result cannot be passed"), "{error}");
    assert_eq!(pool.apply(Shy, 6).unwrap(), Shy(6));
}

pub fn contexts_that_cannot_travel(kind: Kind) {
    let pool = kind.pool();
    let add = |shy: &Shy, n: u64| shy.0 + n;
    assert_eq!(pool.map_with(&Shy(1), add, [1, 2]).unwrap_err().kind(), ErrorKind::BadArgument);
    let error = pool.map_with(&Shy(4), add, [1, 2]).unwrap_err();
    assert!(matches!(error.failure().unwrap().kind(), FailureKind::BadArgument { .. }), "{error}");
    let failed = pool.imap_unordered_with(&Shy(4), add, 0..100).unwrap().filter(|o| !o.is_done()).count();
    assert_eq!(failed, 100);
    assert_eq!(pool.map_with(&Shy(2), add, [1, 2]).unwrap(), [3, 4]);
}

struct Rude;

impl Serialize for Rude {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("no")
    }
}

impl<'de> Deserialize<'de> for Rude {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Rude, D::Error> {
        panic!("no")
    }
}

pub fn a_result_that_panics_on_its_way(kind: Kind) {
    let pool = kind.pool();
    for outcome in pool.imap(|_: u64| Rude, 0..50).unwrap() {
        assert!(outcome.failure().unwrap().is_panic());
    }
    // In the program it is the caller's panic, and the pool's no matter.
    assert!(catch_unwind(AssertUnwindSafe(|| pool.apply(|_: Rude| (), Rude))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.map(|_: Rude| (), [Rude, Rude]))).is_err());
    let items = (0..100).map(|n| (n, (n % 10 == 5).then_some(Rude)));
    let mut stream = pool.chunk_size(10).imap(|(n, _): (u64, Option<Rude>)| n, items).unwrap();
    let next = || catch_unwind(AssertUnwindSafe(|| stream.next()));
    let numbers: Vec<u64> = std::iter::repeat_with(next).flatten().map_while(|o| Some(o?.result.unwrap())).collect();
    assert_eq!(numbers, (0..100).filter(|n| n % 10 != 5).collect::<Vec<_>>());
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
    pool.join();
}

/// The number three cannot be read in the program.
#[derive(Debug, PartialEq, Serialize)]
struct NoThree(u64);

impl<'de> Deserialize<'de> for NoThree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<NoThree, D::Error> {
        let n = u64::deserialize(deserializer)?;
        assert_ne!(n, 3, "three is not for us");
        Ok(NoThree(n))
    }
}

pub fn an_outcome_that_panics_when_it_is_read_is_one_of_many(kind: Kind) {
    let pool = kind.pool();
    for chunk_size in [1, 10] {
        let mut outcomes = pool.chunk_size(chunk_size).imap(NoThree, 0..10).unwrap();
        let mut seen = Vec::new();
        loop {
            match catch_unwind(AssertUnwindSafe(|| outcomes.next())) {
                Ok(Some(outcome)) => seen.push(outcome.result.unwrap().0),
                Ok(None) => break,
                Err(_) => seen.push(300),
            }
        }
        assert_eq!(seen, [0, 1, 2, 300, 4, 5, 6, 7, 8, 9]);
    }
}

pub fn a_result_may_be_too_long(kind: Kind) {
    let pool = kind.builder().max_result(2000).build().unwrap();
    let outcomes: Vec<_> = pool.imap(|n: usize| vec![7u8; n], [1, 1999, 3000, 1_000_000, 5]).unwrap().collect();
    let lengths: Vec<_> = outcomes.iter().map(|o| o.result.as_ref().ok().map(Vec::len)).collect();
    assert_eq!(lengths, [Some(1), Some(1999), None, None, Some(5)]);
    let failure = outcomes[3].failure().unwrap();
    assert!(matches!(failure.kind(), FailureKind::BadResult { .. }), "{failure}");
    assert!(failure.to_string().contains("1000000 bytes, more than the 2000 of PoolBuilder::max_result"), "{failure}");
    // What a panic says may be longer.
    let error = pool.apply(|n: usize| assert!(n == 0, "{}", "x".repeat(n)), 10_000).unwrap_err();
    assert!(error.failure().unwrap().is_panic());
}
