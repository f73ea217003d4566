//! Log events of workers reach the program's subscriber and logger.

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use procession::Pool;
use support::{own_pid, until, watched};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, debug, error, info, info_span, trace, warn};

/// Level, target, and all fields.
type Heard = (String, String, BTreeMap<String, String>);

/// What was heard, in order.
static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());
/// While it is set the subscriber does not come back.
static IS_STUCK: AtomicBool = AtomicBool::new(false);
/// The tests share what is heard.
static TURN: Mutex<()> = Mutex::new(());

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::DEBUG
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Fields(BTreeMap<String, String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.insert(field.name().to_string(), format!("{value:?}"));
            }
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name().to_string(), value.to_string());
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        heard().push((metadata.level().to_string(), metadata.target().to_string(), fields.0));
        until(|| (!IS_STUCK.load(Ordering::Acquire)).then_some(()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = BTreeMap::from([("log".to_string(), record.args().to_string())]);
        heard().push((record.level().to_string(), record.target().to_string(), text));
    }

    fn flush(&self) {}
}

fn heard() -> MutexGuard<'static, Vec<Heard>> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() -> MutexGuard<'static, ()> {
    static ONCE: Once = Once::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
        log::set_logger(&Logger).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    heard().clear();
    turn
}

#[test]
fn events_tell_their_worker_task_and_spans() {
    fn work(n: u64) -> u32 {
        let outer = info_span!("outer", n).entered();
        let inner = info_span!("inner", late = tracing::field::Empty).entered();
        inner.record("late", "set");
        info!(target: "shop", answer = 42, name = %"x y", "item {n}");
        drop((inner, outer));
        error!("no span");
        trace!("nobody wants this");
        std::process::id()
    }
    let _turn = listen();
    watched("events_tell_their_worker_task_and_spans", || {
        let pool = Pool::builder().workers(2).build().unwrap();
        let pids = pool.chunk_size(2).map(work, 0..6).unwrap();
        // What was said is passed on before the pool has ended.
        pool.join();
        let heard = heard();
        for (n, pid) in pids.iter().enumerate() {
            let of_task: Vec<_> = heard.iter().filter(|(_, _, fields)| fields["task"] == n.to_string()).collect();
            let [(level, target, first), (second_level, own_target, second)] = &of_task[..] else {
                panic!("task {n}: {of_task:?}")
            };
            assert_eq!((level.as_str(), target.as_str()), ("INFO", "shop"));
            assert_eq!(
                (&first["message"], &first["fields"]),
                (&format!("item {n}"), &"answer=42 name=x y".to_string())
            );
            assert_eq!(first["span"], format!("outer{{n={n}}}:inner{{late=\"set\"}}"));
            assert_eq!((second_level.as_str(), own_target.as_str()), ("ERROR", "logging"));
            assert_eq!((second["message"].as_str(), second.get("span")), ("no span", None));
            assert!(first["worker_pid"] == pid.to_string() && second["worker_pid"] == pid.to_string());
        }
        assert_eq!(heard.len(), 12);
    });
}

#[test]
fn records_of_log_reach_the_logger() {
    let _turn = listen();
    watched("records_of_log_reach_the_logger", || {
        let pool = Pool::builder().workers(1).initializer(|()| log::warn!("ready"), ()).build().unwrap();
        let say = |n: u64| {
            log::info!(target: "shop", "item {n}");
            log::debug!("nobody wants this");
        };
        pool.map(say, 0..2).unwrap();
        let pid = pool.apply(own_pid, ()).unwrap();
        pool.join();
        let heard: Vec<_> =
            heard().iter().map(|(level, target, text)| format!("{level} {target} {}", text["log"])).collect();
        let expected = [
            format!("WARN logging [worker {pid}] ready"),
            format!("INFO shop [worker {pid}, task 0] item 0"),
            format!("INFO shop [worker {pid}, task 1] item 1"),
        ];
        assert_eq!(heard, expected);
    });
}

#[test]
fn a_flood_and_a_stuck_subscriber_hold_up_nobody() {
    const EVENTS: u64 = 20_000;
    fn flood(_: ()) {
        for n in 0..EVENTS {
            warn!(n, "{}", "x".repeat(200));
        }
    }
    let _turn = listen();
    watched("a_flood_and_a_stuck_subscriber_hold_up_nobody", || {
        let pool = Pool::builder().workers(1).build().unwrap();
        IS_STUCK.store(true, Ordering::Release);
        pool.apply(flood, ()).unwrap();
        // Others go on as well.
        assert_eq!(pool.map(support::square, 0..1000).unwrap().len(), 1000);
        IS_STUCK.store(false, Ordering::Release);
        // The last event takes along how many were lost before it.
        until(|| {
            pool.apply(|()| debug!("still there"), ()).unwrap();
            heard().iter().any(|(_, _, fields)| fields["message"] == "still there").then_some(())
        });
        pool.join();
        let heard = heard();
        let numbers: Vec<u64> =
            heard.iter().filter_map(|(_, _, fields)| fields.get("fields")?.strip_prefix("n=")?.parse().ok()).collect();
        assert!(numbers.is_sorted() && !numbers.is_empty());
        let lost: u64 = heard
            .iter()
            .filter_map(|(_, _, fields)| {
                fields["message"].split_once(" log events of this worker were lost")?.0.parse::<u64>().ok()
            })
            .sum();
        assert!(numbers.len() as u64 + lost <= EVENTS + heard.len() as u64, "{} and {lost}", numbers.len());
    });
}
