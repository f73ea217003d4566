//! Workers that die at every step of the protocol, or stand still: nothing hangs, and the outcome comes at once.

use std::time::Duration;

use anyhow::{bail, ensure};
use procession::{FailureKind, Pool, PoolBuilder, StartMethod};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bound::{Bound, now_nanos, since};
use crate::death::{Death, Way};
use crate::random::Random;
use crate::row::{Row, Run};

pub const ROW: Row = Row {
    name: "death",
    promise: "a worker's death never hangs",
    fault: "SIGKILL, SIGSEGV, abort, exit(0) at every protocol step; SIGSTOP with a timeout",
    must_show: "0 hangs; typed outcome within 1 s, for SIGSTOP by deadline + grace + 0.5 s",
    run,
};

/// Where in its life a worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// From outside, as soon as there is a process.
    Starting,
    Initializer,
    /// A moment later, from a thread of its own: while it waits, reads, runs or writes.
    AnyMoment,
    Decode,
    Task,
    Encode,
}

const STEPS: [Step; 6] = [Step::Starting, Step::Initializer, Step::AnyMoment, Step::Decode, Step::Task, Step::Encode];

/// An argument. Decoding it may be deadly.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    bytes: Vec<u8>,
    #[serde(deserialize_with = "decode_death")]
    death: Option<(Step, Death)>,
}

/// A result. Encoding it may be deadly.
#[derive(Serialize, Deserialize)]
struct Echo {
    bytes: Vec<u8>,
    #[serde(serialize_with = "encode_death")]
    death: Option<(Step, Death)>,
}

fn strike(death: &Option<(Step, Death)>, now: Step) {
    if let Some((step, death)) = death
        && *step == now
    {
        death.strike();
    }
}

fn decode_death<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(Step, Death)>, D::Error> {
    let death = Option::deserialize(from)?;
    strike(&death, Step::Decode);
    Ok(death)
}

fn encode_death<S: Serializer>(death: &Option<(Step, Death)>, to: S) -> Result<S::Ok, S::Error> {
    strike(death, Step::Encode);
    None::<(Step, Death)>.serialize(to)
}

fn echo(item: Item) -> Echo {
    strike(&item.death, Step::Task);
    Echo { bytes: item.bytes, death: item.death }
}

/// Initializer: dies, or has a thread die of it so many microseconds later.
fn prepare(death: Option<(Step, Death, u64)>) {
    match death {
        Some((Step::Initializer, death, _)) => death.strike(),
        Some((_, death, micros)) => {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(micros));
                death.strike();
            });
        }
        None => {}
    }
}

fn run(run: &Run) -> anyhow::Result<()> {
    let mut bound = Bound::new("outcome after a death", Duration::from_secs(1));
    let (mut deaths, mut lost) = (0u64, 0u64);
    let seeds = run.for_each_seed("a death", run.seeds(1, 24), |seed, random| {
        let seen = one_death(seed, random)?;
        lost += u64::from(seen.is_lost);
        if let Some(time) = seen.time {
            deaths += 1;
            bound.add(run, seed, time);
        }
        Ok(())
    });
    run.figure(format!("{seeds} seeds, {deaths} deaths, {lost} tasks with a crash as their outcome"));
    bound.close(run);
    let mut bound = Bound::new("outcome after SIGSTOP", LIMIT + GRACE + Duration::from_millis(500));
    run.for_each_seed("a standstill", run.seeds(20, 3), |seed, random| {
        bound.add(run, seed, one_standstill(random)?);
        Ok(())
    });
    bound.close(run);
    Ok(())
}

fn random_pool(random: &mut Random) -> PoolBuilder {
    let method = if random.below(8) == 0 { StartMethod::Spawn } else { StartMethod::ForkServer };
    let pool = Pool::builder().workers(1 + random.below(3) as usize).start_method(method);
    if random.below(4) == 0 { pool.max_tasks_per_worker(1 + random.below(20)) } else { pool }
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    // Most are small, some do not fit into a ring.
    let len = if random.below(30) == 0 { random.below(1 << 20) } else { random.below(60) };
    vec![random.below(256) as u8; len as usize]
}

struct Seen {
    /// Whether a task was lost to it.
    is_lost: bool,
    /// From the death to the outcome of that task, or to the end of the call.
    time: Option<Duration>,
}

fn one_death(seed: u64, mut random: Random) -> anyhow::Result<Seen> {
    // Every step with every way, in turn.
    let step = STEPS[(seed % 6) as usize];
    let way = [Way::Kill, Way::Segv, Way::Abort, Way::Exit][(seed / 6 % 4) as usize];
    let folder = tempfile::tempdir()?;
    let death = Death::new(folder.path(), way);
    let retries = random.below(2) as u32;
    let delay = random.below(6000);
    let sent = matches!(step, Step::Initializer | Step::AnyMoment).then(|| (step, death.clone(), delay));
    let count = 20 + random.below(100) as usize;
    let mut items: Vec<Item> = (0..count).map(|_| Item { bytes: random_bytes(&mut random), death: None }).collect();
    let doomed = random.below(count as u64) as usize;
    if matches!(step, Step::Decode | Step::Task | Step::Encode) {
        items[doomed].death = Some((step, death.clone()));
    }
    let pool = random_pool(&mut random).retries(retries).initializer(prepare, sent).build()?;
    let mut moment = None;
    let mut has_outcome = vec![false; count];
    let (mut lost, mut time) = (0, None);
    std::thread::scope(|scope| {
        let killed = (step == Step::Starting).then(|| scope.spawn(|| kill_the_first(&pool, delay / 6)));
        for outcome in pool.imap_unordered(echo, items.clone())? {
            let at = outcome.index;
            ensure!(!std::mem::replace(&mut has_outcome[at], true), "item {at} has two outcomes");
            match &outcome.result {
                Ok(echo) => ensure!(echo.bytes == items[at].bytes, "item {at} was changed"),
                Err(failure) => {
                    let FailureKind::Crashed { exit_code, signal, .. } = failure.kind() else {
                        bail!("item {at}: {failure}");
                    };
                    let told_as = if step == Step::Starting { Way::Kill } else { way }.told_as();
                    ensure!((*exit_code, *signal) == told_as, "{step:?} by {way:?} was told as: {failure}");
                    ensure!(
                        items[at].death.is_some() || matches!(step, Step::Starting | Step::AnyMoment),
                        "item {at} was lost"
                    );
                    lost += 1;
                    time = death.moment().map(since);
                }
            }
        }
        moment = match killed {
            Some(thread) => thread.join().unwrap_or_default(),
            None => death.moment(),
        };
        Ok(())
    })?;
    ensure!(has_outcome.iter().all(|has| *has), "some items have no outcome");
    let is_certain = items[doomed].death.is_some() && retries == 0;
    ensure!(lost <= 1 && (retries == 0 || lost == 0) && (!is_certain || lost == 1), "{lost} tasks were lost");
    Ok(Seen { is_lost: lost > 0, time: time.or(moment.map(since)) })
}

/// Kills the first worker that there is to be seen; returns when.
fn kill_the_first(pool: &Pool, micros: u64) -> Option<u64> {
    std::thread::sleep(Duration::from_micros(micros));
    for _ in 0..20_000 {
        if let Some(worker) = pool.stats().workers.first() {
            let moment = now_nanos();
            return procession_os::signal_process(worker.pid as i32, 9).then_some(moment);
        }
        std::thread::yield_now();
    }
    None
}

const LIMIT: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_millis(200);

fn nap(_: u64) -> u32 {
    std::thread::sleep(Duration::from_millis(2));
    std::process::id()
}

/// A worker is stopped at a random moment; the time from then to the outcome of its task, or to the end of the call.
fn one_standstill(mut random: Random) -> anyhow::Result<Duration> {
    let pool = Pool::builder().workers(3).timeout(LIMIT).grace(GRACE).build()?;
    let pids = pool.chunk_size(1).map(nap, 0..30)?;
    let pid = pids[random.below(30) as usize];
    let micros = random.below(100_000);
    std::thread::scope(|scope| {
        let stopper = scope.spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            let moment = now_nanos();
            procession_os::signal_process(pid as i32, 19).then_some(moment)
        });
        let mut ended = None;
        let mut count = 0;
        for outcome in pool.imap_unordered(nap, 0..300)? {
            count += 1;
            if let Some(failure) = outcome.failure() {
                ensure!(failure.is_timeout() && ended.is_none(), "{failure}");
                ended = Some(now_nanos());
            }
        }
        let ended = ended.unwrap_or_else(now_nanos);
        ensure!(count == 300, "{count} outcomes of 300");
        let Ok(Some(moment)) = stopper.join() else { bail!("the worker was gone before it could be stopped") };
        Ok(Duration::from_nanos(ended.saturating_sub(moment)))
    })
}
