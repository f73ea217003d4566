//! What a process costs beside a thread: to start one, to hand a task over, to pass a large value.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::anyhow;
use procession::{Pool, Process, SharedSlice, StartMethod};

use super::{Scale, increment, warm_up};
use crate::measure::{Rounds, median, time};
use crate::report::{Figure, Row, Target};

fn nothing(_: ()) {}

fn length(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

fn shared_length(bytes: SharedSlice<u8>) -> usize {
    bytes.len()
}

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, starts, calls) = scale.pick((15, 50, 4000), (3, 10, 1000));
    for (name, method) in [("forkserver", StartMethod::ForkServer), ("spawn", StartMethod::Spawn)] {
        let start = || Ok(Process::builder().start_method(method).spawn(nothing, ())?.join()?.success());
        let thread = || thread::spawn(|| true).join().map_err(|_| anyhow!("a thread panicked"));
        let ours = || median_of(starts, true, start);
        let measured = Rounds::measure(rounds, ours, || median_of(starts, true, thread))?;
        Row::race(format!("threads: start and join, {name}"), Figure::Seconds, &measured, Target::Open).print();
    }
    let pool = Pool::builder().workers(1).build()?;
    warm_up(&pool)?;
    let neighbour = Neighbour::start(increment);
    let ours = || median_of(calls, 8, || Ok(pool.apply(increment, 7)?));
    let trip = Rounds::measure(rounds, ours, || median_of(calls, 8, || neighbour.call(7)))?;
    Row::race("threads: round trip of a task", Figure::Seconds, &trip, Target::Open).print();

    let large = vec![1u8; scale.pick(256_000_000, 64_000_000)];
    let (len, megabytes) = (large.len(), large.len() / 1_000_000);
    let mut copy = large.clone();
    let ours = || {
        let argument = large.clone();
        let (seconds, got) = time(|| pool.apply(length, argument));
        assert_eq!(got?, len as u64);
        Ok(seconds)
    };
    // A thread is given a pointer: what is to be compared is what a copy costs.
    let copied = || {
        let (seconds, ()) = time(|| copy.copy_from_slice(&large));
        std::hint::black_box(&copy);
        Ok(seconds)
    };
    let passed = Rounds::measure(scale.pick(9, 3), ours, copied)?;
    let name = format!("threads: {megabytes} MB as an argument, to a copy of it");
    Row::race(name, Figure::Seconds, &passed, Target::Open).print();

    let slice = SharedSlice::from_slice(&large)?;
    let neighbour = Neighbour::start(|bytes: Arc<Vec<u8>>| bytes.len());
    let bytes = Arc::new(large);
    let ours = || median_of(calls / 10, len, || Ok(pool.apply(shared_length, slice.clone())?));
    let shared = Rounds::measure(rounds, ours, || median_of(calls / 10, len, || neighbour.call(Arc::clone(&bytes))))?;
    let name = format!("threads: {megabytes} MB in a SharedSlice, to an Arc");
    Row::race(name, Figure::Seconds, &shared, Target::Open).print();
    Ok(())
}

/// The median time of `count` calls that each return `want`.
fn median_of<T: PartialEq + Debug>(
    count: usize,
    want: T,
    mut call: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let (seconds, result) = time(&mut call);
        assert_eq!(result?, want);
        times.push(seconds);
    }
    Ok(median(times))
}

/// A thread that answers, behind two channels.
struct Neighbour<A, R> {
    calls: Sender<A>,
    answers: Receiver<R>,
}

impl<A: Send + 'static, R: Send + 'static> Neighbour<A, R> {
    fn start(function: fn(A) -> R) -> Neighbour<A, R> {
        let ((calls, incoming), (outgoing, answers)) = (channel(), channel());
        thread::spawn(move || incoming.into_iter().try_for_each(|value| outgoing.send(function(value))));
        Neighbour { calls, answers }
    }

    fn call(&self, value: A) -> anyhow::Result<R> {
        self.calls.send(value).map_err(|_| anyhow!("the thread has ended"))?;
        Ok(self.answers.recv()?)
    }
}
