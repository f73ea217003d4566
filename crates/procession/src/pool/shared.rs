//! A pool as its callers and its engine share it: the core under its lock, and how threads wait for it.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use procession_os::{Poller, Segment};

use super::batch::{Batch, Chunk, Event, Pace};
use super::core::{Core, Effect, ON_EVENT, ON_LEASE, ON_SOCKET, Stage, TAKE_OVER, TICK};
use super::inline;
use super::outlet;
use super::settings::Settings;
use super::slot::Phase;
use crate::lane::POOL_BELL;
use crate::panics::panic_text;
use crate::ring::mode;
use crate::wire::{Frame, FrameKind};
use crate::{Error, ErrorKind};

type Callback = Box<dyn FnOnce() + Send>;

/// The thread that runs callbacks, and the way to it. Without a thread they are dropped.
struct Callbacks {
    sender: Sender<Callback>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub settings: Arc<Settings>,
    core: Mutex<Core>,
    /// For those that wait while somebody else drives.
    changed: Condvar,
    bell: Arc<Segment>,
    poller: Arc<Poller>,
    paces: Mutex<HashMap<(u64, u64), Arc<Pace>>>,
    callbacks: Mutex<Option<Callbacks>>,
    engine: Mutex<Option<JoinHandle<()>>>,
    pub inline: Option<inline::State>,
}

impl Shared {
    pub fn start(settings: Settings) -> Result<Arc<Shared>, Error> {
        let settings = Arc::new(settings);
        let cannot = |e: io::Error| Error::start("the pool", e);
        let inline = if settings.is_inline { Some(inline::State::new(&settings)?) } else { None };
        let poller = Arc::new(Poller::new().map_err(cannot)?);
        let mut core = Core::new(Arc::clone(&settings), Arc::clone(&poller)).map_err(cannot)?;
        core.start_workers(Instant::now());
        if let Stage::Broken(why) = &core.stage {
            return Err(Error::new(ErrorKind::Broken, why.clone()));
        }
        let shared = Arc::new(Shared {
            bell: Arc::clone(&core.bell),
            core: Mutex::new(core),
            settings,
            changed: Condvar::new(),
            poller,
            paces: Mutex::default(),
            callbacks: Mutex::default(),
            engine: Mutex::default(),
            inline,
        });
        if shared.inline.is_none() {
            let theirs = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("{}-engine", shared.settings.name));
            let thread = thread.spawn(move || theirs.run_engine()).map_err(cannot)?;
            *shared.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        }
        Ok(shared)
    }

    pub fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock is a bug of ours; the data is as good as it was.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new calls are taken.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] or [`ErrorKind::Broken`].
    pub fn check_open(&self) -> Result<(), Error> {
        match &self.lock().stage {
            Stage::Open => Ok(()),
            Stage::Closed | Stage::Ending => Err(Error::new(ErrorKind::Closed, "the pool is closed")),
            Stage::Broken(why) => Err(Error::new(ErrorKind::Broken, why.clone())),
        }
    }

    /// The pace of a call, the same for all batches of it.
    pub fn pace(&self, call: (u64, u64)) -> Arc<Pace> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(call).or_default())
    }

    /// Gives the pool a chunk to run.
    pub fn submit(&self, chunk: Chunk) {
        if let Some(inline) = &self.inline {
            return inline.run(self, chunk);
        }
        let mut core = self.lock();
        match core.stage.clone() {
            Stage::Open | Stage::Closed => {
                core.submit(chunk);
            }
            Stage::Ending => core.refuse(&chunk, "the pool has ended"),
            Stage::Broken(why) => core.refuse(&chunk, &why),
        }
        self.release(core);
    }

    /// Releases the lock, tells those who wait, and runs what must not run under it.
    pub fn release(&self, mut core: MutexGuard<'_, Core>) {
        let effects = std::mem::take(&mut core.effects);
        if std::mem::take(&mut core.has_news) {
            if core.is_driven {
                POOL_BELL.wake(&*self.bell);
            }
            if core.waiters > 0 {
                self.changed.notify_all();
            }
        }
        drop(core);
        for effect in effects {
            contain(|| match effect {
                Effect::Wake(waker) => waker.wake(),
                Effect::Tell(f) => f(),
                Effect::Call(f, event) => self.call_back(Box::new(move || f(event))),
            });
        }
    }

    /// Runs `f` on the pool's callback thread.
    pub fn call_back(&self, f: Callback) {
        let mut callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        let callbacks = callbacks.get_or_insert_with(|| {
            let (sender, receiver) = channel::<Callback>();
            let thread = std::thread::Builder::new().name(format!("{}-callbacks", self.settings.name));
            // It ends with the sender, which ends with the pool; what is queued by then still runs.
            let thread = thread.spawn(move || {
                for callback in receiver {
                    contain(callback);
                }
            });
            Callbacks { sender, thread: thread.ok() }
        });
        let _ = callbacks.sender.send(f);
    }

    /// Waits until all callbacks have run, unless one of them asks.
    pub fn finish_callbacks(&self) {
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Callbacks { sender, thread: Some(thread) }) = callbacks else { return };
        drop(sender);
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }

    /// Works for the pool until `done` gives something, or `deadline` has passed (then None). With `stay` the caller
    /// comes back at once, and nobody else need look at the lanes meanwhile.
    pub fn drive<T>(
        &self,
        deadline: Option<Instant>,
        stay: bool,
        mut done: impl FnMut(&mut Core) -> Option<T>,
    ) -> Option<T> {
        let mut core = self.lock();
        loop {
            core.pump();
            let result = done(&mut core);
            let is_late = deadline.is_some_and(|d| d <= Instant::now());
            if result.is_some() || is_late {
                if stay && core.waiters == 0 {
                    core.leave_unattended()
                } else {
                    core.hand_over()
                }
                self.release(core);
                return result;
            }
            core = self.wait(core, deadline);
        }
    }

    /// Leaves the lanes to others, after a call that stayed.
    pub fn leave(&self) {
        let mut core = self.lock();
        core.hand_over();
        self.release(core);
    }

    fn wait<'a>(&'a self, mut core: MutexGuard<'a, Core>, deadline: Option<Instant>) -> MutexGuard<'a, Core> {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if !core.effects.is_empty() {
            self.release(core);
            return self.lock();
        }
        if core.is_driven {
            core.waiters += 1;
            if std::mem::take(&mut core.has_news) {
                // What we have collected may be what the driver or another waits for.
                POOL_BELL.wake(&*self.bell);
                self.changed.notify_all();
            }
            // The driver may leave in a moment when nothing moves; then one of us has to take over.
            let left = left.map_or(TAKE_OVER, |left| left.min(TAKE_OVER));
            core = self.changed.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0;
            core.waiters -= 1;
            return core;
        }
        if POOL_BELL.spin(core.slots.len(), || core.has_work()) {
            return core;
        }
        let seen = POOL_BELL.prepare(&*self.bell, mode::FUTEX);
        if core.has_work() {
            POOL_BELL.awake(&*self.bell);
            return core;
        }
        // A worker may write what it likes beside the bell: nobody sleeps for good on its word.
        let timeout = left.into_iter().chain(core.tick()).chain([TAKE_OVER]).min();
        if std::mem::take(&mut core.has_news) && core.waiters > 0 {
            self.changed.notify_all();
        }
        core.is_driven = true;
        drop(core);
        POOL_BELL.sleep(&*self.bell, seen, timeout);
        core = self.lock();
        POOL_BELL.awake(&*self.bell);
        core.is_driven = false;
        if core.waiters > 0 {
            // Should we be done, one of them drives next.
            self.changed.notify_one();
        }
        core
    }

    /// The pool's own thread: deaths, deadlines, standard error, and the lanes while nobody else looks at them.
    fn run_engine(&self) {
        loop {
            let mut core = self.lock();
            let timeout = core.on_clock(Instant::now());
            core.pump();
            core.hand_over();
            let is_over = core.advance_end();
            let (stderr, events) = (std::mem::take(&mut core.stderr), std::mem::take(&mut core.events));
            self.release(core);
            outlet::pass_on(stderr, events);
            if is_over {
                return outlet::flush();
            }
            let Ok(ready) = self.poller.wait(timeout) else {
                // epoll_wait(2) cannot fail but for a signal; without it the pool is blind.
                std::thread::sleep(TICK);
                continue;
            };
            let mut core = self.lock();
            for interest in ready {
                match interest {
                    ON_EVENT => {
                        core.event.clear();
                        core.worker_event.clear();
                    }
                    ON_LEASE => core.read_lease(),
                    worker => {
                        let is_socket = worker & ON_SOCKET != 0;
                        if let Some(at) = core.slots.iter().position(|s| s.worker_id == worker & !ON_SOCKET) {
                            if is_socket { core.read_events(at) } else { core.read_stderr(at) }
                        }
                    }
                }
            }
            self.release(core);
        }
    }

    /// Takes no new calls any more.
    pub fn close(&self) {
        let mut core = self.lock();
        if core.stage == Stage::Open {
            core.stage = Stage::Closed;
            core.event.raise();
        }
        self.release(core);
    }

    /// Ends everything at once.
    pub fn terminate(&self) {
        let mut core = self.lock();
        core.fail_all("the pool was terminated");
        if matches!(core.stage, Stage::Open | Stage::Closed) {
            core.stage = Stage::Ending;
        }
        if let Some(lease) = &core.lease {
            lease.finish();
        }
        core.event.raise();
        self.release(core);
        self.join();
        // What is queued still runs, unheard.
        *self.callbacks.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits for the engine, and so for all workers, to end.
    pub fn join(&self) {
        let mut core = self.lock();
        core.is_joined = true;
        core.event.raise();
        self.release(core);
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(engine) = engine {
            let _ = engine.join();
        }
    }
}

impl Core {
    /// The outcome of a chunk that comes too late.
    fn refuse(&mut self, chunk: &Chunk, why: &str) {
        self.outstanding += u64::from(chunk.count);
        self.bytes += chunk.range.len();
        self.pending.push_back(chunk.clone());
        self.fail_all(why);
    }

    fn read_lease(&mut self) {
        while let Some(event) = self.lease.as_ref().and_then(|lease| lease.receive()) {
            self.on_lease_event(event);
        }
    }

    /// Ends the workers of a pool that has nothing more to do. True once all are gone.
    fn advance_end(&mut self) -> bool {
        if !self.is_finished() {
            return false;
        }
        if self.stage == Stage::Closed {
            self.stage = Stage::Ending;
            for slot in &mut self.slots {
                if matches!(slot.phase, Phase::Running | Phase::Starting) {
                    slot.phase = Phase::Stopping;
                    let _ = slot.send_plain(Frame::plain(FrameKind::Stop));
                }
            }
        }
        self.slots.iter().all(|slot| matches!(slot.phase, Phase::Empty(_) | Phase::Gone))
    }
}

/// Runs what a user has given us. Its panic is printed by the hook, and goes no further: others have nothing to do with it.
fn contain(f: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(f)).map_err(panic_text);
}

/// Puts an event that needs no worker where the batch's caller finds it.
pub(crate) fn deliver_locally(shared: &Shared, batch: &Arc<Batch>, event: Event) {
    let mut core = shared.lock();
    core.deliver_local(batch, event);
    shared.release(core);
}
