//! A worker that announces a result of 2^60 bytes, and sends and sends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use procession::Pool;

use super::PATIENCE;
use super::lane::{OwnLane, WANTS_ROOM, record_head};
use crate::machine::{mebibytes, rss_bytes};
use crate::row::Run;
use crate::watch;

/// Beyond this the program is taken to grow until there is no memory left.
const MOST: u64 = 400 << 20;

fn send_without_end(_: ()) {
    let Ok(lane) = OwnLane::find() else { return };
    let _ = lane.publish(&record_head(1 << 60, 0));
    let piece = vec![7; 64 << 10];
    loop {
        if lane.publish(&piece).unwrap_or(0) == 0 {
            let _ = lane.write_u64(WANTS_ROOM, 0);
            std::thread::yield_now();
        }
    }
}

pub fn run(run: &Run) -> anyhow::Result<()> {
    let _watch = watch::patience("a result without end", PATIENCE + Duration::from_secs(30));
    let pool = Pool::builder().workers(1).build()?;
    pool.map(|n: u64| n, 0..10)?;
    let before = rss_bytes();
    let growth = || rss_bytes().saturating_sub(before);
    let is_done = AtomicBool::new(false);
    let task = pool.submit(send_without_end, ())?;
    let (mut most, mut is_stopped) = (0, false);
    std::thread::scope(|scope| {
        let guard = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(growth());
                if most > MOST {
                    // It is enough to know that it does not stop by itself.
                    for worker in pool.stats().workers {
                        procession_os::signal_process(worker.pid as i32, 9);
                    }
                    return (most, true);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (most, false)
        });
        let outcome = task.wait_timeout(PATIENCE);
        is_done.store(true, Ordering::Relaxed);
        (most, is_stopped) = guard.join().unwrap_or_default();
        match outcome {
            Ok(outcome) if !is_stopped => run.figure(format!(
                "a result of 2^60 bytes: {}, program grew by {}",
                outcome.failure().map_or_else(|| "done".to_string(), ToString::to_string),
                mebibytes(most)
            )),
            Ok(_) => {}
            Err(_) => run.broken(format!("a result of 2^60 bytes has no outcome after {PATIENCE:?}")),
        }
    });
    if is_stopped {
        run.broken(format!("a result of 2^60 bytes made the program grow by {}, and on", mebibytes(most)));
    }
    Ok(())
}
