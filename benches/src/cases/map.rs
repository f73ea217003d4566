//! `map` with default settings on a pool that has just started, against Python's at its best chunk size.

use procession::Pool;

use super::{Scale, increment, warm_up};
use crate::measure::{Rounds, time};
use crate::peers::python;
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let items: u64 = scale.pick(1_000_000, 200_000);
    let workers = std::thread::available_parallelism()?;
    let arguments = [workers.to_string(), items.to_string()];
    let mut warm = Vec::new();
    let rounds = Rounds::measure(
        scale.pick(9, 3),
        || {
            let pool = Pool::new()?;
            warm_up(&pool)?;
            let first = one_map(&pool, items)?;
            warm.push(one_map(&pool, items)?);
            Ok(first)
        },
        || Ok(python::run(python::MAP, &arguments)?[0]),
    )?;
    let warm = Rounds { ours: warm, peer: rounds.peer.clone() };
    Row::race(format!("map: {items} numbers, first of a pool"), Figure::Seconds, &rounds, Target::Faster(5.0)).print();
    Row::race(format!("map: {items} numbers, second"), Figure::Seconds, &warm, Target::Faster(5.0)).print();
    Ok(())
}

fn one_map(pool: &Pool, items: u64) -> anyhow::Result<f64> {
    let (seconds, results) = time(|| pool.map(increment, 0..items));
    assert_eq!(results?.last(), Some(&items));
    Ok(seconds)
}
