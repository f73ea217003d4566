//! What is now, for all of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The program's notion of now, fixed when a job begins, so that all of its workers have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    now: Timestamp,
}

impl Clock {
    /// The time of the system's clock.
    pub fn system() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Clock::at(Timestamp::EPOCH.checked_add(since).unwrap_or(Timestamp::MAX))
    }

    /// Now is `now`.
    pub fn at(now: Timestamp) -> Clock {
        Clock { now }
    }

    /// What is now.
    pub fn now(self) -> Timestamp {
        self.now
    }
}
