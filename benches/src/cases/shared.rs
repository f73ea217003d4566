//! Shared numbers against Python's, and the hand-over of a slice of any size.

use procession::{Event, Pool, Process, Semaphore, SharedBuffer, SharedSlice, Value};

use super::{Scale, warm_up};
use crate::measure::{Rounds, median, time};
use crate::peers::python;
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, turns, pythons) = scale.pick((7, 1_000_000, 100_000u64), (3, 100_000, 20_000));
    for processes in [1, 2] {
        let arguments = [processes.to_string(), pythons.to_string()];
        let rounds = Rounds::measure(
            rounds,
            || Ok((processes as u64 * turns) as f64 / count_up(processes, turns)?),
            || Ok((processes as u64 * pythons) as f64 / python::run(python::VALUE, &arguments)?[0]),
        )?;
        let name = format!("shared: Value under its lock, {processes} at once, to Python's");
        Row::race(name, Figure::PerSecond, &rounds, Target::AtLeast(20.0)).print();
    }
    hand_over(scale)
}

type Counting = (Value<u64>, Semaphore, Event, Semaphore, u64);

fn increment((value, ready, go, done, turns): Counting) {
    ready.release();
    go.wait();
    for _ in 0..turns {
        *value.get_lock().expect("nobody dies") += 1;
    }
    done.release();
}

fn count_up(processes: usize, turns: u64) -> anyhow::Result<f64> {
    let (value, go) = (Value::new(0)?, Event::new()?);
    let (ready, done) = (Semaphore::new(0)?, Semaphore::new(0)?);
    let counting: Counting = (value.clone(), ready.clone(), go.clone(), done.clone(), turns);
    let mut children = Vec::new();
    for _ in 0..processes {
        children.push(Process::spawn(increment, counting.clone())?);
    }
    children.iter().for_each(|_| ready.acquire_signal());
    let (seconds, ()) = time(|| {
        go.set();
        children.iter().for_each(|_| done.acquire_signal());
    });
    assert_eq!(value.get(), processes as u64 * turns);
    Ok(seconds)
}

/// What a worker sees of a slice: its length, and its last item.
fn look(slice: SharedSlice<u64>) -> (usize, u64) {
    (slice.len(), slice.last().copied().unwrap_or(0))
}

fn hand_over(scale: Scale) -> anyhow::Result<()> {
    let pool = Pool::builder().workers(1).build()?;
    warm_up(&pool)?;
    let (calls, large_bytes) = scale.pick((200, 1 << 30), (50, 64 << 20));
    let make = |bytes: usize| -> anyhow::Result<SharedSlice<u64>> {
        let mut buffer = SharedBuffer::zeroed(bytes / size_of::<u64>())?;
        buffer[bytes / size_of::<u64>() - 1] = 7;
        Ok(buffer.freeze()?)
    };
    let (small, large) = (make(4096)?, make(large_bytes)?);
    let median_of = |slice: &SharedSlice<u64>| {
        let times = (0..calls).map(|_| {
            let (seconds, seen) = time(|| pool.apply(look, slice.clone()));
            assert_eq!(seen?, (slice.len(), 7));
            Ok(seconds)
        });
        times.collect::<anyhow::Result<Vec<f64>>>().map(median)
    };
    let rounds = Rounds::measure(scale.pick(9, 3), || median_of(&large), || median_of(&small))?;
    let name = format!("shared: SharedSlice, {} MiB to 4 KiB handed over", large_bytes >> 20);
    Row::race(name, Figure::Seconds, &rounds, Target::Within(1.5)).print();
    let large = median(rounds.ours);
    Row::figure("shared: SharedSlice, the large one", Figure::Seconds(large), Target::AtMost(Figure::Seconds(1e-3)))
        .print();
    Ok(())
}
