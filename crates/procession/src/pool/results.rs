//! The results of a `map`, put in order as they come.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::batch::{Event, Records, undecodable};
use crate::wire::{self, Bytes};
use crate::{Error, Failure};

/// All results so far, or the first failure: after one, results are no longer kept.
pub(crate) struct Results<R> {
    /// Those from number 0 on without a gap.
    front: Vec<R>,
    /// Runs behind a gap, by the number of their first item.
    behind: BTreeMap<usize, Vec<R>>,
    failure: Option<Failure>,
}

impl<R: DeserializeOwned + 'static> Results<R> {
    /// Room for about `expected` results.
    pub fn new(expected: usize) -> Results<R> {
        Results { front: Vec::with_capacity(expected.min(1 << 16)), behind: BTreeMap::new(), failure: None }
    }

    /// Takes an event in.
    pub fn add(&mut self, event: Event) {
        let first = event.first();
        let mut run = Vec::new();
        let is_next = first == self.front.len();
        let out = if is_next { &mut self.front } else { &mut run };
        match event {
            Event::Run { count, attempts, records, .. } => {
                out.reserve(count as usize);
                for (index, bytes) in (first..).zip(Records::of(&records, count)) {
                    match wire::decode(Bytes::Borrowed(bytes)) {
                        Ok(result) => out.push(result),
                        Err(message) => keep_first(&mut self.failure, undecodable(index, attempts, message)),
                    }
                }
            }
            Event::Large { index, attempts, payload, .. } => match wire::decode(Bytes::Owned(payload)) {
                Ok(result) => out.push(result),
                Err(message) => keep_first(&mut self.failure, undecodable(index, attempts, message)),
            },
            Event::Failed(failure) => keep_first(&mut self.failure, failure),
        }
        if self.failure.is_some() {
            (self.front, self.behind) = (Vec::new(), BTreeMap::new());
            return;
        }
        if !is_next {
            self.behind.insert(first, run);
        }
        while let Some(mut run) = self.behind.remove(&self.front.len()) {
            self.front.append(&mut run);
        }
    }

    /// The results in order.
    ///
    /// # Errors
    /// The first failure in order.
    pub fn finish(self) -> Result<Vec<R>, Error> {
        self.failure.map_or(Ok(self.front), |failure| Err(Error::task(failure)))
    }
}

fn keep_first(failure: &mut Option<Failure>, new: Failure) {
    if failure.as_ref().is_none_or(|old| new.index() < old.index()) {
        *failure = Some(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;
    use crate::outcome::Details;
    use crate::wire::{RecordKind, put_varint};
    use std::time::Duration;

    fn run(numbers: std::ops::Range<u8>) -> Event {
        let mut records = Vec::new();
        for n in numbers.clone() {
            put_varint(RecordKind::Done.header(1), &mut records);
            records.push(n);
        }
        Event::Run {
            first: numbers.start.into(),
            count: numbers.len() as u32,
            attempts: 1,
            elapsed: Duration::ZERO,
            records,
        }
    }

    #[test]
    fn runs_in_any_order_give_results_in_order() {
        let mut results = Results::<u8>::new(10);
        for range in [3..5, 0..1, 7..9, 1..3, 5..7] {
            results.add(run(range));
        }
        assert_eq!(results.finish().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_first_failure_in_order_counts() {
        let mut results = Results::<u8>::new(0);
        let failed =
            |index| Event::Failed(Failure::new(Details::of(FailureKind::Failed { message: "no".into() }, index)));
        results.add(failed(4));
        results.add(run(0..2));
        results.add(failed(2));
        results.add(failed(3));
        assert_eq!(results.finish().unwrap_err().failure().unwrap().index(), 2);
    }
}
