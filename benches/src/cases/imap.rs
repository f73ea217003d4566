//! A long iterator through `imap`, with a consumer that is slow at first: the program's memory must stay what it is.

use std::time::Duration;

use anyhow::Context;
use procession::Pool;

use super::{Scale, increment};
use crate::measure::time;
use crate::report::{Figure, Row, Target};
use crate::usage::rss_bytes;

/// The consumer pauses after so many items, in the first half.
const BETWEEN_PAUSES: u64 = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let items: u64 = scale.pick(10_000_000, 1_000_000);
    let pool = Pool::new()?;
    let mut samples = Vec::new();
    let (seconds, done) = time(|| -> anyhow::Result<()> {
        for (n, outcome) in (0..items).zip(pool.imap(increment, 0..items)?) {
            assert_eq!(outcome.result.ok().context("a trivial task failed")?, n + 1);
            if n < items / 2 && n % BETWEEN_PAUSES == 0 {
                std::thread::sleep(PAUSE);
            }
            if n % (items / 200) == 0 {
                samples.push(rss_bytes());
            }
        }
        Ok(())
    });
    done?;
    // The first tenth is the warm-up.
    let settled = &samples[samples.len() / 10..];
    let least = settled.iter().copied().fold(f64::INFINITY, f64::min);
    let most = settled.iter().copied().fold(0.0, f64::max);
    Row::against("imap: most and least memory", Figure::Bytes(most), Figure::Bytes(least), Target::Within(1.1)).print();
    Row::figure("imap: items a second, pauses included", Figure::PerSecond(items as f64 / seconds), Target::Open)
        .print();
    Ok(())
}
