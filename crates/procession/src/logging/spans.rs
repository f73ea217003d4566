//! The spans of a worker: which are open, and which a thread is in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_core::Metadata;
use tracing_core::span::{Attributes, Current, Id, Record};

use super::forward::Text;

thread_local! {
    /// Those that this thread has entered, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// All open spans.
#[derive(Debug, Default)]
pub(super) struct Spans(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    spans: HashMap<u64, Span>,
}

#[derive(Debug)]
struct Span {
    metadata: &'static Metadata<'static>,
    fields: String,
    parent: Option<u64>,
    handles: usize,
}

impl Spans {
    fn open_spans(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text::default();
        attributes.record(&mut text);
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_root() => None,
            None => innermost(),
        };
        let mut open = self.open_spans();
        if let Some(parent) = parent.and_then(|parent| open.spans.get_mut(&parent)) {
            // A child keeps it open.
            parent.handles += 1;
        }
        open.last += 1;
        let id = open.last;
        open.spans.insert(id, Span { metadata: attributes.metadata(), fields: text.fields, parent, handles: 1 });
        Id::from_u64(id)
    }

    pub fn record(&self, span: &Id, values: &Record<'_>) {
        let mut text = Text::default();
        values.record(&mut text);
        if let Some(span) = self.open_spans().spans.get_mut(&span.into_u64()) {
            if !span.fields.is_empty() && !text.fields.is_empty() {
                span.fields.push(' ');
            }
            span.fields.push_str(&text.fields);
        }
    }

    /// The names and fields of a span and those around it: `outer{a=1}:inner`. Without one given, of the thread's.
    pub fn path(&self, span: Option<&Id>) -> String {
        let mut at = span.map(Id::into_u64).or_else(innermost);
        let open = self.open_spans();
        let mut names = Vec::new();
        while let Some(span) = at.and_then(|id| open.spans.get(&id)) {
            let name = span.metadata.name();
            names.push(if span.fields.is_empty() { name.to_string() } else { format!("{name}{{{}}}", span.fields) });
            at = span.parent;
        }
        names.reverse();
        names.join(":")
    }

    pub fn enter(&self, span: &Id) {
        // In the destructor of another thread-local value it may be gone.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(span.into_u64()));
    }

    pub fn exit(&self, span: &Id) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(at);
            }
        });
    }

    pub fn clone_span(&self, span: &Id) -> Id {
        if let Some(span) = self.open_spans().spans.get_mut(&span.into_u64()) {
            span.handles += 1;
        }
        span.clone()
    }

    /// True if that was its last handle.
    pub fn close(&self, span: &Id) -> bool {
        let mut open = self.open_spans();
        let mut at = Some(span.into_u64());
        let mut is_closed = false;
        while let Some(id) = at {
            let Some(span) = open.spans.get_mut(&id) else { break };
            span.handles = span.handles.saturating_sub(1);
            if span.handles > 0 {
                break;
            }
            is_closed = true;
            at = open.spans.remove(&id).and_then(|span| span.parent);
        }
        is_closed
    }

    pub fn current(&self) -> Current {
        let open = self.open_spans();
        match innermost().and_then(|id| Some((id, open.spans.get(&id)?))) {
            Some((id, span)) => Current::new(Id::from_u64(id), span.metadata),
            None => Current::none(),
        }
    }
}

fn innermost() -> Option<u64> {
    ENTERED.try_with(|entered| entered.borrow().last().copied()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters a span when its thread ends.
    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            let spans = Spans::default();
            spans.enter(&Id::from_u64(2));
            assert_eq!(spans.path(None), "");
            spans.exit(&Id::from_u64(2));
        }
    }

    thread_local!(static LAST: Last = const { Last });

    #[test]
    fn a_thread_may_log_at_its_end() {
        let thread = std::thread::spawn(|| {
            // What was used first is dropped last.
            LAST.with(|_| ());
            Spans::default().enter(&Id::from_u64(1));
        });
        thread.join().unwrap();
    }
}
