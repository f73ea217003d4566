//! A lock in one word of shared memory, which outlives the process that holds it.
//!
//! The word says who holds the lock, so that taking it and saying who took it are one step: there is no moment at which
//! a process can die and leave a lock that nobody is known to hold. Who waits looks at the holder from time to time, and
//! takes the lock from one that is dead. The word tells a process from a later one of the same number, so it is taken
//! from exactly the one that was looked at.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use procession_os::{Identity, Segment};

use super::wait::Wait;

/// The part of the word that is the holder's process id; 0 if nobody holds it.
const PID: u64 = (1 << 30) - 1;
/// A holder died, or panicked, and nobody has repaired since what the lock guards.
const POISONED: u64 = 1 << 30;
/// Somebody may sleep until the holder lets go.
const HAS_WAITERS: u64 = 1 << 31;
/// The holder: its process id, and from bit 32 on its birth.
const HOLDER: u64 = !(POISONED | HAS_WAITERS);

/// About a microsecond: what a short critical section takes. Longer would keep the holder from a core where there are
/// few. The model checker would try each of them.
const SPINS: usize = if cfg!(loom) { 0 } else { 30 };

/// What a lock word lives in: shared memory and processes for real, a model for proofs.
pub(crate) trait World {
    /// Who asks, as it stands in the word.
    fn own(&self) -> u64;
    fn is_alive(&self, holder: u64) -> bool;
    fn load(&self, at: usize) -> u64;
    /// Changes `from` to `to`, or returns what is there instead. Acquires and releases.
    fn change(&self, at: usize, from: u64, to: u64) -> Result<(), u64>;
    /// Sleeps until woken, unless the low half of the word is no longer `expected`; false when `timeout` ran out.
    fn sleep(&self, at: usize, expected: u32, timeout: Duration) -> bool;
    fn wake(&self, at: usize, count: u32);
}

/// A process as it stands in words: its id in bits 0 to 30, its birth from bit 32 on.
pub(crate) fn pack(identity: Identity) -> u64 {
    u64::from(identity.pid) & PID | u64::from(identity.birth) << 32
}

/// The other way; what is no process's is one that is dead.
pub(crate) fn unpack(holder: u64) -> Identity {
    Identity { pid: (holder & PID) as u32, birth: (holder >> 32) as u32 }
}

/// Where the low half of the 64-bit word at `at` is.
pub(crate) fn low_half(at: usize) -> usize {
    if cfg!(target_endian = "little") { at } else { at + 4 }
}

impl World for Segment {
    #[inline]
    fn own(&self) -> u64 {
        pack(Identity::own())
    }
    fn is_alive(&self, holder: u64) -> bool {
        unpack(holder).is_alive()
    }
    #[inline]
    fn load(&self, at: usize) -> u64 {
        self.u64(at).load(Ordering::Acquire)
    }
    #[inline]
    fn change(&self, at: usize, from: u64, to: u64) -> Result<(), u64> {
        self.u64(at).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }
    fn sleep(&self, at: usize, expected: u32, timeout: Duration) -> bool {
        procession_os::futex_wait(self.u32(low_half(at)), expected, Some(timeout))
    }
    fn wake(&self, at: usize, count: u32) {
        procession_os::futex_wake(self.u32(low_half(at)), count);
    }
}

/// In which state the lock was found by the one that has taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    /// What it guards is whole.
    Clean,
    /// A holder died or panicked and [`LockWord::clear_poison`] has not been called since.
    Poisoned,
}

impl Taken {
    fn of(word: u64) -> Taken {
        if word & POISONED == 0 { Taken::Clean } else { Taken::Poisoned }
    }
}

/// A lock word at an offset that is a multiple of 8. Zero is a free lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockWord(pub usize);

impl LockWord {
    /// Takes the lock; None if it could not be had before `deadline`. A thread that holds it and asks again waits for
    /// itself.
    #[inline]
    pub fn acquire(self, world: &impl World, deadline: Option<Instant>) -> Option<Taken> {
        match world.change(self.0, 0, world.own()) {
            Ok(()) => Some(Taken::Clean),
            Err(found) => self.acquire_slowly(world, found, deadline),
        }
    }

    /// Takes the lock if it is free, or held by a dead process.
    #[inline]
    pub fn try_acquire(self, world: &impl World) -> Option<Taken> {
        let mut word = 0;
        loop {
            let poison = if word & PID == 0 {
                0
            } else if world.is_alive(word & HOLDER) {
                return None;
            } else {
                POISONED
            };
            match self.take(world, word, poison) {
                Ok(taken) => return Some(taken),
                Err(now) => word = now,
            }
        }
    }

    /// Lets go. Nothing happens if the caller's process does not hold the lock.
    #[inline]
    pub fn release(self, world: &impl World) {
        if let Err(found) = world.change(self.0, world.own(), 0) {
            self.release_slowly(world, found);
        }
    }

    /// Marks that what the lock guards may be half changed; for the holder.
    pub fn poison(self, world: &impl World) {
        self.update(world, |word| word | POISONED);
    }

    /// Takes the mark back, whoever holds the lock.
    pub fn clear_poison(self, world: &impl World) {
        self.update(world, |word| word & !POISONED);
    }

    pub fn is_poisoned(self, world: &impl World) -> bool {
        world.load(self.0) & POISONED != 0
    }

    /// Whether who takes it next will be told so: a holder died or panicked, or is dead and still has it.
    pub fn is_lost(self, world: &impl World) -> bool {
        let word = world.load(self.0);
        word & POISONED != 0 || word & PID != 0 && !world.is_alive(word & HOLDER)
    }

    /// Whether the caller's process holds it, in whichever thread.
    pub fn is_own(self, world: &impl World) -> bool {
        world.load(self.0) & HOLDER == world.own()
    }

    fn take(self, world: &impl World, word: u64, marks: u64) -> Result<Taken, u64> {
        let new = world.own() | word & (POISONED | HAS_WAITERS) | marks;
        world.change(self.0, word, new).map(|()| Taken::of(new))
    }

    #[cold]
    fn acquire_slowly(self, world: &impl World, found: u64, deadline: Option<Instant>) -> Option<Taken> {
        let (mut word, mut spins, mut wait) = (found, 0, Wait::until(deadline));
        // Set by one that has slept: it was woken in the place of all, and others may still sleep.
        let mut marks = 0;
        let mut is_due = false;
        loop {
            if word & PID == 0 {
                match self.take(world, word, marks) {
                    Ok(taken) => return Some(taken),
                    Err(now) => word = now,
                }
                continue;
            }
            if spins < SPINS && word & HAS_WAITERS == 0 {
                spins += 1;
                std::hint::spin_loop();
                word = world.load(self.0);
                continue;
            }
            if word & HAS_WAITERS == 0 {
                // Before it may give up, too: it may have been woken in the place of others.
                if let Err(now) = world.change(self.0, word, word | HAS_WAITERS) {
                    word = now;
                    continue;
                }
                word |= HAS_WAITERS;
            }
            marks = HAS_WAITERS;
            let is_last = wait.is_over();
            if (is_due || is_last) && !world.is_alive(word & HOLDER) {
                match self.take(world, word, marks | POISONED) {
                    Ok(taken) => return Some(taken),
                    Err(now) => word = now,
                }
                continue;
            }
            if is_last {
                return None;
            }
            is_due = wait.sleep(|rest| world.sleep(self.0, word as u32, rest));
            word = world.load(self.0);
        }
    }

    #[cold]
    fn release_slowly(self, world: &impl World, mut word: u64) {
        while word & HOLDER == world.own() {
            match world.change(self.0, word, word & POISONED) {
                Ok(()) if word & HAS_WAITERS != 0 => return world.wake(self.0, 1),
                Ok(()) => return,
                Err(now) => word = now,
            }
        }
    }

    fn update(self, world: &impl World, new: impl Fn(u64) -> u64) {
        let mut word = world.load(self.0);
        while let Err(now) = world.change(self.0, word, new(word)) {
            word = now;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::{Cell, RefCell};

    const WORD: LockWord = LockWord(64);

    /// One word and a few processes that can die, one of which acts at a time.
    #[derive(Default)]
    struct Stage {
        word: Cell<u64>,
        actor: Cell<u64>,
        dead: RefCell<Vec<u64>>,
        wakes: Cell<u32>,
    }

    impl World for Stage {
        fn own(&self) -> u64 {
            self.actor.get()
        }
        fn is_alive(&self, holder: u64) -> bool {
            !self.dead.borrow().contains(&holder)
        }
        fn load(&self, _at: usize) -> u64 {
            self.word.get()
        }
        fn change(&self, _at: usize, from: u64, to: u64) -> Result<(), u64> {
            if self.word.get() != from {
                return Err(self.word.get());
            }
            self.word.set(to);
            Ok(())
        }
        fn sleep(&self, _at: usize, expected: u32, _timeout: Duration) -> bool {
            assert_eq!(self.word.get() as u32, expected);
            false
        }
        fn wake(&self, _at: usize, count: u32) {
            self.wakes.set(self.wakes.get() + count);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Acquire(u64),
        Try(u64),
        GiveUp(u64),
        Release(u64),
        Poison(u64),
        Clear(u64),
        Die(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // The same process id for all, with different births: the hardest case.
        let step = (0u64..7, 0u64..4).prop_map(|(kind, birth)| {
            let process = pack(Identity { pid: 77, birth: birth as u32 + 1 });
            match kind {
                0 => Step::Acquire(process),
                1 => Step::Try(process),
                2 => Step::GiveUp(process),
                3 => Step::Release(process),
                4 => Step::Poison(process),
                5 => Step::Clear(process),
                _ => Step::Die(process),
            }
        });
        proptest::collection::vec(step, 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// Against the obvious: who holds it, whether it is poisoned, whether somebody has waited.
        #[test]
        fn it_does_what_a_lock_does(steps in steps()) {
            let stage = Stage::default();
            let (mut holder, mut is_poisoned, mut has_waited, mut wakes) = (None::<u64>, false, false, 0);
            for step in steps {
                let (Step::Acquire(actor) | Step::Try(actor) | Step::GiveUp(actor) | Step::Release(actor)
                    | Step::Poison(actor) | Step::Clear(actor) | Step::Die(actor)) = step;
                if stage.dead.borrow().contains(&actor) {
                    // The number comes back with another process.
                    stage.dead.borrow_mut().retain(|&dead| dead != actor || holder == Some(actor));
                    continue;
                }
                stage.actor.set(actor);
                let holder_is_dead = holder.is_some_and(|h| stage.dead.borrow().contains(&h));
                match step {
                    Step::Acquire(_) | Step::Try(_) | Step::GiveUp(_) => {
                        let has_to_wait = matches!(step, Step::Acquire(_) | Step::GiveUp(_)) && holder.is_some();
                        let taken = match step {
                            Step::Acquire(_) if holder.is_none() || holder_is_dead => WORD.acquire(&stage, None),
                            Step::Try(_) => WORD.try_acquire(&stage),
                            _ => WORD.acquire(&stage, Some(Instant::now())),
                        };
                        prop_assert_eq!(taken.is_some(), holder.is_none() || holder_is_dead);
                        is_poisoned |= holder_is_dead;
                        has_waited |= has_to_wait;
                        if let Some(taken) = taken {
                            holder = Some(actor);
                            prop_assert_eq!(taken == Taken::Poisoned, is_poisoned);
                        }
                    }
                    Step::Release(_) => {
                        WORD.release(&stage);
                        if holder == Some(actor) {
                            holder = None;
                            wakes += u32::from(std::mem::take(&mut has_waited));
                        }
                    }
                    Step::Poison(_) if holder == Some(actor) => {
                        WORD.poison(&stage);
                        is_poisoned = true;
                    }
                    Step::Poison(_) => {}
                    Step::Clear(_) => {
                        WORD.clear_poison(&stage);
                        is_poisoned = false;
                    }
                    Step::Die(_) => stage.dead.borrow_mut().push(actor),
                }
                prop_assert_eq!(stage.word.get() & HOLDER, holder.unwrap_or(0));
                prop_assert_eq!(WORD.is_poisoned(&stage), is_poisoned);
                prop_assert_eq!(WORD.is_own(&stage), holder == Some(actor));
                prop_assert_eq!(stage.wakes.get(), wakes);
            }
        }

        /// Whatever another process has written there: nobody panics, and what claims a dead holder can be taken.
        #[test]
        fn hostile_words_are_locks_too(word in any::<u64>()) {
            let (memory, _fd) = Segment::create("word", 4096).unwrap();
            memory.u64(WORD.0).store(word, Ordering::Relaxed);
            WORD.release(&memory);
            // Only a process id that is in use may keep us waiting.
            if !unpack(word & HOLDER).is_alive() || word & PID == 0 {
                prop_assert!(WORD.acquire(&memory, Some(Instant::now())).is_some());
                prop_assert!(WORD.is_own(&memory));
                WORD.release(&memory);
                prop_assert_eq!(memory.u64(WORD.0).load(Ordering::Relaxed) & HOLDER, 0);
            }
        }
    }

    #[test]
    fn a_dead_process_loses_it_on_the_first_tick() {
        let (memory, _fd) = Segment::create("word", 4096).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        memory.u64(WORD.0).store(u64::from(child.id()), Ordering::Relaxed);
        assert_eq!(WORD.try_acquire(&memory), None);
        child.kill().unwrap();
        assert_eq!(WORD.acquire(&memory, None), Some(Taken::Poisoned));
        WORD.release(&memory);
        child.wait().unwrap();
        memory.u64(WORD.0).store(u64::from(child.id()) | HAS_WAITERS, Ordering::Relaxed);
        assert_eq!(WORD.try_acquire(&memory), Some(Taken::Poisoned));
    }
}

/// Every interleaving of a few threads, without ticks: `Tick` never comes.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::{AtomicU64, AtomicUsize};
    use loom::sync::{Arc, Condvar, Mutex};

    /// The word, its sleepers, and what the lock guards. Each thread is a process of its own.
    struct Model {
        word: AtomicU64,
        gate: Mutex<u32>,
        woken: Condvar,
        inside: AtomicUsize,
    }

    struct Actor(Arc<Model>, u64);

    impl World for Actor {
        fn own(&self) -> u64 {
            self.1
        }
        fn is_alive(&self, _holder: u64) -> bool {
            true
        }
        fn load(&self, _at: usize) -> u64 {
            self.0.word.load(Ordering::Acquire)
        }
        fn change(&self, _at: usize, from: u64, to: u64) -> Result<(), u64> {
            self.0.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
        }
        /// futex(2): comparing and going to sleep are one step, and one wake-up ends one sleep.
        fn sleep(&self, at: usize, expected: u32, _timeout: Duration) -> bool {
            let mut sleepers = self.0.gate.lock().unwrap();
            if self.load(at) as u32 == expected {
                *sleepers += 1;
                drop(self.0.woken.wait(sleepers).unwrap());
            }
            true
        }
        fn wake(&self, _at: usize, count: u32) {
            let mut sleepers = self.0.gate.lock().unwrap();
            for _ in 0..count.min(*sleepers) {
                *sleepers -= 1;
                self.0.woken.notify_one();
            }
        }
    }

    fn enter(world: &Actor, times: usize) {
        for _ in 0..times {
            assert_eq!(LockWord(0).acquire(world, None), Some(Taken::Clean));
            let inside = world.0.inside.load(Ordering::Relaxed);
            assert_eq!(inside % 2, 0, "two are inside");
            world.0.inside.store(inside + 1, Ordering::Relaxed);
            world.0.inside.store(inside + 2, Ordering::Relaxed);
            LockWord(0).release(world);
        }
    }

    fn check(entries: &'static [usize]) {
        loom::model(move || {
            let model = Arc::new(Model {
                word: AtomicU64::new(0),
                gate: Mutex::new(0),
                woken: Condvar::new(),
                inside: AtomicUsize::new(0),
            });
            let actor = |n: usize| Actor(Arc::clone(&model), pack(Identity { pid: 5, birth: n as u32 + 1 }));
            let others: Vec<_> = (1..entries.len())
                .map(|n| {
                    let world = actor(n);
                    loom::thread::spawn(move || enter(&world, entries[n]))
                })
                .collect();
            enter(&actor(0), entries[0]);
            others.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(model.inside.load(Ordering::Relaxed), 2 * entries.iter().sum::<usize>());
            assert_eq!(model.word.load(Ordering::Relaxed) & HOLDER, 0);
        });
    }

    /// Nobody is inside with another, sees less than the one before has done, or sleeps for ever (loom reports a
    /// deadlock), though no tick ever wakes anyone.
    #[test]
    fn loom_lock_two_enter_twice() {
        check(&[2, 2]);
    }

    #[test]
    fn loom_lock_three_enter() {
        check(&[1, 1, 1]);
    }
}
