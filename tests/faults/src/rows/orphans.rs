//! The program is killed, and all that its tasks have started ends with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use procession::{Pool, Process, StartMethod};

use crate::arguments::PROGRAM;
use crate::bound::Bound;
use crate::machine::{MARK, marked};
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "orphans",
    promise: "no orphans",
    fault: "kill -9 of the parent; grandchildren that setsid, fork twice and close their streams",
    must_show: "none after 2 s",
    run,
};

/// Each worker leaves as many behind.
const GRANDCHILDREN: usize = 3;
const WORKERS: usize = 5;

/// Task: starts processes that want to be forgotten, says so, and stays.
fn breed(folder: PathBuf) {
    // A session of its own; in one a second fork; and one that ends its shell first, so that it is an orphan.
    let script = r#"
        setsid sh -c ': > "$0/at-$$"; exec sleep 1000' "$0" <&- >&- 2>&- &
        setsid sh -c 'sh -c ": > \"\$0/at-\$\$\"; exec sleep 1000" "$0" & : ' "$0" <&- >&- 2>&- &
        (setsid sh -c 'trap "" TERM HUP INT; : > "$0/at-$$"; while :; do sleep 1000; done' "$0" <&- >&- 2>&- &)
    "#;
    let _ = Command::new("sh").args(["-c", script]).arg(&folder).status();
    let _ = std::fs::write(folder.join(format!("at-{}", std::process::id())), "");
    std::thread::sleep(Duration::from_secs(1000));
}

/// Task: has a pool of its own, whose task breeds.
fn nest(folder: PathBuf) {
    if let Ok(pool) = Pool::builder().workers(1).build() {
        let _ = pool.apply(breed, folder);
    }
}

/// The program that is killed.
pub fn program(folder: &Path, _: u64) -> anyhow::Result<()> {
    let forked = Pool::builder().workers(3).build()?;
    let spawned = Pool::builder().workers(1).start_method(StartMethod::Spawn).build()?;
    let folder = folder.to_path_buf();
    let _tasks = [
        forked.submit(breed, folder.clone())?,
        forked.submit(breed, folder.clone())?,
        forked.submit(nest, folder.clone())?,
        spawned.submit(breed, folder.clone())?,
    ];
    Process::spawn(breed, folder)?.join()?;
    Ok(())
}

fn run(run: &Run) -> anyhow::Result<()> {
    let mut bound = Bound::new("all gone after the kill", Duration::from_secs(2));
    let mut ended = 0;
    let seeds = run.for_each_seed("kill -9 of the parent", run.seeds(5, 4), |seed, mut random| {
        let folder = tempfile::tempdir()?;
        let mark = format!("orphans-{}-{seed}", std::process::id());
        let mut program = Command::new(std::env::current_exe()?)
            .args([PROGRAM, "orphans"])
            .arg(folder.path())
            .arg(seed.to_string())
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("failed to start the program that is to be killed")?;
        // Every other one is killed when all have come, the others in the middle of that.
        if seed % 2 == 0 {
            while std::fs::read_dir(folder.path())?.count() < WORKERS * (GRANDCHILDREN + 1) {
                ensure!(program.try_wait()?.is_none(), "the program ended by itself");
                std::thread::sleep(Duration::from_millis(2));
            }
        } else {
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
        }
        let alive = marked(&mark).len();
        program.kill()?;
        let since = Instant::now();
        program.wait()?;
        let mut rest = marked(&mark);
        while !rest.is_empty() && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
            rest = marked(&mark);
        }
        bound.add(run, seed, since.elapsed());
        ended += alive;
        for pid in &rest {
            procession_os::signal_process(*pid, 9);
        }
        ensure!(rest.is_empty(), "alive after 20 s: {rest:?}");
        Ok(())
    });
    run.figure(format!("{seeds} kills, {ended} processes ended by them"));
    bound.close(run);
    Ok(())
}
