//! Queues between two processes: small items against Python's queue, large ones against a bare socket pair.

use procession::{Process, Queue};

use super::Scale;
use crate::measure::{Rounds, time};
use crate::peers::python;
use crate::peers::socket::SocketWorker;
use crate::report::{Figure, Row, Target};

const LARGE: usize = 1 << 20;

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, count, pythons) = scale.pick((9, 2_000_000, 100_000u64), (3, 200_000, 20_000));
    for (max_items, name) in [(0, "unbounded"), (1000, "1000 items")] {
        let arguments = [max_items.to_string(), pythons.to_string()];
        let small = Rounds::measure(
            rounds,
            || small_items(max_items, count),
            || Ok(pythons as f64 / python::run(python::QUEUE, &arguments)?[0]),
        )?;
        Row::race(format!("queue: numbers to Python's, {name}"), Figure::PerSecond, &small, Target::AtLeast(10.0))
            .print();
    }
    let count = scale.pick(2000, 400);
    let mut worker = SocketWorker::start()?;
    let large = Rounds::measure(rounds, || large_items(count), || by_socket(&mut worker, count))?;
    Row::race("queue: 1 MiB items to a bare socket pair", Figure::BytesPerSecond, &large, Target::AtLeast(0.5)).print();
    Ok(())
}

fn produce((queue, ready, count): (Queue<u64>, Queue<()>, u64)) {
    ready.put(()).expect("an open queue");
    (0..count).for_each(|n| queue.put(n).expect("an open queue"));
}

/// Items a second from another process to this one.
fn small_items(max_items: usize, count: u64) -> anyhow::Result<f64> {
    let (queue, ready) = (Queue::bounded(max_items)?, Queue::unbounded()?);
    let mut process = Process::spawn(produce, (queue.clone(), ready.clone(), count))?;
    ready.get()?;
    let (seconds, sum) = time(|| (0..count).map(|_| queue.get().unwrap_or(0)).sum::<u64>());
    assert_eq!(sum, count * (count - 1) / 2);
    process.join()?;
    Ok(count as f64 / seconds)
}

fn consume((queue, done): (Queue<Vec<u8>>, Queue<usize>)) {
    loop {
        match queue.get().expect("an open queue") {
            bytes if bytes.is_empty() => done.put(0).expect("an open queue"),
            bytes if bytes.len() == 1 => return,
            bytes => assert_eq!(bytes.len(), LARGE),
        }
    }
}

/// Bytes a second to another process.
fn large_items(count: usize) -> anyhow::Result<f64> {
    let (queue, done) = (Queue::bounded(8)?, Queue::unbounded()?);
    let mut process = Process::spawn(consume, (queue.clone(), done.clone()))?;
    queue.put(Vec::new())?;
    done.get()?;
    let message = vec![7; LARGE];
    let (seconds, result) = time(|| -> Result<(), procession::Error> {
        for _ in 0..count {
            queue.put(message.clone())?;
        }
        queue.put(Vec::new())?;
        done.get().map(|_| ())
    });
    result?;
    queue.put(vec![0])?;
    process.join()?;
    Ok((count * LARGE) as f64 / seconds)
}

fn by_socket(worker: &mut SocketWorker, count: usize) -> anyhow::Result<f64> {
    let message = vec![7; LARGE];
    let (seconds, result) = time(|| worker.stream(count, || message.clone()));
    result?;
    Ok((count * LARGE) as f64 / seconds)
}
