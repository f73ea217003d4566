//! The worker's side: a subscriber and a logger that send.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use procession_os::Channel;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event as TracingEvent, LevelFilter, Metadata, Subscriber};

use super::spans::Spans;
use super::{Event, MAX_TEXT, Source};

thread_local! {
    /// The task that this thread runs.
    pub(super) static TASK: Cell<Option<u64>> = const { Cell::new(None) };
    /// An event is being sent: what that itself would log is not for the same way.
    static IS_SENDING: Cell<bool> = const { Cell::new(false) };
}

/// Where events go.
struct Sender {
    channel: Arc<Channel>,
    /// Events that found no room since the last one that did.
    lost: Arc<AtomicU64>,
}

impl Sender {
    fn send(&self, mut event: Event) {
        if IS_SENDING.replace(true) {
            return;
        }
        event.lost = self.lost.swap(0, Ordering::Relaxed);
        event.task = TASK.get();
        let sent = postcard::to_stdvec(&event).is_ok_and(|bytes| self.channel.try_send(&bytes, &[]).is_ok());
        if !sent {
            self.lost.fetch_add(event.lost + 1, Ordering::Relaxed);
        }
        IS_SENDING.set(false);
    }
}

/// Sends from now on what the program wants to hear. A subscriber or logger that this process has already stays.
pub(super) fn install(wanted: u32, channel: &Arc<Channel>) {
    let lost = Arc::new(AtomicU64::new(0));
    let sender = || Sender { channel: Arc::clone(channel), lost: Arc::clone(&lost) };
    let (tracing, log) = (wanted & 0xf, wanted >> 4 & 0xf);
    if tracing > 0 {
        let forward = Forward { sender: sender(), most: level_filter(tracing), spans: Spans::default() };
        let _ = tracing_core::dispatcher::set_global_default(Dispatch::new(forward));
    }
    if log > 0 && log::set_boxed_logger(Box::new(Logger(sender()))).is_ok() {
        log::set_max_level(log::LevelFilter::iter().nth(log as usize).unwrap_or(log::LevelFilter::Trace));
    }
}

fn level_filter(level: u32) -> LevelFilter {
    match level {
        0 => LevelFilter::OFF,
        1 => LevelFilter::ERROR,
        2 => LevelFilter::WARN,
        3 => LevelFilter::INFO,
        4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// The subscriber of a worker.
struct Forward {
    sender: Sender,
    most: LevelFilter,
    spans: Spans,
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.spans.open(attributes)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.spans.record(span, values);
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &TracingEvent<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        self.sender.send(Event {
            source: Source::Tracing,
            level: super::replay::level_number(*metadata.level()),
            target: metadata.target().to_string(),
            file: metadata.file().map(str::to_string),
            line: metadata.line(),
            message: cut(text.message),
            fields: cut(text.fields),
            span: if event.is_root() { String::new() } else { cut(self.spans.path(event.parent())) },
            task: None,
            lost: 0,
        });
    }

    fn enter(&self, span: &Id) {
        self.spans.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.spans.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.spans.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.spans.close(&span)
    }

    fn current_span(&self) -> Current {
        self.spans.current()
    }
}

/// The logger of a worker.
struct Logger(Sender);

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.0.send(Event {
            source: Source::Log,
            level: record.level() as u8,
            target: record.target().to_string(),
            file: record.file().map(str::to_string),
            line: record.line(),
            message: cut(record.args().to_string()),
            fields: String::new(),
            span: String::new(),
            task: None,
            lost: 0,
        });
    }

    fn flush(&self) {}
}

/// The values of an event or a span as text.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub message: String,
    /// All others, as `name=value`.
    pub fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // What a value says when it is written is its own business; that it fails is ours.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => {
                let gap = if self.fields.is_empty() { "" } else { " " };
                write!(self.fields, "{gap}{name}={value:?}")
            }
        };
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT / 2 {
        let end = (0..=MAX_TEXT / 2).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
    text
}
