//! Round trip of a trivial `apply`, against two processes that do nothing but wake each other.

use procession::Pool;

use super::{Scale, increment, warm_up};
use crate::measure::{Rounds, median, time};
use crate::peers::futex::PingPong;
use crate::peers::python;
use crate::peers::socket::{Op, SocketWorker, number};
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, calls) = scale.pick((15, 4000), (3, 1000));
    let pool = Pool::new()?;
    warm_up(&pool)?;
    let ours = || median_of(calls, |n| Ok(pool.apply(increment, n)?));

    let mut ping_pong = PingPong::start()?;
    let futex = Rounds::measure(rounds, ours, || {
        median_of(calls, |n| {
            ping_pong.round_trip();
            Ok(n + 1)
        })
    })?;

    let mut worker = SocketWorker::start()?;
    let socket = Rounds::measure(rounds, ours, || {
        median_of(calls, |n| Ok(number(&worker.call(Op::Increment, &n.to_le_bytes())?)))
    })?;

    let arguments = [pool.workers().to_string(), calls.to_string()];
    let python = Rounds::measure(scale.pick(3, 1), ours, || Ok(python::run(python::APPLY, &arguments)?[0]))?;

    Row::race("apply: to a futex ping-pong", Figure::Seconds, &futex, Target::Within(1.5)).print();
    Row::race("apply: to a bare socket pair", Figure::Seconds, &socket, Target::Open).print();
    Row::race("apply: to Python's Pool.apply", Figure::Seconds, &python, Target::Open).print();
    Ok(())
}

/// The median time of `count` calls that add one.
fn median_of(count: u64, mut call: impl FnMut(u64) -> anyhow::Result<u64>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(count as usize);
    for n in 0..count {
        let (seconds, result) = time(|| call(n));
        assert_eq!(result?, n + 1);
        times.push(seconds);
    }
    Ok(median(times))
}
