//! What the test binaries share: a watchdog, kinds of pools, and gates that tasks wait at.
#![allow(dead_code)]

mod random;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use procession::{Pool, PoolBuilder, Sandbox, StartMethod};
use tempfile::TempDir;

#[allow(unused_imports, reason = "not every test binary has seeds")]
pub use random::Random;

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

static RUNNING: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

/// Runs a test; should it hang, the whole test binary is aborted with its name. Its supervisor then ends what it has
/// started.
pub fn watched<T>(name: &str, test: impl FnOnce() -> T) -> T {
    static WATCHDOG: Once = Once::new();
    WATCHDOG.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((name, _)) = running.iter().find(|(_, since)| since.elapsed() > PATIENCE) {
                    // Not by a macro, whose text the harness would keep to itself.
                    let text = format!("watchdog: {name} has not ended within {PATIENCE:?}: it hangs\n");
                    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
                    std::process::abort();
                }
            }
        });
    });
    struct Watch(String);
    impl Drop for Watch {
        fn drop(&mut self) {
            RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| *name != self.0);
        }
    }
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_string(), Instant::now()));
    let _watch = Watch(name.to_string());
    test()
}

/// Every kind of pool that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Inline,
    Forkserver(usize),
    Spawn(usize),
    /// In a sandbox that may write temporary files.
    Caged(usize),
}

impl Kind {
    pub fn builder(self) -> PoolBuilder {
        match self {
            Kind::Inline => Pool::builder().inline(),
            Kind::Forkserver(workers) => Pool::builder().workers(workers),
            Kind::Spawn(workers) => Pool::builder().workers(workers).start_method(StartMethod::Spawn),
            Kind::Caged(workers) => {
                Pool::builder().workers(workers).sandbox(Sandbox::compute().write(std::env::temp_dir()))
            }
        }
    }

    pub fn pool(self) -> Pool {
        self.builder().build().unwrap()
    }

    pub fn workers(self) -> usize {
        match self {
            Kind::Inline => 1,
            Kind::Forkserver(workers) | Kind::Spawn(workers) | Kind::Caged(workers) => workers,
        }
    }

    /// The name of the suite's rows for it.
    pub fn name(self) -> String {
        match self {
            Kind::Inline => "inline".to_string(),
            Kind::Forkserver(workers) => format!("forkserver_{workers}"),
            Kind::Spawn(workers) => format!("spawn_{workers}"),
            Kind::Caged(workers) => format!("caged_{workers}"),
        }
    }

    pub fn method(self) -> StartMethod {
        if matches!(self, Kind::Spawn(_)) { StartMethod::Spawn } else { StartMethod::ForkServer }
    }
}

/// A folder at which tasks report and wait. Closing it (dropping it) lets them go.
pub struct Gate(TempDir);

impl Gate {
    pub fn new() -> Gate {
        Gate(tempfile::tempdir().unwrap())
    }

    /// What tasks get, to [`arrive`] and [`pass`].
    pub fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    pub fn open(&self) {
        std::fs::write(self.0.path().join("open"), "").unwrap();
    }

    /// Notes that were left by [`arrive`], sorted.
    pub fn arrivals(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter_map(|n| n.strip_prefix("at-").map(str::to_string)).collect();
        names.sort();
        names
    }

    pub fn wait_for_arrivals(&self, count: usize) -> Vec<String> {
        until(|| Some(self.arrivals()).filter(|a| a.len() >= count))
    }
}

/// Task: leaves a note at a gate.
pub fn arrive(gate: &Path, note: &str) {
    let _ = std::fs::write(gate.join(format!("at-{note}")), "");
}

/// Task: waits until the gate is opened or gone.
pub fn pass(gate: &Path) {
    while gate.exists() && !gate.join("open").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Task: arrives as its number, passes, and returns the number.
pub fn through((gate, n): (PathBuf, u64)) -> u64 {
    arrive(&gate, &n.to_string());
    pass(&gate);
    n
}

/// Looks again and again until there is something.
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a process is gone (or is a zombie, which runs no more).
pub fn until_gone(pid: i32) {
    until(|| (!is_running(pid)).then_some(()));
}

pub fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn square(n: u64) -> u64 {
    n * n
}

pub fn own_pid(_: ()) -> u32 {
    std::process::id()
}

/// Sends a signal to the calling thread, which has had it when this returns. One to the process may be another
/// thread's, a moment later.
pub fn raise(signal: i32) {
    signal_hook::low_level::raise(signal).expect("the signal exists");
}

/// Runs `seed` for each of the seeds that were asked for, and names the one that fails: `PROCESSION_SEEDS=N` runs N in all
/// (default 200, of which this test has `default`), `PROCESSION_SEED=S` that one.
pub fn for_each_seed(name: &str, default: u64, mut seed: impl FnMut(u64)) {
    let number = |key: &str| std::env::var(key).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match number("PROCESSION_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("PROCESSION_SEEDS").map_or(default, |all| (all * default).div_ceil(200)),
    };
    struct Name(String);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with {}", self.0);
            }
        }
    }
    for n in seeds {
        let name = Name(format!("PROCESSION_SEED={n} in {name}"));
        watched(&name.0, || seed(n));
    }
}
