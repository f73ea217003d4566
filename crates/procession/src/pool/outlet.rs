//! Passes on what workers say, on standard error and by log events, in a thread of its own: whoever holds
//! `std::io::stderr().lock()`, a reader at the other end that stands still, and a slow subscriber must hold up no pool.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::logging;

/// Pieces that may wait, each of what one look at a worker's pipe or socket gave (64 KiB or 256 events at most).
const MAX_WAITING: usize = 128;
/// How long the end of a pool waits for its workers' last words to be passed on.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Message {
    Text(Vec<u8>),
    Events(Vec<(u32, logging::Event)>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// Bytes, and events, that found no room.
static LOST: AtomicUsize = AtomicUsize::new(0);
static LOST_EVENTS: AtomicUsize = AtomicUsize::new(0);

/// To the thread, once there is text; None if it cannot be started.
static FORWARDER: OnceLock<Option<SyncSender<Message>>> = OnceLock::new();

fn forwarder() -> Option<&'static SyncSender<Message>> {
    let start = || {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let thread = std::thread::Builder::new().name("workers-outlet".to_string());
        thread.spawn(move || forward(&receiver)).ok().map(|_| sender)
    };
    FORWARDER.get_or_init(start).as_ref()
}

fn forward(messages: &Receiver<Message>) {
    for message in messages {
        // There is nobody to tell that standard error is closed.
        match message {
            Message::Text(text) => {
                let _ = io::stderr().write_all(&text);
            }
            Message::Events(events) => {
                // A subscriber that panics is its program's concern, and has said so; the next event may fare better.
                for (pid, event) in events {
                    let _ = catch_unwind(AssertUnwindSafe(|| logging::pass_on(&event, pid)));
                }
            }
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let lost = LOST_EVENTS.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(io::stderr(), "procession: {lost} log events of workers were lost here");
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ =
                writeln!(io::stderr(), "procession: {lost} bytes that workers wrote to standard error were lost here");
        }
    }
}

/// Passes text and events on, each in order; if too much waits already they are lost, and that is told.
pub(crate) fn pass_on(text: Vec<u8>, events: Vec<(u32, logging::Event)>) {
    let (len, count) = (text.len(), events.len());
    if len > 0 && !send(Message::Text(text)) {
        LOST.fetch_add(len, Ordering::Relaxed);
    }
    if count > 0 && !send(Message::Events(events)) {
        LOST_EVENTS.fetch_add(count, Ordering::Relaxed);
    }
}

fn send(message: Message) -> bool {
    forwarder().is_some_and(|forwarder| forwarder.try_send(message).is_ok())
}

/// Waits until what was passed on is written, though not for long.
pub(crate) fn flush() {
    let (done, is_done) = sync_channel(1);
    let forwarder = FORWARDER.get().and_then(Option::as_ref);
    if forwarder.is_some_and(|forwarder| forwarder.try_send(Message::Flush(done)).is_ok()) {
        let _ = is_done.recv_timeout(LAST_WORDS);
    }
}
