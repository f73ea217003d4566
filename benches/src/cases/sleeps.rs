//! 64 workers on tasks that sleep: what dispatch adds to the time that the tasks take.

use std::time::Duration;

use procession::Pool;

use super::{Scale, warm_up};
use crate::measure::{median, time};
use crate::report::{Figure, Row, Target};

const WORKERS: usize = 64;
const TASKS: usize = 512;
const NAP: Duration = Duration::from_millis(10);
/// Part of the ideal that is wanted.
const EFFICIENCY: f64 = 0.97;

fn nap(_: usize) {
    std::thread::sleep(NAP);
}

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let pool = Pool::builder().workers(WORKERS).build()?;
    warm_up(&pool)?;
    let mut times = Vec::new();
    for _ in 0..scale.pick(15, 5) {
        let (seconds, done) = time(|| pool.map(nap, 0..TASKS));
        done?;
        times.push(seconds);
    }
    let ideal = NAP.as_secs_f64() * (TASKS / WORKERS) as f64;
    let (first, middle) = (times[0], median(times));
    let target = Target::Faster(EFFICIENCY);
    Row::against("sleeps: 64 workers, to the ideal", Figure::Seconds(middle), Figure::Seconds(ideal), target).print();
    Row::against("sleeps: the first map of them", Figure::Seconds(first), Figure::Seconds(ideal), Target::Open).print();
    Ok(())
}
