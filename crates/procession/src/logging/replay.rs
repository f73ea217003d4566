//! The program's side: events of workers as events of its own, with the worker's target, level and line, and with the
//! fields `worker_pid`, `task`, `span` and `fields` beside the message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Kind;
use tracing_core::subscriber::Interest;
use tracing_core::{Event as TracingEvent, Level, LevelFilter, Metadata, dispatcher};

use super::{Event, Source};

const FIELDS: &[&str] = &["message", "worker_pid", "task", "span", "fields"];
/// So many places of events get a callsite of their own. The others, which only a hostile worker has, share one.
const MAX_SITES: usize = 4096;

/// What the program wants to hear.
pub(super) fn wanted() -> u32 {
    let tracing = if dispatcher::has_been_set() { LevelFilter::current().into_level() } else { None };
    u32::from(tracing.map_or(0, level_number)) | (log::max_level() as u32) << 4
}

/// 1 (error) to 5 (trace).
pub(super) fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

pub(super) fn pass_on(event: &Event, worker_pid: u32) {
    if event.lost > 0 {
        let text =
            format!("{} log events of this worker were lost: they came faster than they were passed on", event.lost);
        let lost = Event { level: 2, target: "procession".to_string(), message: text, file: None, ..event.clone() };
        emit(&Event { line: None, fields: String::new(), span: String::new(), task: None, ..lost }, worker_pid);
    }
    emit(event, worker_pid);
}

fn emit(event: &Event, worker_pid: u32) {
    match event.source {
        Source::Tracing => emit_tracing(event, worker_pid),
        Source::Log => emit_log(event, worker_pid),
    }
}

fn emit_tracing(event: &Event, worker_pid: u32) {
    let site = Site::of(event);
    let metadata = site.metadata();
    if site.is_off.load(Ordering::Relaxed) || *metadata.level() > LevelFilter::current() {
        return;
    }
    dispatcher::get_default(|dispatch| {
        if !dispatch.enabled(metadata) {
            return;
        }
        let mut names = metadata.fields().iter();
        let fields: [_; FIELDS.len()] = std::array::from_fn(|_| names.next());
        let [Some(message), Some(pid), Some(task), Some(span), Some(others)] = &fields else { return };
        let text = |text: &'_ str| (!text.is_empty()).then(|| text.to_string());
        let (span_text, other_text) = (text(&event.span), text(&event.fields));
        let task_number = event.task;
        let values: [(&_, Option<&dyn Value>); FIELDS.len()] = [
            (message, Some(&event.message)),
            (pid, Some(&worker_pid)),
            (task, task_number.as_ref().map(|task| task as &dyn Value)),
            (span, span_text.as_ref().map(|text| text as &dyn Value)),
            (others, other_text.as_ref().map(|text| text as &dyn Value)),
        ];
        dispatch.event(&TracingEvent::new(metadata, &metadata.fields().value_set(&values)));
    });
}

fn emit_log(event: &Event, worker_pid: u32) {
    let levels = [log::Level::Error, log::Level::Warn, log::Level::Info, log::Level::Debug, log::Level::Trace];
    let Some(level) = usize::from(event.level).checked_sub(1).and_then(|at| levels.get(at)) else { return };
    let task = event.task.map_or_else(String::new, |task| format!(", task {task}"));
    log::logger().log(
        &log::Record::builder()
            .level(*level)
            .target(&event.target)
            .file(event.file.as_deref())
            .line(event.line)
            .args(format_args!("[worker {worker_pid}{task}] {}", event.message))
            .build(),
    );
}

/// A place in the program where a worker's events come from. There are as many as the program has such places, so that
/// they need not be freed; subscribers know them by their address.
struct Site {
    metadata: OnceLock<Metadata<'static>>,
    /// No subscriber wants its events.
    is_off: AtomicBool,
}

type Place = (u8, String, Option<String>, Option<u32>);

impl Site {
    fn of(event: &Event) -> &'static Site {
        static SITES: Mutex<Option<HashMap<Place, &'static Site>>> = Mutex::new(None);
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let sites = sites.get_or_insert_default();
        let place = (event.level, event.target.clone(), event.file.clone(), event.line);
        let place = match sites.len() < MAX_SITES || sites.contains_key(&place) {
            true => place,
            false => (event.level.clamp(1, 5), "procession".to_string(), None, None),
        };
        sites.entry(place.clone()).or_insert_with(|| Site::register(place))
    }

    fn register((level, target, file, line): Place) -> &'static Site {
        let leak = |text: String| &*Box::leak(text.into_boxed_str());
        let level = match level {
            0 | 1 => Level::ERROR,
            2 => Level::WARN,
            3 => Level::INFO,
            4 => Level::DEBUG,
            _ => Level::TRACE,
        };
        let site: &'static Site =
            Box::leak(Box::new(Site { metadata: OnceLock::new(), is_off: AtomicBool::new(false) }));
        let fields = FieldSet::new(FIELDS, Identifier(site));
        let metadata =
            Metadata::new("event of a worker", leak(target), level, file.map(leak), line, None, fields, Kind::EVENT);
        let _ = site.metadata.set(metadata);
        callsite::register(site);
        site
    }
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        self.is_off.store(interest.is_never(), Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        static NONE: Metadata<'static> = Metadata::new(
            "event of a worker",
            "procession",
            Level::TRACE,
            None,
            None,
            None,
            FieldSet::new(&[], Identifier(&NOWHERE)),
            Kind::EVENT,
        );
        static NOWHERE: Site = Site { metadata: OnceLock::new(), is_off: AtomicBool::new(true) };
        // Set before anybody else knows the site.
        self.metadata.get().unwrap_or(&NONE)
    }
}
