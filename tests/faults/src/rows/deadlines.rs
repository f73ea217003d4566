//! Tasks that will not end: they are ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, ensure};
use procession::Pool;
use serde::{Deserialize, Serialize};

use crate::bound::{Bound, now_nanos};
use crate::death::{note_moment, raise, read_moment};
use crate::machine::is_running;
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "deadlines",
    promise: "deadlines hold",
    fault: "a child that ignores TERM, spins, is stopped, or waits for a child of its own that ignores TERM",
    must_show: "dead by deadline + grace + 0.5 s",
    run,
};

const LIMIT: Duration = Duration::from_millis(300);
const GRACE: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum How {
    IgnoresTerm,
    Spins,
    SpinsAndIgnoresTerm,
    Stopped,
    WaitsForAChild,
}

const ALL: [How; 5] = [How::IgnoresTerm, How::Spins, How::SpinsAndIgnoresTerm, How::Stopped, How::WaitsForAChild];

fn ignore_term() {
    let _ = signal_hook::flag::register(15, Arc::new(AtomicBool::new(false)));
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

/// Task: notes when it began, and never ends.
fn never_ends((how, folder): (How, PathBuf)) {
    note_moment(&folder, &format!("{how:?}"));
    let _ = std::fs::write(folder.join(format!("pid-{how:?}")), std::process::id().to_string());
    match how {
        How::IgnoresTerm => ignore_term(),
        How::Spins => spin(),
        How::SpinsAndIgnoresTerm => {
            ignore_term();
            spin();
        }
        How::Stopped => raise(19),
        How::WaitsForAChild => {
            ignore_term();
            let _ = std::process::Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 100; done"]).status();
        }
    }
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

fn run(run: &Run) -> anyhow::Result<()> {
    let allowed = LIMIT + GRACE + Duration::from_millis(500);
    let mut outcomes = Bound::new("outcome after the task began", allowed);
    let mut deaths = Bound::new("worker dead after the task began", allowed);
    let seeds = run.for_each_seed("tasks that never end", run.seeds(10, 2), |seed, _| {
        let folder = tempfile::tempdir()?;
        // More workers at once would only measure how few cores there are.
        for how in ALL {
            // Deadlines of tasks and of calls, in turn.
            let is_call = seed % 2 == 1;
            let item = (how, folder.path().to_path_buf());
            let pool = Pool::builder().workers(1).grace(GRACE);
            let (pool, outcome) = if is_call {
                let pool = pool.build()?;
                let outcome = pool.call_timeout(LIMIT).imap(never_ends, [item])?.next();
                (pool, outcome.context("there is no outcome")?)
            } else {
                let pool = pool.timeout(LIMIT).build()?;
                let outcome = pool.submit(never_ends, item)?.wait();
                (pool, outcome)
            };
            let told = now_nanos();
            let failure = outcome.result.err().context("it ended")?;
            ensure!(if is_call { failure.is_cancelled() } else { failure.is_timeout() }, "{how:?}: {failure}");
            let pid = std::fs::read_to_string(folder.path().join(format!("pid-{how:?}"))).context("it never began")?;
            let pid = pid.parse()?;
            while is_running(pid) {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(pool);
            let began = read_moment(&folder.path().join(format!("{how:?}"))).context("it never began")?;
            outcomes.add(run, seed, Duration::from_nanos(told - began));
            deaths.add(run, seed, Duration::from_nanos(now_nanos() - began));
        }
        Ok(())
    });
    run.figure(format!(
        "{seeds} seeds of {} kinds, deadline {LIMIT:?} of the task or of the call, grace {GRACE:?}",
        ALL.len()
    ));
    outcomes.close(run);
    deaths.close(run);
    Ok(())
}
