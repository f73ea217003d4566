//! A promised limit of time, what it came to at worst, and how late the machine itself was meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::row::Run;
use crate::watch;

/// A limit that every measured time is held against.
pub struct Bound {
    what: &'static str,
    limit: Duration,
    worst: Duration,
    count: u64,
}

impl Bound {
    pub fn new(what: &'static str, limit: Duration) -> Bound {
        watch::recent_lateness();
        Bound { what, limit, worst: Duration::ZERO, count: 0 }
    }

    /// Holds one time against it. One that is longer breaks the promise, whatever the machine is doing besides.
    pub fn add(&mut self, run: &Run, seed: u64, time: Duration) {
        let lateness = watch::recent_lateness();
        self.count += 1;
        self.worst = self.worst.max(time);
        if time > self.limit {
            run.broken(format!(
                "--seed {seed}: {} after {}, which is more than {} (meanwhile sleeping threads woke up to {} late)",
                self.what,
                millis(time),
                millis(self.limit),
                millis(lateness)
            ));
        }
    }

    pub fn close(self, run: &Run) {
        run.figure(format!(
            "{}: worst of {} {}, allowed {}",
            self.what,
            self.count,
            millis(self.worst),
            millis(self.limit)
        ));
    }
}

pub fn millis(time: Duration) -> String {
    match time.as_millis() {
        0..10 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10..1000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// A moment that processes can tell each other: nanoseconds since 1970.
pub fn now_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// How long it is since `moment`.
pub fn since(moment: u64) -> Duration {
    Duration::from_nanos(now_nanos().saturating_sub(moment))
}
