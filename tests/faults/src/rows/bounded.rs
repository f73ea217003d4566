//! A long input and a slow consumer: the program does not grow.

use std::time::{Duration, Instant};

use anyhow::ensure;
use procession::Pool;

use crate::machine::{mebibytes, rss_bytes};
use crate::row::{Row, Run};
use crate::watch;

pub const ROW: Row = Row {
    name: "bounded",
    promise: "the parent's memory is bounded",
    fault: "10,000,000 items, slow consumer",
    must_show: "RSS flat within 10 % (or 1 MiB)",
    run,
};

const ITEMS: u64 = 10_000_000;
/// The program has 5 MiB, of which 10 % are a few pieces that the allocator takes from the system.
const GRAIN_BYTES: u64 = 1 << 20;

fn run(run: &Run) -> anyhow::Result<()> {
    let items = run.amount(ITEMS);
    let _watch = watch::patience("a slow consumer", Duration::from_secs(900));
    let since = Instant::now();
    let pool = Pool::builder().workers(2).build()?;
    let (mut least, mut most) = (u64::MAX, 0);
    let mut at_tenths = Vec::new();
    let mut count = 0;
    for (n, outcome) in (0..).zip(pool.imap(|n: u64| n + 1, 0..items)?) {
        ensure!(outcome.result == Ok(n + 1), "item {n}: {:?}", outcome.result);
        count += 1;
        // A tenth of a second in all for each percent: the workers are far ahead of whoever waits so long.
        if n % (items / 1000) == 0 {
            std::thread::sleep(Duration::from_millis(10));
            if n >= items / 10 {
                let rss = rss_bytes();
                (least, most) = (least.min(rss), most.max(rss));
                if n % (items / 10) == 0 {
                    at_tenths.push(format!("{:.2}", rss as f64 / (1 << 20) as f64));
                }
            }
        }
    }
    ensure!(count == items, "{count} of {items} came");
    let growth = (most - least) as f64 / least as f64 * 100.0;
    run.figure(format!(
        "{items} items in {} s, RSS from 10 % of the way on {} to {} ({growth:.1} %), at each tenth of it {} MiB",
        since.elapsed().as_secs(),
        mebibytes(least),
        mebibytes(most),
        at_tenths.join(", ")
    ));
    ensure!(growth <= 10.0 || most - least <= GRAIN_BYTES, "RSS varied by {growth:.1} %");
    Ok(())
}
