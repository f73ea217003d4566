//! One input always ends its worker: it alone fails.

use anyhow::{Context, ensure};
use procession::{FailureKind, Pool};

use crate::death::raise;
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "poison",
    promise: "poison is isolated",
    fault: "one input of 10,000 always crashes (SIGSEGV), with and without retries",
    must_show: "it alone fails, 9,999 done",
    run,
};

const INPUTS: u64 = 10_000;

fn task((n, poison): (u64, u64)) -> u64 {
    if n == poison {
        raise(11);
    }
    n + 1
}

fn run(run: &Run) -> anyhow::Result<()> {
    let mut crashes = 0;
    let seeds = run.for_each_seed("poison", run.seeds(2, 4), |seed, mut random| {
        let poison = random.below(INPUTS);
        let retries = if seed % 2 == 0 { 0 } else { 3 };
        let pool = Pool::builder().workers(2).retries(retries).build()?;
        let (mut done, mut failed) = (0, None);
        for (n, outcome) in (0..).zip(pool.imap(task, (0..INPUTS).map(|n| (n, poison)))?) {
            match outcome.result {
                Ok(result) => {
                    ensure!(result == n + 1, "result {n} is {result}");
                    done += 1;
                }
                Err(failure) => {
                    ensure!(n == poison, "input {n} failed, the poison is {poison}: {failure}");
                    failed = Some(failure);
                }
            }
        }
        let failure = failed.context("the poison did no harm")?;
        let is_segv = matches!(failure.kind(), FailureKind::Crashed { signal: Some(11), .. });
        ensure!(is_segv && failure.attempts() == retries + 1, "{failure}, after {} attempts", failure.attempts());
        ensure!(done == INPUTS - 1, "{done} are done");
        crashes += u64::from(retries) + 1;
        Ok(())
    });
    run.figure(format!("{seeds} seeds, {crashes} crashes, each time the poison failed and 9,999 were done"));
    Ok(())
}
