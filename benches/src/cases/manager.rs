//! Reading from a dictionary in a manager, against Python's.

use procession::Manager;

use super::Scale;
use crate::measure::{Rounds, median, time};
use crate::peers::python;
use crate::report::{Figure, Row, Target};

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let (rounds, calls) = scale.pick((7, 5000), (3, 1000));
    let manager = Manager::new()?;
    let dict = manager.dict()?;
    dict.insert("key".to_string(), 1u64)?;
    let ours = || {
        let times = (0..calls).map(|_| {
            let (seconds, value) = time(|| dict.get("key".to_string()));
            assert_eq!(value?, Some(1));
            Ok(seconds)
        });
        times.collect::<anyhow::Result<Vec<f64>>>().map(median)
    };
    let rounds = Rounds::measure(rounds, ours, || Ok(python::run(python::MANAGER, &[calls.to_string()])?[0]))?;
    Row::race("manager: get from a dictionary, to Python's", Figure::Seconds, &rounds, Target::Faster(3.0)).print();
    Ok(())
}
