//! Timing, and taking turns.

use std::time::Instant;

/// Seconds that `f` takes, and what it returns. What it returns is dropped by the caller, outside of that time.
pub fn time<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What was measured in turn: ours, peer, ours, peer, ...
#[derive(Default)]
pub struct Rounds {
    pub ours: Vec<f64>,
    pub peer: Vec<f64>,
}

impl Rounds {
    /// Measures both sides `count` times in turn.
    pub fn measure(
        count: usize,
        mut ours: impl FnMut() -> anyhow::Result<f64>,
        mut peer: impl FnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..count {
            rounds.ours.push(ours()?);
            rounds.peer.push(peer()?);
        }
        Ok(rounds)
    }

    /// How many times the peer's figure ours is. The two of a round were measured in the same weather, so rounds are
    /// compared one by one.
    pub fn ours_by_peer(&self) -> f64 {
        median(self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer))
    }
}
