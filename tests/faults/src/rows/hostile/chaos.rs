//! Tasks that write random bytes, false counters and made-up records while they and others run.

use std::time::Duration;

use anyhow::ensure;
use procession::Pool;

use super::PATIENCE;
use super::lane::*;
use crate::machine::{mebibytes, rss_bytes};
use crate::random::Random;
use crate::row::Run;

const ITEMS: u64 = 60;
/// What the program may have more while it deals with them.
const ALLOWED_GROWTH: u64 = 64 << 20;

/// Task: a good one returns its square; the others do harm first.
fn task((n, harm): (u64, Option<u64>)) -> u64 {
    if let Some(seed) = harm {
        let mut random = Random(seed);
        if let Ok(lane) = OwnLane::find() {
            for _ in 0..1 + random.below(6) {
                let _ = do_harm(&lane, &mut random);
                std::thread::sleep(Duration::from_micros(random.below(3) * random.below(800)));
            }
        }
    }
    n * n
}

fn do_harm(lane: &OwnLane, random: &mut Random) -> std::io::Result<()> {
    let word = random_word(random);
    match random.below(14) {
        0 => lane.write_u64(CLAIM, word),
        1 => lane.write_u64(RESULTS_HEAD, word),
        2 => lane.write_u64(RESULTS_HEAD, lane.u64(RESULTS_HEAD)?.wrapping_add(random.below(300_000))),
        3 => lane.write_u64(TASKS_TAIL, word),
        4 => lane.write_u64([TASKS_HEAD, RESULTS_TAIL][random.below(2) as usize], word),
        5 => lane.write_u64(READY, word),
        6 => lane.write_u64(WANTS_ROOM, word),
        7 => lane.write_u64(WORKER_BELL, word),
        8 => lane.write_bell([0, BELL_MODE][random.below(2) as usize], &(word as u32).to_le_bytes()),
        9 => lane.write(RESULTS_BYTES, &random_bytes(random, 5000)),
        10 => lane.publish(&random_bytes(random, 2000)).map(drop),
        // A length that nobody has, and the first bytes of it.
        11 => {
            let len = [1 << 20, 1 << 31, 1 << 40, 1 << 60, u64::MAX][random.below(5) as usize];
            let mut bytes = record_head(len, random.below(4));
            bytes.extend(random_bytes(random, 5000));
            lane.publish(&bytes).map(drop)
        }
        // Answers to items that were never given to it, or that it has not begun.
        12 => {
            let mut bytes = Vec::new();
            for _ in 0..random.below(200) {
                bytes.extend(record_head(8, 0));
                bytes.extend(random.next().to_le_bytes());
            }
            lane.publish(&bytes).map(drop)
        }
        // Faults and refusals that are none.
        _ => {
            let junk = random_bytes(random, 60);
            let mut bytes = record_head(junk.len() as u64, 1 + random.below(3));
            bytes.extend(junk);
            lane.publish(&bytes).map(drop)
        }
    }
}

fn random_word(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.below(64),
        1 => u64::MAX - random.below(4),
        2 => 1 << random.below(64),
        _ => random.next(),
    }
}

fn random_bytes(random: &mut Random, max: u64) -> Vec<u8> {
    (0..random.below(max)).map(|_| random.next() as u8).collect()
}

pub fn run(run: &Run) -> anyhow::Result<()> {
    let (mut lied, mut failed, mut growth) = (0u64, 0u64, 0);
    drop(Pool::builder().workers(2).build()?.map(|n: u64| n, 0..1000)?);
    let before = rss_bytes();
    let seeds = run.for_each_seed("random bytes in the lane", run.seeds(2, 8), |_, mut random| {
        let pool = Pool::builder().workers(2).timeout(Duration::from_millis(300)).grace(Duration::ZERO).build()?;
        let items = (0..ITEMS).map(|n| (n, (random.below(8) == 0).then(|| random.next())));
        let items: Vec<_> = items.collect();
        let calls = pool.chunk_size(1 + random.below(8) as usize).call_timeout(PATIENCE);
        let mut has_outcome = [false; ITEMS as usize];
        let mut lost = Vec::new();
        for outcome in calls.imap_unordered(task, items)? {
            ensure!(!std::mem::replace(&mut has_outcome[outcome.index], true), "{} has two outcomes", outcome.index);
            growth = growth.max(rss_bytes().saturating_sub(before));
            match outcome.result {
                Ok(result) => lied += u64::from(result != (outcome.index as u64).pow(2)),
                Err(failure) if failure.is_cancelled() => lost.push(outcome.index),
                Err(_) => failed += 1,
            }
        }
        ensure!(has_outcome.iter().all(|has| *has), "some items have no outcome");
        ensure!(lost.is_empty(), "no outcome within {PATIENCE:?} for items {lost:?}");
        Ok(())
    });
    let growth_text = mebibytes(growth);
    run.figure(format!(
        "{seeds} seeds of {ITEMS} items, 1 of 8 hostile: one outcome each ({failed} failed, {lied} false results of \
         hostile workers), program grew by {growth_text}"
    ));
    ensure!(growth <= ALLOWED_GROWTH, "the program grew by {growth_text}");
    Ok(())
}
