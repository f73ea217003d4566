//! Python's `multiprocessing.Pool`: scripts that measure themselves and print seconds.

use std::process::Command;

use anyhow::{Context, ensure};

/// `Pool.apply` of `x + 1`; arguments: workers, calls. Prints the median.
pub const APPLY: &str = include_str!("apply.py");
/// `Pool.map` of `x + 1`; arguments: workers, items. Prints the time with the best of several chunk sizes.
pub const MAP: &str = include_str!("map.py");
/// `Pool.apply` with large bytes; arguments: what (`argument`, `zeros`, `ones`), bytes, calls after the first. Prints the
/// first call's time and the median of the others'.
pub const LARGE: &str = include_str!("large.py");
/// A `Queue` of numbers from another process; arguments: items that it may hold (0: any number), items. Prints seconds.
pub const QUEUE: &str = include_str!("queue.py");

/// A `Value` counted up under its lock; arguments: processes, turns of each. Prints seconds.
pub const VALUE: &str = include_str!("value.py");
/// `dict.get` through a `Manager`; argument: calls. Prints the median.
pub const MANAGER: &str = include_str!("manager.py");

/// Runs a script; returns the numbers that it prints.
pub fn run(script: &str, arguments: &[String]) -> anyhow::Result<Vec<f64>> {
    let output =
        Command::new("python3").arg("-c").arg(script).args(arguments).output().context("failed to run python3")?;
    ensure!(output.status.success(), "python3: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.split_whitespace().map(|word| word.parse().with_context(|| format!("python3 printed `{word}`"))).collect()
}
