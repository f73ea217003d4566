//! Lines by span of time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// No histogram has more spans.
pub const MAX_SPANS: usize = 100_000;

/// Lines by the begin of their span.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    spans: BTreeMap<Timestamp, u64>,
    /// There are more spans than it may have, and so it has none.
    is_over: bool,
}

impl Histogram {
    /// Adds lines to the span that begins at `from`.
    pub fn add(&mut self, from: Timestamp, lines: u64) {
        if self.is_over {
            return;
        }
        let sum = self.spans.entry(from).or_insert(0);
        *sum = sum.saturating_add(lines);
        if self.spans.len() > MAX_SPANS {
            self.is_over = true;
            self.spans.clear();
        }
    }

    /// Adds another. The order does not matter: what has too many spans has them in any order.
    pub fn merge(&mut self, other: Histogram) {
        if other.is_over {
            *self = other;
            return;
        }
        for (from, lines) in other.spans {
            self.add(from, lines);
        }
    }

    /// The spans in order, without empty ones; none if there are too many.
    pub fn spans(&self) -> Option<&BTreeMap<Timestamp, u64>> {
        (!self.is_over).then_some(&self.spans)
    }
}

/// The spans with the empty ones in between, and whether these are left out because they would be too many.
pub fn filled(spans: &BTreeMap<Timestamp, u64>, width: Duration) -> (Vec<(Timestamp, u64)>, bool) {
    let as_they_are = || spans.iter().map(|(from, lines)| (*from, *lines)).collect();
    let mut all: Vec<(Timestamp, u64)> = Vec::new();
    for (from, lines) in spans {
        while let Some((last, _)) = all.last()
            // The first of all spans may be cut off at its begin.
            && let Some(next) = last.checked_add(width).map(|next| next.floor(width))
            && last < &next
            && next < *from
        {
            if all.len() > MAX_SPANS {
                return (as_they_are(), true);
            }
            all.push((next, 0));
        }
        all.push((*from, *lines));
    }
    if all.len() > MAX_SPANS { (as_they_are(), true) } else { (all, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds, 0).unwrap()
    }

    #[test]
    fn empty_spans_are_filled_in_as_far_as_there_is_room() {
        let minute = Duration::from_secs(60);
        let spans = BTreeMap::from([(at(0), 1), (at(180), 2), (at(240), 3)]);
        assert_eq!(
            filled(&spans, minute),
            (vec![(at(0), 1), (at(60), 0), (at(120), 0), (at(180), 2), (at(240), 3)], false)
        );
        let far = BTreeMap::from([(at(0), 1), (at(60 * 200_000), 2)]);
        assert_eq!(filled(&far, minute), (vec![(at(0), 1), (at(60 * 200_000), 2)], true));
        assert_eq!(filled(&BTreeMap::new(), minute), (Vec::new(), false));
        // The first of all spans is cut off, and the last is followed by none.
        let week = Duration::from_secs(7 * 86_400);
        let first = Timestamp::MIN.floor(week);
        let second = Timestamp::MIN.checked_add(week).unwrap().floor(week);
        let spans = BTreeMap::from([(first, 1), (second.checked_add(week).unwrap(), 1)]);
        assert_eq!(filled(&spans, week).0.len(), 3);
    }

    #[test]
    fn too_many_spans_are_too_many_in_any_order() {
        let part = |from: usize, to: usize| {
            let mut histogram = Histogram::default();
            (from..to).for_each(|second| histogram.add(at(second as i64), 1));
            histogram
        };
        for (first, second) in
            [((0, 10), (5, MAX_SPANS + 1)), ((5, MAX_SPANS + 1), (0, 10)), ((0, 2 * MAX_SPANS), (0, 1))]
        {
            let mut histogram = part(first.0, first.1);
            histogram.merge(part(second.0, second.1));
            assert_eq!(histogram.spans(), None);
        }
        let mut histogram = part(0, 10);
        histogram.merge(part(5, MAX_SPANS));
        assert_eq!(histogram.spans().unwrap().len(), MAX_SPANS);
        assert_eq!(histogram.spans().unwrap()[&at(7)], 2);
    }
}
