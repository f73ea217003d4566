//! What the calls of a worker run on: the items of a frame, contexts, the value of the initializer.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use procession_os::Call;
use serde::de::DeserializeOwned;

use super::link::Link;
use crate::confinement::Confinement;
use crate::handle::{self, Received};
use crate::logging;
use crate::panics::catch;
use crate::wire::{self, Bytes, Fault, Frame, FrameKind, RecordKind};

thread_local! {
    static STATE: Cell<Option<&'static (dyn Any + Send + Sync)>> = const { Cell::new(None) };
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
    pub state: Option<&'static (dyn Any + Send + Sync)>,
}

/// A context as it came, and as a value once a call has needed it.
struct Context {
    bytes: Vec<u8>,
    handles: Received,
    value: Option<Arc<dyn Any>>,
}

/// The payload of one frame, and how far it is done.
struct Items {
    payload: Vec<u8>,
    handles: Received,
    is_single: bool,
    at: usize,
    left: u32,
    seq: u64,
    /// Number of the next item in its call.
    index: u64,
}

/// The text of a failure may be this long, in bytes, even if results may not.
pub(crate) const MAX_FAULT: usize = 1 << 20;

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
    pub fn handle(&mut self, frame: Frame, payload: Vec<u8>, handles: Received) -> io::Result<bool> {
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
        call.run(self);
        // What an item has left unread, because its context is none, say, must not stay open.
        self.items.handles.clear();
        logging::set_task(None);
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
    pub fn argument<A: DeserializeOwned + 'static>(&mut self, item: Item) -> Result<A, Fault> {
        let Items { payload, handles, .. } = &mut self.items;
        match item {
            Item::Whole => {
                // What the only item does not take out is closed before it runs.
                wire::decode_item(Bytes::Owned(std::mem::take(payload)), &mut std::mem::take(handles))
            }
            Item::Part(start, end) => wire::decode_item(Bytes::Borrowed(&payload[start..end]), handles),
        }
        .map_err(Fault::BadArgument)
    }

    /// Runs the items of the frame, one by one, and publishes their results, which `f` puts into what it gets.
    #[inline]
    pub fn run_each(&mut self, mut f: impl FnMut(&mut Tasks, Item, &mut Vec<u8>) -> Result<(), Fault>) {
        let mut encoded = std::mem::take(&mut self.encoded);
        // Once for all items, and once more after each that panics.
        while self.items.left > 0 {
            let caught = catch(|| {
                while let Some(item) = self.begin() {
                    recycle(&mut encoded);
                    match f(self, item, &mut encoded) {
                        Ok(()) if encoded.len() > self.max_result_bytes => self.publish_too_long(encoded.len()),
                        Ok(()) => self.link.publish(RecordKind::Done, &encoded, self.items.left == 0),
                        Err(fault) => self.publish_fault(fault),
                    }
                }
                Ok(())
            });
            match caught {
                Ok(()) => break,
                Err(fault) => self.publish_fault(fault),
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

    pub fn publish_failure(&mut self, kind: RecordKind, fault: Fault) {
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

    pub fn context<C: DeserializeOwned + 'static>(&mut self) -> Result<Arc<dyn Any>, Fault> {
        let missing = || Fault::BadArgument("its context was never sent".to_string());
        let context = self.contexts.get_mut(&self.context).ok_or_else(missing)?;
        if let Some(value) = &context.value {
            return Ok(Arc::clone(value));
        }
        let mut handles = std::mem::take(&mut context.handles);
        let decoded = handle::with_shared(&mut handles, || wire::decode_shared::<C>(&context.bytes));
        let value: Arc<dyn Any> = Arc::new(decoded.map_err(|e| Fault::BadArgument(format!("its context: {e}")))?);
        context.bytes = Vec::new();
        context.value = Some(Arc::clone(&value));
        Ok(value)
    }
}

/// Where the argument of one item lies in the payload.
#[derive(Clone, Copy)]
pub(crate) enum Item {
    Whole,
    Part(usize, usize),
}

/// Empties a buffer of results; what a large one left is not kept.
#[inline]
fn recycle(encoded: &mut Vec<u8>) {
    encoded.clear();
    if encoded.capacity() > 1 << 20 {
        *encoded = Vec::new();
    }
}
