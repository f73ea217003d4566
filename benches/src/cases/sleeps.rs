//! 64 workers on tasks that sleep: what dispatch adds to the time that the tasks take.

use std::time::Duration;

use procession::Pool;

use super::{Scale, warm_up};
use crate::measure::{Rounds, median, time};
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
    let rounds = Rounds::measure(
        scale.pick(15, 5),
        || {
            let (seconds, done) = time(|| pool.map(nap, 0..TASKS));
            done?;
            Ok(seconds)
        },
        || Ok(time(nap_in_threads).0),
    )?;
    let ideal = NAP.as_secs_f64() * (TASKS / WORKERS) as f64;
    let middle = Figure::Seconds(median(rounds.ours.iter().copied()));
    let target = Target::Faster(EFFICIENCY);
    Row::against("sleeps: 64 workers, to the ideal", middle, Figure::Seconds(ideal), target).print();
    Row::race("sleeps: to 64 threads with 8 naps each", Figure::Seconds, &rounds, Target::Open).print();
    Ok(())
}

/// The same sleeps without any dispatch: what the system makes of the ideal.
fn nap_in_threads() {
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| (0..TASKS / WORKERS).for_each(nap));
        }
    });
}
