//! A task that takes back its claim, so that the program thinks that it never began, and never ends.

use std::time::{Duration, Instant};

use procession::Pool;

use super::PATIENCE;
use super::lane::{CLAIM, OwnLane};
use crate::row::Run;
use crate::watch;

const LIMIT: Duration = Duration::from_millis(300);

fn dodge(how: u8) {
    let Ok(lane) = OwnLane::find() else { return };
    let word = lane.u64(CLAIM).unwrap_or(2);
    loop {
        // As if nothing had begun; as if nothing had, and it had been told so; as if it had begun all there is.
        let _ =
            lane.write_u64(CLAIM, [word.saturating_sub(2), word.saturating_sub(2) | 1, u64::MAX >> 1][how as usize]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn run(run: &Run) -> anyhow::Result<()> {
    for how in 0..3 {
        let _watch = watch::patience("a task that takes back its claim", PATIENCE + Duration::from_secs(30));
        let pool = Pool::builder().workers(1).timeout(LIMIT).grace(Duration::ZERO).build()?;
        let since = Instant::now();
        match pool.submit(dodge, how)?.wait_timeout(PATIENCE) {
            Ok(outcome) => run.figure(format!(
                "a task with a false claim ({how}) ended after {:.1} s: {}",
                since.elapsed().as_secs_f64(),
                outcome.failure().map_or_else(|| "done".to_string(), ToString::to_string)
            )),
            Err(_) => run.broken(format!(
                "a task with a false claim ({how}) and a deadline of {LIMIT:?} has no outcome after {PATIENCE:?}"
            )),
        }
    }
    Ok(())
}
