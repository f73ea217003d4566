//! The table: one row a comparison.

use std::fmt;

use crate::measure::{Rounds, median};

/// A number that knows how to print itself.
#[derive(Clone, Copy)]
pub enum Figure {
    Seconds(f64),
    Bytes(f64),
    Count(f64),
    PerSecond(f64),
    BytesPerSecond(f64),
}

use Figure::{Bytes, BytesPerSecond, Count, PerSecond, Seconds};

impl Figure {
    fn value(self) -> f64 {
        let (Seconds(value) | Bytes(value) | Count(value) | PerSecond(value) | BytesPerSecond(value)) = self;
        value
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, unit) = match *self {
            Seconds(s) if s < 1e-6 => (1e9, " ns"),
            Seconds(s) if s < 1e-3 => (1e6, " us"),
            Seconds(s) if s < 1.0 => (1e3, " ms"),
            Seconds(_) => (1.0, " s"),
            Bytes(b) if b < 1e4 => (1.0, " B"),
            Bytes(_) => (1e-6, " MB"),
            PerSecond(n) if n < 1e4 => (1.0, "/s"),
            PerSecond(_) => (1e-3, "k/s"),
            BytesPerSecond(_) => (1e-6, " MB/s"),
            Count(_) => (1.0, ""),
        };
        let value = self.value() * scale;
        let digits = if value.fract() == 0.0 || value.abs() >= 1000.0 { 0 } else { 2 };
        f.pad(&format!("{value:.digits$}{unit}"))
    }
}

/// What is wanted of a row.
#[derive(Clone, Copy)]
pub enum Target {
    /// Ours takes at most so many times as long as the peer.
    Within(f64),
    /// The peer takes at least so many times as long as ours.
    Faster(f64),
    /// Ours is at least so many times the peer's: of what is better if it is more.
    AtLeast(f64),
    /// Ours is at most this.
    AtMost(Figure),
    /// Nothing: the figure is there to be read.
    Open,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Within(times) => f.pad(&format!("<= {times:.2}x")),
            Target::Faster(times) | Target::AtLeast(times) => f.pad(&format!(">= {times:.2}x")),
            Target::AtMost(figure) => f.pad(&format!("<= {figure}")),
            Target::Open => f.pad("-"),
        }
    }
}

/// One line of the table.
pub struct Row {
    name: String,
    ours: Figure,
    peer: Option<Figure>,
    /// Ours by peer.
    ratio: f64,
    target: Target,
}

impl Row {
    /// A race that was run in rounds; `unit` makes a figure of a measured number.
    pub fn race(name: impl Into<String>, unit: fn(f64) -> Figure, rounds: &Rounds, target: Target) -> Row {
        let middle = |values: &[f64]| unit(median(values.iter().copied()));
        let (ours, peer) = (middle(&rounds.ours), middle(&rounds.peer));
        Row { name: name.into(), ours, peer: Some(peer), ratio: rounds.ours_by_peer(), target }
    }

    /// One figure, and perhaps what it should be.
    pub fn figure(name: impl Into<String>, ours: Figure, target: Target) -> Row {
        Row { name: name.into(), ours, peer: None, ratio: f64::NAN, target }
    }

    /// One figure beside another that it is held against.
    pub fn against(name: impl Into<String>, ours: Figure, peer: Figure, target: Target) -> Row {
        Row { name: name.into(), ours, peer: Some(peer), ratio: ours.value() / peer.value(), target }
    }

    /// The ratio in the target's own direction.
    fn shown_ratio(&self) -> f64 {
        if matches!(self.target, Target::Faster(_)) { 1.0 / self.ratio } else { self.ratio }
    }

    fn verdict(&self) -> &'static str {
        let holds = match self.target {
            Target::Within(times) => self.shown_ratio() <= times,
            Target::Faster(times) | Target::AtLeast(times) => self.shown_ratio() >= times,
            Target::AtMost(figure) => self.ours.value() <= figure.value(),
            Target::Open => return "",
        };
        if holds { "holds" } else { "FALLS SHORT" }
    }

    /// Adds this to the table.
    pub fn print(&self) {
        let peer = self.peer.map_or("-".to_string(), |peer| peer.to_string());
        let ratio = if self.peer.is_some() { format!("{:.2}x", self.shown_ratio()) } else { "-".to_string() };
        let Row { name, ours, target, .. } = self;
        println!("{name:<51} {ours:>11} {peer:>11} {ratio:>8} {target:>11}  {}", self.verdict());
    }
}

/// Prints the heading of all rows.
pub fn print_heading() {
    println!("{:<51} {:>11} {:>11} {:>8} {:>11}  verdict", "comparison", "ours", "peer", "ratio", "target");
}
