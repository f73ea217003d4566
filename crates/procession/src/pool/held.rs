//! Outcomes that the caller of an `imap` has not taken yet: kept as they came, encoded, and decoded one by one.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::batch::{Event, Records};
use super::task::decode_item;
use crate::outcome::Outcome;
use crate::wire::Bytes;

pub(crate) struct Held<R> {
    is_ordered: bool,
    /// By the number of their first item.
    events: BTreeMap<usize, Event>,
    /// The run that is being given out, and how far.
    run: Option<Run>,
    /// Number of the next item to be given out, if ordered.
    next: usize,
    /// Items held.
    count: usize,
    /// Their encoded size.
    bytes: usize,
    result: PhantomData<fn() -> R>,
}

struct Run {
    index: usize,
    left: u32,
    attempts: u32,
    elapsed: Duration,
    records: Vec<u8>,
    at: usize,
}

impl<R: DeserializeOwned + 'static> Held<R> {
    pub fn new(is_ordered: bool) -> Held<R> {
        Held { is_ordered, events: BTreeMap::new(), run: None, next: 0, count: 0, bytes: 0, result: PhantomData }
    }

    /// Items held.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, event: Event) {
        self.count += event.count();
        self.bytes += event.len();
        self.events.insert(event.first(), event);
    }

    /// The next outcome, if it is here.
    ///
    /// Should decoding it panic then it is gone; the next call gives the one after.
    pub fn next(&mut self) -> Option<Outcome<R>> {
        self.run.take_if(|run| run.left == 0);
        if self.run.is_none() {
            let event = if self.is_ordered { self.events.remove(&self.next)? } else { self.events.pop_first()?.1 };
            let len = event.len();
            match event {
                Event::Run { first, count, attempts, elapsed, records } => {
                    self.run = Some(Run { index: first, left: count, attempts, elapsed, records, at: 0 });
                }
                Event::Large { index, attempts, elapsed, payload } => {
                    self.count_out(len);
                    return Some(decode_item(index, attempts, elapsed, Ok(Bytes::Owned(payload))));
                }
                Event::Failed(failure) => {
                    self.count_out(len);
                    return Some(decode_item(failure.index(), failure.attempts(), failure.elapsed(), Err(failure)));
                }
            }
        }
        let run = self.run.as_mut()?;
        let mut rest = Records::of(&run.records[run.at..], run.left);
        let payload = rest.next()?.len();
        let end = run.records.len() - rest.rest().len();
        let (index, len) = (run.index, end - run.at);
        (run.index, run.left, run.at) = (run.index + 1, run.left - 1, end);
        self.next += 1;
        self.count -= 1;
        self.bytes -= len;
        let payload = Bytes::Borrowed(&run.records[end - payload..end]);
        let outcome = decode_item(index, run.attempts, run.elapsed, Ok(payload));
        self.run.take_if(|run| run.left == 0);
        Some(outcome)
    }

    fn count_out(&mut self, len: usize) {
        self.next += 1;
        self.count -= 1;
        self.bytes -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Details;
    use crate::wire::{RecordKind, put_varint};
    use crate::{Failure, FailureKind};

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

    fn take(held: &mut Held<u8>) -> Vec<usize> {
        std::iter::from_fn(|| held.next()).map(|outcome| outcome.index).collect()
    }

    #[test]
    fn ordered_outcomes_wait_for_earlier_ones() {
        let mut held = Held::<u8>::new(true);
        held.add(run(2..4));
        assert_eq!((take(&mut held), held.count(), held.bytes()), (vec![], 2, 4));
        held.add(run(0..1));
        assert_eq!(take(&mut held), [0]);
        let failure = Failure::new(Details::of(FailureKind::Failed { message: "no".into() }, 1));
        held.add(Event::Failed(failure));
        held.add(Event::Large { index: 4, attempts: 1, elapsed: Duration::ZERO, payload: vec![4] });
        assert_eq!(take(&mut held), [1, 2, 3, 4]);
        assert_eq!((held.count(), held.bytes()), (0, 0));
    }

    #[test]
    fn unordered_outcomes_wait_for_none() {
        let mut held = Held::<u8>::new(false);
        held.add(run(7..9));
        assert_eq!(take(&mut held), [7, 8]);
        held.add(run(1..2));
        assert_eq!((take(&mut held), held.count(), held.bytes()), (vec![1], 0, 0));
    }
}
