//! A stream of bytes through shared memory, from one process to one other, and the bells that end their sleep.
//!
//! A ring is a buffer of a power-of-two capacity with two counters that only grow: `head`, the bytes ever written, and
//! `tail`, the bytes ever taken. Each is stored by one side only. Both sides keep their own counter privately and treat
//! the other's as hostile: it must lie where the protocol allows, or the peer is broken.
//!
//! There are no messages at this level: a payload larger than the ring streams through it piece by piece.

use std::sync::atomic::Ordering;
use std::time::Duration;

use procession_os::Segment;

/// The memory under rings and bells: shared memory for real, the model checker's for proofs.
pub(crate) trait Memory {
    fn load64(&self, at: usize, order: Ordering) -> u64;
    fn store64(&self, at: usize, value: u64, order: Ordering);
    /// Changes `from` to `to`; false if something else is there. Acquires and releases.
    fn change64(&self, at: usize, from: u64, to: u64) -> bool;
    /// Sets bits, and returns what was there. Acquires and releases.
    fn set_bits64(&self, at: usize, bits: u64) -> u64;
    fn load32(&self, at: usize) -> u32;
    fn store32(&self, at: usize, value: u32);
    fn add32(&self, at: usize, value: u32);
    fn read(&self, at: usize, len: usize, out: &mut Vec<u8>);
    fn write(&self, at: usize, bytes: &[u8]);
    fn fence(&self);
    fn sleep(&self, at: usize, expected: u32, timeout: Option<Duration>) -> bool;
    fn wake(&self, at: usize);
}

impl Memory for Segment {
    #[inline]
    fn load64(&self, at: usize, order: Ordering) -> u64 {
        self.u64(at).load(order)
    }
    #[inline]
    fn store64(&self, at: usize, value: u64, order: Ordering) {
        self.u64(at).store(value, order);
    }
    #[inline]
    fn change64(&self, at: usize, from: u64, to: u64) -> bool {
        self.u64(at).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
    fn set_bits64(&self, at: usize, bits: u64) -> u64 {
        self.u64(at).fetch_or(bits, Ordering::AcqRel)
    }
    #[inline]
    fn load32(&self, at: usize) -> u32 {
        self.u32(at).load(Ordering::Relaxed)
    }
    fn store32(&self, at: usize, value: u32) {
        self.u32(at).store(value, Ordering::Relaxed);
    }
    fn add32(&self, at: usize, value: u32) {
        self.u32(at).fetch_add(value, Ordering::Relaxed);
    }
    #[inline]
    fn read(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        Segment::read(self, at, len, out);
    }
    #[inline]
    fn write(&self, at: usize, bytes: &[u8]) {
        Segment::write(self, at, bytes);
    }
    fn fence(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
    fn sleep(&self, at: usize, expected: u32, timeout: Option<Duration>) -> bool {
        procession_os::futex_wait(self.u32(at), expected, timeout)
    }
    fn wake(&self, at: usize) {
        procession_os::futex_wake(self.u32(at), 1);
    }
}

/// Where a ring lies in its memory: offsets in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub head: usize,
    pub tail: usize,
    pub data: usize,
    /// A power of two.
    pub capacity: usize,
}

/// The peer's counter is where no correct peer can have put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The writing end.
#[derive(Debug)]
pub(crate) struct Producer {
    place: Place,
    /// Bytes written, published or not.
    head: u64,
    /// The peer's counter when we last looked.
    tail: u64,
}

impl Producer {
    pub fn new(place: Place) -> Producer {
        Producer { place, head: 0, tail: 0 }
    }

    /// Room for bytes, from a fresh look at the peer's counter unless `enough` were there at the last one.
    #[inline]
    pub fn room(&mut self, memory: &impl Memory, enough: usize) -> Result<usize, Corrupt> {
        let capacity = self.place.capacity as u64;
        let known = capacity - (self.head - self.tail);
        if known >= enough as u64 {
            return Ok(known as usize);
        }
        let tail = memory.load64(self.place.tail, Ordering::Acquire);
        if tail < self.tail || tail > self.head {
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok((capacity - (self.head - tail)) as usize)
    }

    /// Bytes that the peer has taken, from a fresh look.
    pub fn taken(&mut self, memory: &impl Memory) -> Result<u64, Corrupt> {
        self.room(memory, usize::MAX)?;
        Ok(self.tail)
    }

    /// Whether the peer had taken everything at the last look.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Copies `bytes` in; they must fit into the room. Not visible to the peer until [`Producer::publish`].
    #[inline]
    pub fn stage(&mut self, memory: &impl Memory, bytes: &[u8]) {
        debug_assert!(bytes.len() as u64 <= self.place.capacity as u64 - (self.head - self.tail));
        let at = self.head as usize & (self.place.capacity - 1);
        let first = bytes.len().min(self.place.capacity - at);
        memory.write(self.place.data + at, &bytes[..first]);
        if first < bytes.len() {
            memory.write(self.place.data, &bytes[first..]);
        }
        self.head += bytes.len() as u64;
    }

    /// Copies a record in and publishes it, if that needs no look at the peer's counter and no wrap. False if it does.
    #[inline]
    pub fn put_short(&mut self, memory: &impl Memory, head: u8, body: &[u8]) -> bool {
        let capacity = self.place.capacity;
        let at = self.head as usize & (capacity - 1);
        let len = 1 + body.len();
        if capacity - at < len || capacity as u64 - (self.head - self.tail) < len as u64 {
            return false;
        }
        memory.write(self.place.data + at, &[head]);
        memory.write(self.place.data + at + 1, body);
        self.head += len as u64;
        self.publish(memory);
        true
    }

    /// Makes all that was staged visible to the peer.
    #[inline]
    pub fn publish(&self, memory: &impl Memory) {
        memory.store64(self.place.head, self.head, Ordering::Release);
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Consumer {
    place: Place,
    tail: u64,
    head: u64,
}

impl Consumer {
    pub fn new(place: Place) -> Consumer {
        Consumer { place, tail: 0, head: 0 }
    }

    /// Bytes that can be taken.
    #[inline]
    pub fn available(&mut self, memory: &impl Memory) -> Result<usize, Corrupt> {
        let head = memory.load64(self.place.head, Ordering::Acquire);
        if head < self.head || head - self.tail > self.place.capacity as u64 {
            return Err(Corrupt);
        }
        self.head = head;
        Ok((head - self.tail) as usize)
    }

    /// Moves `count` bytes, at most what [`Consumer::available`] last said, to the end of `out`.
    #[inline]
    pub fn take(&mut self, memory: &impl Memory, count: usize, out: &mut Vec<u8>) {
        let count = count.min((self.head - self.tail) as usize);
        let at = self.tail as usize & (self.place.capacity - 1);
        let first = count.min(self.place.capacity - at);
        memory.read(self.place.data + at, first, out);
        if first < count {
            memory.read(self.place.data, count - first, out);
        }
        self.tail += count as u64;
        memory.store64(self.place.tail, self.tail, Ordering::Release);
    }
}

/// A word by which a writer asks to be woken when there is room. It asks, then looks once more for room; the reader first
/// makes room, then looks for the wish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish(pub usize);

impl Wish {
    pub fn set(self, memory: &impl Memory, wants: bool) {
        memory.store32(self.0, u32::from(wants));
        memory.fence();
    }

    pub fn is_set(self, memory: &impl Memory) -> bool {
        memory.fence();
        memory.load32(self.0) != 0
    }
}

/// A word to sleep on, and beside it how its owner sleeps, so that nobody makes a system call for one that is awake.
///
/// The sleeper calls [`Bell::prepare`], then looks once more for what it waits for, then [`Bell::sleep`]s. The other
/// side first publishes, then calls [`Bell::ring`]. The fences put one of the two looks after the other's store, so a
/// wake-up cannot be lost (the "event count" pattern).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bell {
    pub count: usize,
    pub mode: usize,
}

/// About a microsecond. Ten times that would keep the other side from a core where there are few.
const SPINS: usize = 30;

/// How the owner of a bell sleeps.
pub(crate) mod mode {
    /// It does not.
    pub const AWAKE: u32 = 0;
    /// On the bell's word.
    pub const FUTEX: u32 = 1;
    /// On an event among other descriptors.
    pub const EVENT: u32 = 2;
}

impl Bell {
    /// Announces sleep of the kind `mode`; returns what to pass to [`Bell::sleep`].
    pub fn prepare(self, memory: &impl Memory, mode: u32) -> u32 {
        let seen = memory.load32(self.count);
        memory.store32(self.mode, mode);
        memory.fence();
        seen
    }

    /// Sleeps until the bell is rung or `timeout` runs out (then false); may return early.
    pub fn sleep(self, memory: &impl Memory, seen: u32, timeout: Option<Duration>) -> bool {
        memory.sleep(self.count, seen, timeout)
    }

    /// Announces that the owner is awake.
    pub fn awake(self, memory: &impl Memory) {
        memory.store32(self.mode, mode::AWAKE);
    }

    /// Wakes an owner that sleeps on the word. True if it waits for the event instead, which the caller is to raise.
    ///
    /// Every ringer raises it, though one would do: a mark that somebody else is about to do so would depend on that one,
    /// which may be stopped in between.
    #[inline]
    pub fn ring(self, memory: &impl Memory) -> bool {
        memory.fence();
        let mode = memory.load32(self.mode);
        if mode == mode::FUTEX {
            memory.add32(self.count, 1);
            memory.wake(self.count);
        }
        mode == mode::EVENT
    }

    /// Wakes an owner that sleeps on the word, whatever others have written beside it.
    pub fn wake(self, memory: &impl Memory) {
        memory.add32(self.count, 1);
        memory.wake(self.count);
    }

    /// What to do before sleeping, for about the time that an answer to a short task takes: cheaper than to sleep and be
    /// woken. True as soon as `is_there`, which looks at so many `places`.
    #[inline]
    pub fn spin(self, places: usize, mut is_there: impl FnMut() -> bool) -> bool {
        (0..SPINS / places.max(1)).any(|_| {
            std::hint::spin_loop();
            is_there()
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place = Place { head: 0, tail: 64, data: 128, capacity: 64 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_goes_in_comes_out(pieces in proptest::collection::vec((0usize..100, 0usize..100), 1..60)) {
            let (memory, _fd) = Segment::create("ring", 4096).unwrap();
            let (mut producer, mut consumer) = (Producer::new(PLACE), Consumer::new(PLACE));
            let (mut sent, mut got, mut next) = (Vec::new(), Vec::new(), 0u8);
            for (write, take) in pieces {
                let room = producer.room(&memory, usize::MAX).unwrap();
                prop_assert_eq!(room, 64 - (sent.len() - got.len()));
                let bytes: Vec<u8> = (0..write.min(room)).map(|_| { next = next.wrapping_add(1); next }).collect();
                producer.stage(&memory, &bytes);
                producer.publish(&memory);
                sent.extend(bytes);
                let available = consumer.available(&memory).unwrap();
                prop_assert_eq!(available, sent.len() - got.len());
                consumer.take(&memory, take.min(available), &mut got);
            }
            let rest = consumer.available(&memory).unwrap();
            consumer.take(&memory, rest, &mut got);
            prop_assert_eq!(sent, got);
        }

        #[test]
        fn hostile_counters_are_noticed(head in any::<u64>(), tail in any::<u64>()) {
            let (memory, _fd) = Segment::create("ring", 4096).unwrap();
            let (mut producer, mut consumer) = (Producer::new(PLACE), Consumer::new(PLACE));
            producer.stage(&memory, &[1; 10]);
            producer.publish(&memory);
            memory.u64(PLACE.head).store(head, Ordering::Relaxed);
            memory.u64(PLACE.tail).store(tail, Ordering::Relaxed);
            prop_assert_eq!(consumer.available(&memory).is_ok(), head <= 64);
            prop_assert_eq!(producer.room(&memory, usize::MAX).is_ok(), tail <= 10);
        }
    }
}

/// Memory as the model checker sees it.
#[cfg(all(test, loom))]
pub(crate) mod model {
    use super::*;
    use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, fence};
    use loom::sync::{Condvar, Mutex};

    /// Words and bytes. Bytes are relaxed atomics: the model shows stale ones unless the counters order them.
    pub(crate) struct Model {
        words64: [AtomicU64; 2],
        words32: [AtomicU32; 5],
        bytes: [AtomicU8; 2],
        gate: Mutex<()>,
        /// For sleepers on each of the 32-bit words.
        changed: [Condvar; 5],
    }

    impl Model {
        pub fn new() -> Model {
            Model {
                words64: std::array::from_fn(|_| AtomicU64::new(0)),
                words32: std::array::from_fn(|_| AtomicU32::new(0)),
                bytes: std::array::from_fn(|_| AtomicU8::new(0)),
                gate: Mutex::new(()),
                changed: std::array::from_fn(|_| Condvar::new()),
            }
        }
    }

    impl Memory for Model {
        fn load64(&self, at: usize, order: Ordering) -> u64 {
            self.words64[at].load(order)
        }
        fn store64(&self, at: usize, value: u64, order: Ordering) {
            self.words64[at].store(value, order);
        }
        fn change64(&self, at: usize, from: u64, to: u64) -> bool {
            self.words64[at].compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
        }
        fn set_bits64(&self, at: usize, bits: u64) -> u64 {
            self.words64[at].fetch_or(bits, Ordering::AcqRel)
        }
        fn load32(&self, at: usize) -> u32 {
            self.words32[at].load(Ordering::Relaxed)
        }
        fn store32(&self, at: usize, value: u32) {
            self.words32[at].store(value, Ordering::Relaxed);
        }
        fn add32(&self, at: usize, value: u32) {
            self.words32[at].fetch_add(value, Ordering::Relaxed);
        }
        fn read(&self, at: usize, len: usize, out: &mut Vec<u8>) {
            out.extend((at..at + len).map(|i| self.bytes[i].load(Ordering::Relaxed)));
        }
        fn write(&self, at: usize, bytes: &[u8]) {
            for (i, b) in bytes.iter().enumerate() {
                self.bytes[at + i].store(*b, Ordering::Relaxed);
            }
        }
        fn fence(&self) {
            fence(Ordering::SeqCst);
        }
        /// futex(2): comparing and going to sleep are one step.
        fn sleep(&self, at: usize, expected: u32, _timeout: Option<Duration>) -> bool {
            let guard = self.gate.lock().unwrap();
            if self.load32(at) == expected {
                drop(self.changed[at].wait(guard).unwrap());
            }
            true
        }
        fn wake(&self, at: usize) {
            drop(self.gate.lock().unwrap());
            self.changed[at].notify_all();
        }
    }
}

/// Every interleaving of a small transfer, checked by loom:
/// `LOOM_MAX_PREEMPTIONS=2 RUSTFLAGS="--cfg loom" cargo test --release -p procession --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::model::Model;
    use super::*;
    use loom::sync::Arc;

    const PLACE: Place = Place { head: 0, tail: 1, data: 0, capacity: 2 };
    const READERS: Bell = Bell { count: 0, mode: 1 };
    const WRITERS: Bell = Bell { count: 2, mode: 3 };
    const WISH: Wish = Wish(4);

    /// Takes `count` bytes as a worker does, and sleeps whenever the ring is empty.
    fn read(memory: &Model, count: usize) -> Vec<u8> {
        let (mut consumer, mut got) = (Consumer::new(PLACE), Vec::new());
        while got.len() < count {
            let mut available = consumer.available(memory).unwrap();
            if available == 0 {
                let seen = READERS.prepare(memory, mode::FUTEX);
                available = consumer.available(memory).unwrap();
                if available == 0 {
                    READERS.sleep(memory, seen, None);
                }
                READERS.awake(memory);
            }
            consumer.take(memory, available, &mut got);
            if available > 0 && WISH.is_set(memory) {
                WRITERS.ring(memory);
            }
        }
        got
    }

    /// A reader that sleeps whenever the ring is empty gets every byte, in order, and never sleeps for ever (loom
    /// reports a deadlock).
    #[test]
    fn loom_no_byte_and_no_wake_up_is_lost() {
        loom::model(|| {
            let memory = Arc::new(Model::new());
            let theirs = Arc::clone(&memory);
            let writer = loom::thread::spawn(move || {
                let mut producer = Producer::new(PLACE);
                for byte in [7, 9] {
                    assert!(producer.room(&*theirs, 1).unwrap() >= 1);
                    producer.stage(&*theirs, &[byte]);
                    producer.publish(&*theirs);
                    READERS.ring(&*theirs);
                }
            });
            assert_eq!(read(&memory, 2), [7, 9]);
            writer.join().unwrap();
        });
    }

    /// A writer that has more than fits asks for room and sleeps as the pool does; it is woken for the rest.
    #[test]
    fn loom_a_frame_larger_than_the_ring_gets_through() {
        loom::model(|| {
            let memory = Arc::new(Model::new());
            let theirs = Arc::clone(&memory);
            let writer = loom::thread::spawn(move || {
                let (memory, mut producer) = (&*theirs, Producer::new(PLACE));
                let mut left: &[u8] = &[5, 7, 9];
                while !left.is_empty() {
                    let mut room = producer.room(memory, 1).unwrap();
                    if room == 0 {
                        WISH.set(memory, true);
                        room = producer.room(memory, 1).unwrap();
                    }
                    if room == 0 {
                        // What the core does between this and its sleep is left out; it looks again before that.
                        let seen = WRITERS.prepare(memory, mode::FUTEX);
                        if producer.room(memory, 1).unwrap() == 0 {
                            WRITERS.sleep(memory, seen, None);
                        }
                        WRITERS.awake(memory);
                        continue;
                    }
                    let (now, later) = left.split_at(room.min(left.len()));
                    producer.stage(memory, now);
                    producer.publish(memory);
                    READERS.ring(memory);
                    left = later;
                }
            });
            assert_eq!(read(&memory, 3), [5, 7, 9]);
            writer.join().unwrap();
        });
    }
}
