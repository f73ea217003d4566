//! A row of the table: a promise, a fault, and how the one is put to the other. Each runs in a process of its own, and tells
//! what it finds by lines on its standard output.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::random::Random;
use crate::watch;

/// A line that begins so is a figure.
pub const FIGURE: &str = "figure: ";
/// A line that begins so says what does not hold.
pub const BROKEN: &str = "broken: ";

/// One row of the table.
pub struct Row {
    pub name: &'static str,
    pub promise: &'static str,
    pub fault: &'static str,
    pub must_show: &'static str,
    pub run: fn(&Run) -> anyhow::Result<()>,
}

/// What a row is told, and what it tells.
pub struct Run {
    seeds: u64,
    only: Option<u64>,
    /// The toolbox.
    pub binary: PathBuf,
}

impl Run {
    pub fn new(seeds: u64, only: Option<u64>, binary: PathBuf) -> Run {
        Run { seeds, only, binary }
    }

    /// Where a row has no seeds but amounts: so much for 100 seeds and more, and a share of it for fewer.
    pub fn amount(&self, full: u64) -> u64 {
        (full * self.seeds.min(100) / 100).max(1)
    }

    /// Seeds for a part that gets one of `divisor` seeds, but at least `least`.
    pub fn seeds(&self, divisor: u64, least: u64) -> Range<u64> {
        match self.only {
            Some(seed) => seed..seed + 1,
            None => 0..(self.seeds / divisor).max(least),
        }
    }

    /// Runs `part` for each of these seeds, each under the watchdog; returns how many there were.
    pub fn for_each_seed(
        &self,
        what: &str,
        seeds: Range<u64>,
        mut part: impl FnMut(u64, Random) -> anyhow::Result<()>,
    ) -> u64 {
        let count = seeds.end - seeds.start;
        for seed in seeds {
            let _watch = watch::patience(&format!("{what}, --seed {seed}"), Duration::from_secs(90));
            if let Err(error) = part(seed, Random(seed)) {
                self.broken(format!("{what}, --seed {seed}: {error:#}"));
            }
        }
        count
    }

    pub fn figure(&self, text: String) {
        println!("{FIGURE}{text}");
    }

    pub fn broken(&self, text: String) {
        println!("{BROKEN}{}", text.replace('\n', " "));
    }
}

/// Runs a row in this process. True if it came to its end, whatever it found.
pub fn run_here(row: &Row, run: &Run) -> anyhow::Result<bool> {
    // A panic of any thread of the program, the library's own too, is a promise broken.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        println!("{BROKEN}the program panicked: {}", info.to_string().replace('\n', " "));
        default(info);
    }));
    watch::start();
    if let Err(error) = (row.run)(run) {
        run.broken(format!("{error:#}"));
    }
    run.figure(format!("sleeping threads woke up to {} late", crate::bound::millis(watch::worst_lateness())));
    Ok(true)
}
