//! The watchdog, which finds hangs, and how late this machine wakes a thread that sleeps: what a limit of wall time has to
//! be read beside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::row::BROKEN;

/// Exit code of a row that hangs.
pub const HANGS: i32 = 3;

static RUNNING: Mutex<Option<(String, Instant)>> = Mutex::new(None);
static WORST_MICROS: AtomicU64 = AtomicU64::new(0);
static RECENT_MICROS: AtomicU64 = AtomicU64::new(0);

/// Starts both threads.
pub fn start() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((what, until)) = running.as_ref()
                && Instant::now() > *until
            {
                println!("{BROKEN}hangs: {what}");
                print_processes();
                std::process::exit(HANGS);
            }
        }
    });
    std::thread::spawn(|| {
        const NAP: Duration = Duration::from_millis(2);
        loop {
            let since = Instant::now();
            std::thread::sleep(NAP);
            let late = since.elapsed().saturating_sub(NAP).as_micros() as u64;
            WORST_MICROS.fetch_max(late, Ordering::Relaxed);
            RECENT_MICROS.fetch_max(late, Ordering::Relaxed);
        }
    });
}

/// What is going on below this process, for whoever looks for the cause of a hang.
fn print_processes() {
    let children = procession_os::children_of_all();
    for pid in procession_os::descendants(&children, std::process::id() as i32) {
        let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
        eprintln!("hangs: {} in {}: {}", pid, read("wchan"), read("stat").trim_end());
    }
}

/// Until this is dropped the watchdog waits for it no longer than `limit`.
pub fn patience(what: &str, limit: Duration) -> impl Drop + use<> {
    struct Patience;
    impl Drop for Patience {
        fn drop(&mut self) {
            *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some((what.to_string(), Instant::now() + limit));
    Patience
}

/// How late a sleeping thread woke at worst.
pub fn worst_lateness() -> Duration {
    Duration::from_micros(WORST_MICROS.load(Ordering::Relaxed))
}

/// The same, since this was last called.
pub fn recent_lateness() -> Duration {
    Duration::from_micros(RECENT_MICROS.swap(0, Ordering::Relaxed))
}
