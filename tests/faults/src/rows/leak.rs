//! Workers that come and go, and programs that are killed: nothing stays.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use procession::{Array, Lock, Manager, Pool, Process, Queue, SharedMemory, SharedSlice, Value};

use crate::arguments::PROGRAM;
use crate::machine::{MARK, descriptors, marked, names, own_pid, supervisor};
use crate::row::{Row, Run};
use crate::watch;

pub const ROW: Row = Row {
    name: "leak",
    promise: "nothing leaks",
    fault: "10,000 workers recycled; kill -9 of programs with pools, queues and named memory",
    must_show: "descriptors as before, /dev/shm and the folder of temporary files empty",
    run,
};

fn run(run: &Run) -> anyhow::Result<()> {
    recycle(run)?;
    litter(run)
}

fn recycle(run: &Run) -> anyhow::Result<()> {
    let count = run.amount(10_000);
    let _watch = watch::patience("recycled workers", Duration::from_secs(900));
    drop(Pool::builder().workers(2).build()?);
    let supervisor = supervisor().context("there is no supervisor")?;
    let before = (at_rest(own_pid(), usize::MAX), at_rest(supervisor, usize::MAX));
    let since = Instant::now();
    let pool = Pool::builder().workers(2).max_tasks_per_worker(1).build()?;
    let results = pool.map(|n: u64| n, 0..count)?;
    ensure!(results.into_iter().eq(0..count), "results are missing");
    drop(pool);
    let after = (at_rest(own_pid(), before.0), at_rest(supervisor, before.1));
    run.figure(format!(
        "{count} workers recycled in {} s, descriptors of the program {} -> {}, of the supervisor {} -> {}",
        since.elapsed().as_secs(),
        before.0,
        after.0,
        before.1,
        after.1
    ));
    ensure!(before == after, "descriptors before and after: {before:?} and {after:?}");
    Ok(())
}

/// How many descriptors a process has once it has cleared up: it has some seconds to come down to `wanted`.
fn at_rest(pid: i32, wanted: usize) -> usize {
    let since = Instant::now();
    loop {
        let count = descriptors(pid);
        if count <= wanted && wanted != usize::MAX || since.elapsed() > Duration::from_secs(3) {
            return count;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn litter(run: &Run) -> anyhow::Result<()> {
    let mut found = 0u64;
    let seeds = run.for_each_seed("kill -9 of a program", run.seeds(2, 5), |seed, mut random| {
        let folder = tempfile::tempdir()?;
        let mark = format!("faults-{}-{seed}", std::process::id());
        let is_ours = |name: &String| name.contains(&mark);
        let mut program = Command::new(std::env::current_exe()?)
            .args([PROGRAM, "litter"])
            .arg(folder.path())
            .arg(seed.to_string())
            .env(MARK, &mark)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start the program that is to be killed")?;
        // Every other one when it has a name there, the others at any moment of their start.
        let has_name = || names(Path::new("/dev/shm")).iter().any(is_ours);
        while seed % 2 == 0 && !has_name() && program.try_wait()?.is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(random.below(if seed % 2 == 0 { 20_000 } else { 120_000 })));
        found += u64::from(has_name());
        program.kill()?;
        program.wait()?;
        let since = Instant::now();
        loop {
            let processes = marked(&mark);
            let shared: Vec<_> = names(Path::new("/dev/shm")).into_iter().filter(is_ours).collect();
            let temporary = names(folder.path());
            if processes.is_empty() && shared.is_empty() && temporary.is_empty() {
                return Ok(());
            }
            let is_over = since.elapsed() > Duration::from_secs(10);
            ensure!(!is_over, "left behind: {processes:?} in /dev/shm {shared:?}, temporary {temporary:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    run.figure(format!(
        "{seeds} programs killed with {found} of them with a name in /dev/shm, 0 names and 0 temporary files after that"
    ));
    Ok(())
}

/// The program that is killed: it makes everything that the library can make, and drops it, again and again.
pub fn program(_: &Path, seed: u64) -> anyhow::Result<()> {
    let mark = std::env::var(MARK).unwrap_or_default();
    for round in 0.. {
        let memory = SharedMemory::create(format!("procession-{mark}-{seed}-{round}").as_str(), 10_000)?;
        let pool = Pool::builder().workers(2).max_tasks_per_worker(3).build()?;
        let queue = Queue::<Vec<u8>>::bounded(100)?;
        let (value, array) = (Value::new(7u64)?, Array::<u32>::new(100)?);
        let (lock, slice) = (Lock::new()?, SharedSlice::from_slice(&[1u8; 100_000])?);
        let manager = Manager::new()?;
        let mut process = Process::spawn(|queue: Queue<Vec<u8>>| drop(queue.put(vec![1; 1000])), queue.clone())?;
        let used = pool.submit(
            |(memory, queue): (SharedMemory, Queue<Vec<u8>>)| drop((memory.write(0, &[1; 100]), queue.put(vec![2]))),
            (memory, queue.clone()),
        )?;
        pool.map(|n: u64| n, 0..20)?;
        used.wait();
        process.join()?;
        drop((value, array, lock, slice, manager));
    }
    Ok(())
}
