//! A worker of a pool: takes frames from its lane, runs their calls, puts the results back.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use procession_os::{Call, Channel, Notifier, Plain, Received, Segment, Shim, WithContext};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::TaskError;
use crate::confinement::Confinement;
use crate::handle;
use crate::lane::{Claim, Lane, PIECE, POOL_BELL, RESULTS, TASKS, WORKER_BELL};
use crate::logging;
use crate::ring::{Consumer, Corrupt, Producer, mode};
use crate::wire::{self, Bytes, FRAME_HEADER, Fault, Frame, FrameKind, RecordKind};

/// Where a worker's results go.
pub(crate) enum Link {
    Lane(LaneLink),
    /// Records are kept, for a pool without processes.
    Kept(Vec<(RecordKind, Vec<u8>)>),
}

impl Link {
    /// Begins item `seq`; false if it was taken back.
    #[inline]
    fn claim(&self, seq: u64) -> bool {
        match self {
            Link::Lane(link) => link.lane.claim(seq) == Claim::Granted,
            Link::Kept(_) => true,
        }
    }

    /// Hands over a record. `is_last` tells that no other follows at once.
    #[inline]
    fn publish(&mut self, kind: RecordKind, payload: &[u8], is_last: bool) {
        match self {
            Link::Lane(link) => link.publish(kind, payload, is_last),
            Link::Kept(records) => records.push((kind, payload.to_vec())),
        }
    }

    /// No record follows at once after all.
    fn flush(&mut self) {
        if let Link::Lane(link) = self {
            link.flush();
        }
    }
}

/// What every call of a pool gets: the items to run, and where results go.
pub(crate) struct Tasks {
    pub link: Link,
    items: Items,
    /// The last result, encoded; kept to reuse its memory.
    encoded: Vec<u8>,
    contexts: HashMap<u64, Context>,
    context: u64,
    /// No result may have a longer encoding.
    pub max_result_bytes: usize,
    /// What the initializer returned.
    state: Option<&'static (dyn Any + Send + Sync)>,
}

/// A context as it came, and as a value once a call has needed it.
struct Context {
    bytes: Vec<u8>,
    handles: Vec<OwnedFd>,
    value: Option<Arc<dyn Any>>,
}

/// The payload of one frame, and how far it is done.
struct Items {
    payload: Vec<u8>,
    /// Those of the only item.
    handles: Vec<OwnedFd>,
    is_single: bool,
    at: usize,
    left: u32,
    seq: u64,
    /// Number of the next item in its call.
    index: u64,
}

/// The text of a failure may be this long, in bytes, even if results may not.
pub(crate) const MAX_FAULT: usize = 1 << 20;

thread_local! {
    static STATE: Cell<Option<&'static (dyn Any + Send + Sync)>> = const { Cell::new(None) };
    /// What the panic hook saw last in this thread, while a task runs.
    static PANIC: RefCell<Option<(String, Option<String>)>> = const { RefCell::new(None) };
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// The value that this worker's [`initializer`](crate::PoolBuilder::initializer) returned, for the task that runs.
///
/// None outside of a task, in threads that a task has started (pass them the reference), and if the pool has no
/// initializer or one of another type.
///
/// # Examples
/// ```
/// # procession::init();
/// fn connect(_: ()) -> String {
///     "connected".to_string()
/// }
/// fn use_it(n: u32) -> String {
///     format!("{} {n}", procession::worker_state::<String>().unwrap())
/// }
/// let pool = procession::Pool::builder().workers(1).initializer(connect, ()).build()?;
/// assert_eq!(pool.apply(use_it, 7)?, "connected 7");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn worker_state<T: Send + Sync + 'static>() -> Option<&'static T> {
    STATE.get()?.downcast_ref()
}

impl Tasks {
    pub fn new(link: Link) -> Tasks {
        let items =
            Items { payload: Vec::new(), handles: Vec::new(), is_single: false, at: 0, left: 0, seq: 0, index: 0 };
        Tasks {
            link,
            items,
            encoded: Vec::new(),
            contexts: HashMap::new(),
            context: 0,
            max_result_bytes: usize::MAX,
            state: None,
        }
    }

    /// What the initializer returned.
    pub fn state(&self) -> Option<&'static (dyn Any + Send + Sync)> {
        self.state
    }

    /// Uses what an initializer returned earlier.
    pub fn set_state(&mut self, state: Option<&'static (dyn Any + Send + Sync)>) {
        self.state = state;
    }

    /// Does what one frame asks for. False if the worker has to end because it cannot be set up.
    pub fn handle(&mut self, frame: Frame, payload: Vec<u8>, handles: Vec<OwnedFd>) -> io::Result<bool> {
        match frame.kind {
            FrameKind::Chunk | FrameKind::Single => {
                let is_single = frame.kind == FrameKind::Single;
                self.items =
                    Items { payload, handles, is_single, at: 0, left: frame.count, seq: frame.seq, index: frame.first };
                self.context = frame.context;
                let outer = STATE.replace(self.state);
                let ran = self.run(frame.call);
                STATE.set(outer);
                ran?;
            }
            FrameKind::Context => {
                self.contexts.insert(frame.context, Context { bytes: payload, handles, value: None });
            }
            FrameKind::Forget => {
                self.contexts.remove(&frame.context);
            }
            FrameKind::Initialize => {
                self.items = Items { payload, handles, is_single: true, at: 0, left: 1, seq: 0, index: 0 };
                self.run(frame.call)?;
                return Ok(self.state.is_some());
            }
            FrameKind::Confine => {
                let confinement = Confinement::from_bytes(&payload)?;
                self.max_result_bytes = usize::try_from(confinement.max_result_bytes).unwrap_or(usize::MAX);
                if let Err(e) = confinement.apply() {
                    self.publish_failure(RecordKind::NotReady, Fault::Failed(crate::error::describe(&e)));
                    return Ok(false);
                }
            }
            FrameKind::Resume | FrameKind::Stop | FrameKind::Begin => {}
        }
        Ok(true)
    }

    fn run(&mut self, call: (u64, u64)) -> io::Result<()> {
        let call = Call::<Tasks>::from_raw(call)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a task names no function of this program"))?;
        let outer = IN_TASK.replace(true);
        call.run(self);
        // What an item has left unread, because its context is none, say, must not stay open.
        self.items.handles.clear();
        logging::set_task(None);
        IN_TASK.set(outer);
        Ok(())
    }

    /// The number of the next item to run, once it is ours.
    #[inline]
    fn begin(&mut self) -> Option<Item> {
        let items = &mut self.items;
        if items.left == 0 {
            return None;
        }
        let item = if items.is_single {
            Item::Whole
        } else {
            let (start, end) = wire::next_item(&items.payload, items.at)?;
            items.at = end;
            Item::Part(start, end)
        };
        if !self.link.claim(items.seq) {
            items.left = 0;
            self.link.flush();
            return None;
        }
        logging::set_task(Some(items.index));
        items.left -= 1;
        items.seq += 1;
        items.index += 1;
        Some(item)
    }

    #[inline]
    fn argument<A: DeserializeOwned + 'static>(&mut self, item: Item) -> Result<A, Fault> {
        match item {
            Item::Whole => {
                let (payload, handles) =
                    (std::mem::take(&mut self.items.payload), std::mem::take(&mut self.items.handles));
                wire::decode_argument(Bytes::Owned(payload), handles)
            }
            Item::Part(start, end) => wire::decode(Bytes::Borrowed(&self.items.payload[start..end])),
        }
        .map_err(Fault::BadArgument)
    }

    /// Runs the items of the frame, one by one, and publishes their results, which `f` puts into what it gets.
    #[inline]
    fn run_each(&mut self, mut f: impl FnMut(&mut Tasks, Item, &mut Vec<u8>) -> Result<(), Fault>) {
        let mut encoded = std::mem::take(&mut self.encoded);
        PANIC.take();
        // Once for all items, and once more after each that panics.
        while self.items.left > 0 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                while let Some(item) = self.begin() {
                    recycle(&mut encoded);
                    match f(self, item, &mut encoded) {
                        Ok(()) if encoded.len() > self.max_result_bytes => self.publish_too_long(encoded.len()),
                        Ok(()) => self.link.publish(RecordKind::Done, &encoded, self.items.left == 0),
                        Err(fault) => self.publish_fault(fault),
                    }
                }
            }));
            match caught {
                Ok(()) => break,
                Err(payload) => self.publish_fault(describe_panic(payload)),
            }
        }
        self.encoded = encoded;
    }

    #[cold]
    fn publish_too_long(&mut self, len: usize) {
        let max = self.max_result_bytes;
        let message = format!("it has {len} bytes, more than the {max} of PoolBuilder::max_result");
        self.publish_fault(Fault::BadResult(message));
    }

    #[cold]
    fn publish_fault(&mut self, fault: Fault) {
        self.publish_failure(RecordKind::Fault, fault);
    }

    fn publish_failure(&mut self, kind: RecordKind, fault: Fault) {
        let mut encoded = Vec::new();
        // Four strings at most; postcard cannot fail on them.
        let _ = wire::encode(fault, &mut encoded);
        let len = encoded.len();
        if len > self.max_result_bytes.max(MAX_FAULT) {
            encoded.clear();
            let _ = wire::encode(Fault::Failed(format!("its message has {len} bytes")), &mut encoded);
        }
        self.link.publish(kind, &encoded, self.items.left == 0);
    }

    fn context<C: DeserializeOwned + 'static>(&mut self) -> Result<Arc<dyn Any>, Fault> {
        let missing = || Fault::BadArgument("its context was never sent".to_string());
        let context = self.contexts.get_mut(&self.context).ok_or_else(missing)?;
        if let Some(value) = &context.value {
            return Ok(Arc::clone(value));
        }
        let handles = std::mem::take(&mut context.handles);
        let decoded = handle::with_received(handles, || wire::decode_shared::<C>(&context.bytes));
        let value: Arc<dyn Any> = Arc::new(decoded.map_err(|e| Fault::BadArgument(format!("its context: {e}")))?);
        context.bytes = Vec::new();
        context.value = Some(Arc::clone(&value));
        Ok(value)
    }
}

/// Where the argument of one item lies in the payload.
#[derive(Clone, Copy)]
enum Item {
    Whole,
    Part(usize, usize),
}

/// `fn(A) -> R`
pub(crate) struct Run;
impl<A: DeserializeOwned + 'static, R: Serialize + 'static> Shim<Plain<A, R>> for Run {
    type Context = Tasks;
    fn run(function: Plain<A, R>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let result = (function.0)(tasks.argument(item)?);
            wire::encode(result, out).map_err(Fault::BadResult)
        });
    }
}

/// The fault of a function that returned this error.
fn returned<E: std::fmt::Display + 'static>(error: &E) -> Fault {
    let message = format!("{error:#}");
    match (error as &dyn Any).downcast_ref::<TaskError>() {
        Some(error) if error.is_retryable() => Fault::Passing(message),
        _ => Fault::Failed(message),
    }
}

/// `fn(A) -> Result<R, E>` whose error is the task's failure.
pub(crate) struct TryRun;
impl<A, R, E> Shim<Plain<A, Result<R, E>>> for TryRun
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: std::fmt::Display + 'static,
{
    type Context = Tasks;
    fn run(function: Plain<A, Result<R, E>>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| match (function.0)(tasks.argument(item)?) {
            Ok(result) => wire::encode(result, out).map_err(Fault::BadResult),
            Err(error) => Err(returned(&error)),
        });
    }
}

impl<C, A, R> Shim<WithContext<C, A, R>> for Run
where
    C: DeserializeOwned + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    type Context = Tasks;
    fn run(function: WithContext<C, A, R>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let context = tasks.context::<C>()?;
            let Some(context) = context.downcast_ref::<C>() else {
                return Err(Fault::BadArgument("its context has another type".to_string()));
            };
            let result = (function.0)(context, tasks.argument(item)?);
            wire::encode(result, out).map_err(Fault::BadResult)
        });
    }
}

impl<C, A, R, E> Shim<WithContext<C, A, Result<R, E>>> for TryRun
where
    C: DeserializeOwned + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
    E: std::fmt::Display + 'static,
{
    type Context = Tasks;
    fn run(function: WithContext<C, A, Result<R, E>>, tasks: &mut Tasks) {
        tasks.run_each(|tasks, item, out| {
            let context = tasks.context::<C>()?;
            let Some(context) = context.downcast_ref::<C>() else {
                return Err(Fault::BadArgument("its context has another type".to_string()));
            };
            match (function.0)(context, tasks.argument(item)?) {
                Ok(result) => wire::encode(result, out).map_err(Fault::BadResult),
                Err(error) => Err(returned(&error)),
            }
        });
    }
}

/// The initializer: keeps what it returns for the life of the worker.
pub(crate) struct Initialize;
impl<A, T> Shim<Plain<A, T>> for Initialize
where
    A: DeserializeOwned + 'static,
    T: Send + Sync + 'static,
{
    type Context = Tasks;
    fn run(function: Plain<A, T>, tasks: &mut Tasks) {
        match catch(|| Ok((function.0)(tasks.argument::<A>(Item::Whole)?))) {
            Ok(state) => tasks.state = Some(Box::leak(Box::new(state))),
            Err(fault) => tasks.publish_failure(RecordKind::NotReady, fault),
        }
    }
}

/// Empties a buffer of results; what a large one left is not kept.
#[inline]
fn recycle(encoded: &mut Vec<u8>) {
    encoded.clear();
    if encoded.capacity() > 1 << 20 {
        *encoded = Vec::new();
    }
}

/// Keeps the panics of tasks for their outcome instead of printing them. Those of other threads are printed as ever.
pub(crate) fn catch_panics() {
    // Without unwinding the process ends in the hook's wake, so the message has to be printed.
    if cfg!(panic = "abort") {
        return;
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_TASK.get() {
                return default(info);
            }
            let backtrace = Backtrace::capture();
            let stack = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
            let location = info.location().map(ToString::to_string).unwrap_or_default();
            PANIC.with_borrow_mut(|panic| *panic = Some((location, stack)));
        }));
    });
}

/// Runs `f`; its panic is a fault, and is not printed if [`catch_panics`] was called.
pub(crate) fn catch<T>(f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    PANIC.take();
    let outer = IN_TASK.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(f));
    IN_TASK.set(outer);
    caught.unwrap_or_else(|payload| Err(describe_panic(payload)))
}

/// What a panic says, if that is text.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> Option<String> {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return Some(*text),
        Err(payload) => payload,
    };
    match payload.downcast::<&str>() {
        Ok(text) => Some(text.to_string()),
        Err(payload) => {
            // Its drop may panic again.
            std::mem::forget(payload);
            None
        }
    }
}

fn describe_panic(payload: Box<dyn Any + Send>) -> Fault {
    let message = panic_text(payload).unwrap_or_else(|| "a value that is no text".to_string());
    let (location, backtrace) = PANIC.take().unwrap_or_default();
    Fault::Panicked { message, location, backtrace }
}

/// The worker's side of its lane.
pub(crate) struct LaneLink {
    lane: Arc<Lane>,
    bell: Arc<PoolBell>,
    results: Producer,
    /// The head of a long record; kept to reuse its memory.
    head: Vec<u8>,
    /// Bytes published since the pool was last woken.
    unannounced: usize,
}

impl LaneLink {
    #[inline]
    fn publish(&mut self, kind: RecordKind, payload: &[u8], is_last: bool) {
        let header = kind.header(payload.len());
        self.unannounced += payload.len() + 1;
        if header >= 0x80 || !self.results.put_short(&self.lane.memory, header as u8, payload) {
            self.stream(header, payload);
        }
        if is_last || self.unannounced > RESULTS.capacity / 2 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.unannounced = 0;
        self.bell.ring();
    }
}

impl LaneLink {
    /// Publishes a record piece by piece, as room comes.
    fn stream(&mut self, header: u64, payload: &[u8]) {
        self.head.clear();
        wire::put_varint(header, &mut self.head);
        let room = self.wait_for_room(self.head.len()) - self.head.len();
        let (mut now, mut later) = payload.split_at(payload.len().min(room).min(PIECE));
        self.results.stage(&self.lane.memory, &self.head);
        loop {
            self.results.stage(&self.lane.memory, now);
            self.results.publish(&self.lane.memory);
            if later.is_empty() {
                return;
            }
            self.bell.ring();
            let room = self.wait_for_room(1);
            (now, later) = later.split_at(later.len().min(room).min(PIECE));
        }
    }

    /// Waits until there is room for `least` bytes or more.
    fn wait_for_room(&mut self, least: usize) -> usize {
        loop {
            let room = self.room();
            if room >= least {
                return room;
            }
            let seen = WORKER_BELL.prepare(&self.lane.memory, mode::FUTEX);
            let room = self.room();
            if room < least {
                WORKER_BELL.sleep(&self.lane.memory, seen, None);
            }
            WORKER_BELL.awake(&self.lane.memory);
        }
    }

    fn room(&mut self) -> usize {
        match self.results.room(&self.lane.memory, RESULTS.capacity / 4) {
            Ok(room) => room,
            // A program that breaks the protocol has lost its worker.
            Err(Corrupt) => std::process::exit(125),
        }
    }
}

/// Runs a worker of a pool until it is told to stop; returns its exit code.
pub(crate) fn work([lane, pool, event, stderr, channel]: [OwnedFd; 5]) -> io::Result<i32> {
    procession_os::redirect_stderr(stderr.as_fd())?;
    let shared = Arc::new(Lane { memory: Segment::map(&lane)? });
    shared.check()?;
    shared.set_arrived();
    let bell = Arc::new(PoolBell { pool: Segment::map(&pool)?, event: Notifier::from_fd(event) });
    // Programs that a task starts, and whatever it forks, get none of these.
    drop((lane, pool, stderr));
    catch_panics();
    let results = Producer::new(RESULTS);
    let link =
        LaneLink { lane: Arc::clone(&shared), bell: Arc::clone(&bell), results, head: Vec::new(), unannounced: 0 };
    let mut tasks = Tasks::new(Link::Lane(link));
    let channel = Arc::new(Channel::from_fd(channel)?);
    logging::forward(shared.wanted_events(), &channel);
    let mut inbox = Inbox { lane: Arc::clone(&shared), bell, ring: Consumer::new(TASKS), channel };
    loop {
        let (frame, payload) = inbox.next()?;
        let handles = if frame.handles > 0 { inbox.handles()? } else { Vec::new() };
        match frame.kind {
            FrameKind::Stop => return Ok(0),
            FrameKind::Resume => shared.resume(frame.seq),
            _ => {
                if !tasks.handle(frame, payload, handles)? {
                    return Ok(125);
                }
            }
        }
        // The first two frames are Confine, and Initialize or Begin.
        if frame.kind != FrameKind::Confine && !shared.is_ready() {
            shared.set_ready();
            inbox.bell.ring();
        }
    }
}

/// Wakes the pool, however it sleeps.
struct PoolBell {
    pool: Segment,
    event: Notifier,
}

impl PoolBell {
    fn ring(&self) {
        if POOL_BELL.ring(&self.pool) {
            self.event.raise();
        }
    }
}

/// The worker's side of the tasks' ring.
struct Inbox {
    lane: Arc<Lane>,
    bell: Arc<PoolBell>,
    ring: Consumer,
    /// By which the handles of frames come.
    channel: Arc<Channel>,
}

impl Inbox {
    fn next(&mut self) -> io::Result<(Frame, Vec<u8>)> {
        let mut header = Vec::with_capacity(FRAME_HEADER);
        self.read(FRAME_HEADER, &mut header)?;
        let frame = Frame::parse(&header).ok_or(io::ErrorKind::InvalidData)?;
        let len = usize::try_from(frame.len).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut payload = Vec::new();
        payload.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if len >= 4 << 20 {
            procession_os::advise_huge_pages(&mut payload);
        }
        self.read(len, &mut payload)?;
        Ok((frame, payload))
    }

    /// What was sent beside a frame that says so: it was sent before the frame.
    fn handles(&self) -> io::Result<Vec<OwnedFd>> {
        match self.channel.receive()? {
            Received::Message(_, fds) => Ok(fds),
            Received::Empty | Received::Closed => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Moves the next `len` bytes to the end of `out`, as they come.
    fn read(&mut self, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let memory = &self.lane.memory;
        let mut left = len;
        while left > 0 {
            let mut available = self.ring.available(memory).map_err(|Corrupt| io::ErrorKind::InvalidData)?;
            if available == 0 && !WORKER_BELL.spin(1, || self.ring.available(memory) != Ok(0)) {
                let seen = WORKER_BELL.prepare(memory, mode::FUTEX);
                available = self.ring.available(memory).map_err(|Corrupt| io::ErrorKind::InvalidData)?;
                if available == 0 {
                    WORKER_BELL.sleep(memory, seen, None);
                }
                WORKER_BELL.awake(memory);
            }
            let now = available.min(left).min(PIECE);
            self.ring.take(memory, now, out);
            left -= now;
            if now > 0 && self.lane.wants_room() {
                self.bell.ring();
            }
        }
        Ok(())
    }
}
