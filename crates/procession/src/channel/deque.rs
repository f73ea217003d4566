//! Records in shared memory, first in, first out: a `VecDeque` of bytes whose every change is one store of one word.
//!
//! `head` counts the bytes that were ever put in, `tail` those that were taken out; the byte with number *n* lies at *n*
//! modulo the capacity. So a process that dies in the middle of whatever has either done it or not. Only the holder of
//! the queue's lock calls anything here but [`Deque::marks`].
//!
//! The memory may be written by other processes at any time, also against the protocol: what is read is checked.

use std::sync::atomic::{Ordering, fence};

use procession_os::Segment;

use super::dying;

/// While it is empty it has so many bytes, which stay in the cache; and never less.
pub(crate) const SMALL: usize = 64 << 10;
/// So many bytes of memory are kept when it is empty.
const KEPT: usize = 8 << 20;
/// Each record begins with its length, in a word of its own.
const RECORD_HEAD: usize = 8;
/// What growing moves at once.
const PIECE: usize = 64 << 10;

/// Where it lies in a segment: offsets in bytes, each a multiple of 8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deque {
    pub head: usize,
    pub tail: usize,
    pub capacity: usize,
    /// How many records there are. It follows `head` and `tail`, and is counted anew after a death.
    pub items: usize,
    pub data: usize,
}

/// The room that a record of so many bytes takes: whole words.
fn room_for(len: usize) -> usize {
    RECORD_HEAD + len.next_multiple_of(8)
}

/// Every word is stored here, after all that was stored before it.
#[inline]
fn store(memory: &Segment, at: usize, value: u64) {
    dying::step();
    memory.u64(at).store(value, Ordering::Release);
}

/// The memory holds what no correct process has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Done,
    /// There is no room now.
    Full,
    /// There is never room for so much.
    TooLong,
}

#[derive(Debug, Clone, Copy)]
struct State {
    head: u64,
    tail: u64,
    capacity: usize,
}

impl State {
    fn used(self) -> usize {
        (self.head - self.tail) as usize
    }
}

impl Deque {
    /// The largest capacity that fits into the segment.
    pub fn max_capacity(self, memory: &Segment) -> usize {
        match memory.len().saturating_sub(self.data) {
            0 => 0,
            room => 1 << room.ilog2(),
        }
    }

    /// For a segment that nobody else has yet, with room for at least [`SMALL`] bytes.
    pub fn initialize(self, memory: &Segment) {
        debug_assert!(self.max_capacity(memory) >= SMALL);
        store(memory, self.capacity, SMALL as u64);
    }

    /// `head` and `tail` as they are now; for anyone.
    #[inline]
    pub fn marks(self, memory: &Segment) -> (u64, u64) {
        let tail = memory.u64(self.tail).load(Ordering::Acquire);
        (memory.u64(self.head).load(Ordering::Acquire), tail)
    }

    /// How many records there are; for anyone.
    pub fn len(self, memory: &Segment) -> u64 {
        memory.u64(self.items).load(Ordering::Relaxed)
    }

    #[inline]
    fn state(self, memory: &Segment) -> Result<State, Corrupt> {
        let (head, tail) = self.marks(memory);
        let capacity = memory.u64(self.capacity).load(Ordering::Acquire) as usize;
        let is_whole = capacity.is_power_of_two()
            && head % 8 == 0
            // No queue gets that far, and sums of it stay numbers.
            && head <= u64::MAX / 2
            && tail % 8 == 0
            && capacity >= 8
            && capacity <= self.max_capacity(memory)
            && head.checked_sub(tail).is_some_and(|used| used <= capacity as u64);
        if is_whole { Ok(State { head, tail, capacity }) } else { Err(Corrupt) }
    }

    /// Puts a record in.
    #[inline]
    pub fn push(self, memory: &Segment, bytes: &[u8]) -> Result<Pushed, Corrupt> {
        let mut state = self.state(memory)?;
        let room = room_for(bytes.len());
        if room > state.capacity - state.used() {
            match self.grow(memory, &mut state, room) {
                Pushed::Done => {}
                not => return Ok(not),
            }
        }
        let place = self.data + (state.head as usize & (state.capacity - 1));
        store(memory, place, bytes.len() as u64);
        dying::step();
        self.write(memory, state, state.head + RECORD_HEAD as u64, bytes);
        store(memory, self.head, state.head + room as u64);
        store(memory, self.items, self.len(memory).wrapping_add(1));
        Ok(Pushed::Done)
    }

    /// Takes the first record, which [`front`](Deque::front) has found there with `len` bytes.
    #[inline]
    pub fn pop(self, memory: &Segment, len: usize) {
        let tail = memory.u64(self.tail).load(Ordering::Relaxed).wrapping_add(room_for(len) as u64);
        store(memory, self.tail, tail);
        store(memory, self.items, self.len(memory).saturating_sub(1));
        let capacity = (memory.u64(self.capacity).load(Ordering::Relaxed) as usize).min(self.max_capacity(memory));
        if capacity > SMALL && tail == memory.u64(self.head).load(Ordering::Relaxed) {
            store(memory, self.capacity, SMALL as u64);
            if capacity > KEPT {
                dying::step();
                memory.discard(self.data + KEPT, capacity - KEPT);
            }
        }
    }

    /// The length of the first record, if there is one.
    #[inline]
    pub fn front(self, memory: &Segment) -> Result<Option<usize>, Corrupt> {
        let state = self.state(memory)?;
        if state.used() == 0 { Ok(None) } else { self.record_at(memory, state, state.tail).map(Some) }
    }

    /// Appends the first record's bytes to `out`, which has room for them.
    #[inline]
    pub fn copy_front(self, memory: &Segment, len: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        let state = self.state(memory)?;
        if room_for(len) > state.used() {
            return Err(Corrupt);
        }
        self.read(memory, state, state.tail + RECORD_HEAD as u64, len, out);
        Ok(())
    }

    /// Makes whole what a process has left that died while it held the lock.
    pub fn repair(self, memory: &Segment) -> Result<(), Corrupt> {
        let state = self.state(memory)?;
        let (mut at, mut items) = (state.tail, 0);
        while at < state.head {
            at += room_for(self.record_at(memory, state, at)?) as u64;
            items += 1;
        }
        store(memory, self.items, items);
        Ok(())
    }

    fn record_at(self, memory: &Segment, state: State, at: u64) -> Result<usize, Corrupt> {
        let rest = (state.head - at) as usize;
        let place = self.data + (at as usize & (state.capacity - 1));
        let len = memory.u64(place).load(Ordering::Relaxed) as usize;
        // Both are multiples of 8, and there is at least one word.
        if len <= rest - RECORD_HEAD { Ok(len) } else { Err(Corrupt) }
    }

    /// Makes room for `room` more bytes. What lies elsewhere under the new capacity is copied to beyond the old one, so
    /// both are whole until the capacity changes.
    #[cold]
    fn grow(self, memory: &Segment, state: &mut State, room: usize) -> Pushed {
        let max = self.max_capacity(memory);
        if room > max {
            return Pushed::TooLong;
        }
        let capacity = match (state.used() + room).checked_next_power_of_two() {
            Some(capacity) if capacity <= max => capacity,
            _ => return Pushed::Full,
        };
        let mut piece = Vec::new();
        let mut at = state.tail;
        while at < state.head {
            let (from, to) = (at as usize & (state.capacity - 1), at as usize & (capacity - 1));
            let count = (state.capacity - from).min((state.head - at) as usize).min(PIECE);
            if from != to {
                piece.clear();
                memory.read(self.data + from, count, &mut piece);
                dying::step();
                memory.write(self.data + to, &piece);
            }
            at += count as u64;
        }
        store(memory, self.capacity, capacity as u64);
        // What is written next may lie where the old layout has something.
        fence(Ordering::SeqCst);
        state.capacity = capacity;
        Pushed::Done
    }

    /// The bytes from number `at` on must fit.
    #[inline]
    fn write(self, memory: &Segment, state: State, at: u64, bytes: &[u8]) {
        let at = at as usize & (state.capacity - 1);
        let first = bytes.len().min(state.capacity - at);
        memory.write(self.data + at, &bytes[..first]);
        if first < bytes.len() {
            memory.write(self.data, &bytes[first..]);
        }
    }

    #[inline]
    fn read(self, memory: &Segment, state: State, at: u64, len: usize, out: &mut Vec<u8>) {
        let at = at as usize & (state.capacity - 1);
        let first = len.min(state.capacity - at);
        memory.read(self.data + at, first, out);
        if first < len {
            memory.read(self.data, len - first, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const DEQUE: Deque = Deque { head: 0, tail: 8, capacity: 16, items: 24, data: 4096 };

    fn memory(bytes: usize) -> Segment {
        let (memory, _fd) = Segment::create("deque", 4096 + bytes).unwrap();
        DEQUE.initialize(&memory);
        memory
    }

    fn take(memory: &Segment) -> Result<Option<Vec<u8>>, Corrupt> {
        let Some(len) = DEQUE.front(memory)? else { return Ok(None) };
        let mut bytes = Vec::new();
        DEQUE.copy_front(memory, len, &mut bytes)?;
        DEQUE.pop(memory, len);
        Ok(Some(bytes))
    }

    fn capacity(memory: &Segment) -> u64 {
        memory.u64(DEQUE.capacity).load(Ordering::Relaxed)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Pop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..100).prop_map(Step::Push),
            (0usize..60_000).prop_map(Step::Push),
            (0usize..700_000).prop_map(Step::Push),
            (1usize..12).prop_map(Step::Pop),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn it_is_a_vec_deque(steps in proptest::collection::vec(step(), 1..80), repairs in any::<bool>()) {
            const MAX: usize = 1 << 20;
            let memory = memory(MAX + 100);
            let (mut model, mut next) = (VecDeque::<Vec<u8>>::new(), 0u8);
            for step in steps {
                match step {
                    Step::Push(len) => {
                        next = next.wrapping_add(1);
                        let bytes: Vec<u8> = (0..len).map(|n| (n / 3) as u8 ^ next).collect();
                        let used: usize = model.iter().map(|bytes| room_for(bytes.len())).sum();
                        let pushed = DEQUE.push(&memory, &bytes).unwrap();
                        let fits = used + room_for(len) <= MAX;
                        prop_assert_eq!(pushed, if fits { Pushed::Done } else { Pushed::Full });
                        if fits {
                            model.push_back(bytes);
                        }
                    }
                    Step::Pop(count) => for _ in 0..count {
                        let (got, want) = (take(&memory).unwrap(), model.pop_front());
                        prop_assert!(got == want);
                    },
                }
                if repairs {
                    memory.u64(DEQUE.items).store(99, Ordering::Relaxed);
                    DEQUE.repair(&memory).unwrap();
                }
                prop_assert_eq!(DEQUE.len(&memory), model.len() as u64);
                prop_assert!(!model.is_empty() || capacity(&memory) == SMALL as u64);
            }
        }

        #[test]
        fn hostile_words_are_found_out_or_harmless(words in any::<[u64; 3]>(), near in any::<[u16; 3]>(), is_near in any::<bool>()) {
            let memory = memory(1 << 20);
            for n in 0..50u8 {
                DEQUE.push(&memory, &[n; 999]).unwrap();
            }
            let words = if is_near { [near[0].into(), near[1].into(), 1 << (near[2] % 30)] } else { words };
            for (at, word) in [DEQUE.head, DEQUE.tail, DEQUE.capacity].into_iter().zip(words) {
                memory.u64(at).store(word, Ordering::Relaxed);
            }
            let _ = DEQUE.push(&memory, &[1; 100]);
            let _ = DEQUE.repair(&memory);
            let _ = take(&memory);
        }
    }

    #[test]
    fn what_is_too_long_for_ever_is_told() {
        let memory = memory(SMALL * 2);
        assert_eq!(DEQUE.push(&memory, &vec![0; SMALL * 2 - RECORD_HEAD + 1]), Ok(Pushed::TooLong));
        assert_eq!(DEQUE.push(&memory, &vec![0; SMALL * 2 - RECORD_HEAD]), Ok(Pushed::Done));
        assert_eq!(DEQUE.push(&memory, b""), Ok(Pushed::Full));
    }

    #[test]
    fn an_empty_one_gives_its_memory_back() {
        let (memory, fd) = Segment::create("deque", 4096 + (64 << 20)).unwrap();
        DEQUE.initialize(&memory);
        let file = std::fs::File::from(fd);
        let held = || std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
        DEQUE.push(&memory, &vec![7; 20 << 20]).unwrap();
        DEQUE.push(&memory, b"last").unwrap();
        assert!(held() >= 20 << 20);
        take(&memory).unwrap();
        assert!(capacity(&memory) == 32 << 20);
        assert_eq!(take(&memory), Ok(Some(b"last".to_vec())));
        assert!(held() <= (KEPT + (1 << 20)) as u64, "{}", held());
        assert_eq!((capacity(&memory), take(&memory)), (SMALL as u64, Ok(None)));
    }

    #[test]
    fn a_capacity_that_is_not_yet_told_changes_nothing() {
        let memory = memory(1 << 20);
        // Wraps around the small capacity.
        for n in 0..30u8 {
            DEQUE.push(&memory, &[n; 3000]).unwrap();
            (n >= 10).then(|| take(&memory));
        }
        let mut state = DEQUE.state(&memory).unwrap();
        let before = capacity(&memory);
        assert_eq!(DEQUE.grow(&memory, &mut state, 200_000), Pushed::Done);
        for capacity in [before, state.capacity as u64] {
            memory.u64(DEQUE.capacity).store(capacity, Ordering::Relaxed);
            DEQUE.repair(&memory).unwrap();
            assert_eq!(DEQUE.len(&memory), 10);
        }
        (20..30u8).for_each(|n| assert_eq!(take(&memory), Ok(Some(vec![n; 3000]))));
    }
}
