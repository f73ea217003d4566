//! One large argument and one large result, against Python's pool and against a bare socket pair: the first call of a
//! worker, which has to get memory, and later ones.

use procession::Pool;

use super::{Scale, warm_up};
use crate::measure::{Rounds, median, time};
use crate::peers::python;
use crate::peers::socket::{Op, SocketWorker, number};
use crate::report::{Figure, Row, Target};

/// What is large.
#[derive(Clone, Copy)]
enum What {
    Argument,
    /// A result that its task has not written to: the pages of a fresh `vec![0; n]`.
    Zeros,
    /// A result that its task has written.
    Ones,
}

fn length(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

fn zeros(count: u64) -> Vec<u8> {
    vec![0; count as usize]
}

fn ones(count: u64) -> Vec<u8> {
    vec![1; count as usize]
}

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let size: u64 = scale.pick(256_000_000, 64_000_000);
    let (rounds, more) = scale.pick((5, 2), (2, 1));
    for (what, word, name) in [
        (What::Argument, "argument", "argument"),
        (What::Zeros, "zeros", "result, untouched"),
        (What::Ones, "ones", "result, written"),
    ] {
        let (mut first, mut warm) = (Peers::default(), Peers::default());
        let arguments = [word.to_string(), size.to_string(), more.to_string()];
        for _ in 0..rounds {
            let measured = [by_pool(what, size, more)?, by_socket(what, size, more)?];
            touch_memory(size);
            let python = python::run(python::LARGE, &arguments)?;
            first.add(measured[0].0, measured[1].0, python[0]);
            warm.add(measured[0].1, measured[1].1, python[1]);
        }
        let megabytes = size / 1_000_000;
        for (when, peers) in [("first", &first), ("warm", &warm)] {
            let name = format!("large: {megabytes} MB {name}, {when}");
            Row::race(format!("{name}: Python"), Figure::Seconds, &peers.python, Target::Faster(5.0)).print();
            Row::race(format!("{name}: socket"), Figure::Seconds, &peers.socket, Target::Faster(1.0)).print();
        }
    }
    Ok(())
}

/// Ours beside each of the two.
#[derive(Default)]
struct Peers {
    python: Rounds,
    socket: Rounds,
}

impl Peers {
    fn add(&mut self, ours: f64, socket: f64, python: f64) {
        for (rounds, peer) in [(&mut self.python, python), (&mut self.socket, socket)] {
            rounds.ours.push(ours);
            rounds.peer.push(peer);
        }
    }
}

/// Times of the first call of a fresh pool, and the median of `more` that follow.
fn by_pool(what: What, size: u64, more: usize) -> anyhow::Result<(f64, f64)> {
    touch_memory(size);
    let pool = Pool::builder().workers(1).build()?;
    warm_up(&pool)?;
    first_and_warm(more, || match what {
        What::Argument => {
            let argument = ones(size);
            let (seconds, len) = time(|| pool.apply(length, argument));
            assert_eq!(len?, size);
            Ok(seconds)
        }
        What::Zeros | What::Ones => {
            let function = if matches!(what, What::Zeros) { zeros } else { ones };
            let (seconds, bytes) = time(|| pool.apply(function, size));
            assert_eq!(bytes?.len() as u64, size);
            Ok(seconds)
        }
    })
}

fn by_socket(what: What, size: u64, more: usize) -> anyhow::Result<(f64, f64)> {
    touch_memory(size);
    let mut worker = SocketWorker::start()?;
    worker.call(Op::Increment, &[0; 8])?;
    let argument = ones(size);
    first_and_warm(more, || match what {
        What::Argument => {
            let (seconds, len) = time(|| worker.call(Op::Length, &argument));
            assert_eq!(number(&len?), size);
            Ok(seconds)
        }
        What::Zeros | What::Ones => {
            let op = if matches!(what, What::Zeros) { Op::Zeros } else { Op::Ones };
            let (seconds, bytes) = time(|| worker.call(op, &size.to_le_bytes()));
            assert_eq!(bytes?.len() as u64, size);
            Ok(seconds)
        }
    })
}

/// Uses as much memory as a contender will, in small pages and in huge ones, so that none of them is the one for whom a
/// virtual machine's host has to find it.
fn touch_memory(size: u64) {
    std::hint::black_box(ones(4 * size));
    let mut huge = Vec::with_capacity(4 * size as usize);
    procession_os::advise_huge_pages(&mut huge);
    huge.resize(huge.capacity(), 1);
    std::hint::black_box(huge);
}

fn first_and_warm(more: usize, mut call: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<(f64, f64)> {
    let first = call()?;
    let others = (0..more).map(|_| call()).collect::<Result<Vec<f64>, _>>()?;
    Ok((first, median(others)))
}
