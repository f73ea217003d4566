//! From the SIGKILL of a worker to the answer of the one after it, by itself and with a large parent.
//!
//! The pool's own time counts from the moment at which the kernel lets anybody see the exit (the worker's pidfd is
//! readable); until then the kernel takes the dead process apart.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use procession::{FailureKind, Pool, Task};

use super::{Scale, warm_up};
use crate::measure::median;
use crate::report::{Figure, Row, Target};

const GIB: usize = 1 << 30;

fn worker_pid(_: ()) -> u32 {
    std::process::id()
}

/// Tells that it has begun, through what is open at `path`, and sleeps.
fn hang((path, time): (String, Duration)) {
    File::options().write(true).open(path).and_then(|mut begun| begun.write_all(b"!")).expect("an open pipe");
    std::thread::sleep(time);
}

pub fn run(scale: Scale) -> anyhow::Result<()> {
    let deaths = scale.pick(100, 20);
    for gib in [0, scale.pick(4, 1)] {
        let ballast = vec![1u8; gib * GIB];
        for is_busy in [false, true] {
            let mut times = Times::default();
            // A pool with more processes than worker and supervisor would have others to wake.
            let pool = Pool::builder().workers(1).build()?;
            warm_up(&pool)?;
            for _ in 0..deaths {
                one_death(&pool, is_busy, &mut times)?;
            }
            let name = format!("replace: {} worker, parent of {gib} GiB", if is_busy { "busy" } else { "idle" });
            let (own, whole) = (median(times.from_exit), median(times.from_kill));
            Row::figure(&name, Figure::Seconds(own), Target::AtMost(Figure::Seconds(1e-3))).print();
            Row::figure(format!("{name}, from SIGKILL"), Figure::Seconds(whole), Target::Open).print();
        }
        drop(std::hint::black_box(ballast));
    }
    Ok(())
}

/// Seconds until a new worker has answered.
#[derive(Default)]
struct Times {
    from_kill: Vec<f64>,
    from_exit: Vec<f64>,
}

fn one_death(pool: &Pool, is_busy: bool, times: &mut Times) -> anyhow::Result<()> {
    let pid = pool.apply(worker_pid, ())?;
    let pidfd = procession_os::open_pidfd(pid as i32)?;
    let task = if is_busy { Some(submit_and_wait_for_begin(pool)?) } else { None };
    // Time for everybody to go to sleep.
    std::thread::sleep(Duration::from_millis(1));
    let killed = Instant::now();
    procession_os::kill_pidfd(pidfd.as_fd());
    let exited = wait_for_exit(&pidfd)?;
    let successor = pool.apply(worker_pid, ())?;
    let answered = Instant::now();
    ensure!(successor != pid, "the dead answer");
    times.from_kill.push((answered - killed).as_secs_f64());
    times.from_exit.push((answered - exited).as_secs_f64());
    if let Some(task) = task {
        let failure = task.wait().result.err().context("the killed task has a result")?;
        ensure!(matches!(failure.kind(), FailureKind::Crashed { .. }), "the killed task: {failure}");
    }
    Ok(())
}

fn submit_and_wait_for_begin(pool: &Pool) -> anyhow::Result<Task<()>> {
    let (mut begun, writer) = io::pipe()?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
    let task = pool.submit(hang, (path, Duration::from_secs(60)))?;
    begun.read_exact(&mut [0])?;
    Ok(task)
}

fn wait_for_exit(pidfd: &OwnedFd) -> anyhow::Result<Instant> {
    procession_os::readable(pidfd, None)?;
    Ok(Instant::now())
}
