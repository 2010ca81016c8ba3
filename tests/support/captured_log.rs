//! The host's log, kept by handler. Tests run in one process and tell their handlers apart by name.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, Once};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::deliveries::Delivery;

/// One line's fields by name; the text is under `message`.
pub(crate) type Fields = HashMap<&'static str, String>;

/// One line about a handler.
#[derive(Clone, Debug)]
pub enum Logged {
    /// Its guest logged or printed it.
    Said(Said),
    /// The host's line about a call.
    Delivered(Delivery),
}

/// What a guest logged or printed.
#[derive(Clone, Debug)]
pub struct Said {
    pub level: Level,
    pub message: String,
    /// A JSON object; none for what was printed.
    pub fields: Option<String>,
}

#[derive(Default)]
struct Kept {
    logged: Vec<(Instant, Logged)>,
    problems: Vec<String>,
    audited: Vec<Fields>,
}

/// Handlers whose guest waits in the line that it logs.
static HELD: LazyLock<(Mutex<HashSet<String>>, Condvar)> = LazyLock::new(Default::default);

static KEPT: LazyLock<Mutex<HashMap<String, Kept>>> = LazyLock::new(Mutex::default);

/// Starts to keep the log; may be called by every test.
pub fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = tracing_subscriber::fmt::layer().with_test_writer();
        // Without a level here, everything below would format its traces for nobody.
        tracing_subscriber::registry()
            .with(Capture.with_filter(
                Targets::new().with_default(Level::INFO).with_target("guest", Level::TRACE),
            ))
            .with(shown.with_filter(LevelFilter::WARN))
            .init();
    });
}

/// Everything that was logged about a handler so far, oldest first.
pub fn log_of(handler: &str) -> Vec<Logged> {
    kept(handler, |kept| kept.logged.iter().map(|(_, line)| line.clone()).collect())
}

/// As [`log_of`], with when each line was logged.
pub fn timed_log_of(handler: &str) -> Vec<(Instant, Logged)> {
    kept(handler, |kept| kept.logged.clone())
}

/// Everything a handler was told so far, oldest first.
pub fn deliveries_of(handler: &str) -> Vec<Delivery> {
    let deliveries = log_of(handler).into_iter().filter_map(|line| match line {
        Logged::Delivered(delivery) => Some(delivery),
        Logged::Said(_) => None,
    });
    deliveries.collect()
}

/// What a handler's guest logged or printed, oldest first.
pub fn said_by(handler: &str) -> Vec<String> {
    said(handler).map(|said| said.message).collect()
}

/// The fields of what a handler's guest logged, as JSON objects, oldest first.
pub fn fields_said_by(handler: &str) -> Vec<String> {
    said(handler).filter_map(|said| said.fields).collect()
}

/// Stops a handler's guest in the next line that it logs, and so in the middle of a call, until this is dropped.
pub struct HeldGuest {
    handler: String,
    said: usize,
}

impl HeldGuest {
    pub fn hold(handler: &str) -> Self {
        held().insert(handler.to_owned());
        Self { handler: handler.to_owned(), said: said(handler).count() }
    }

    /// Whether it has come that far.
    pub fn is_held(&self) -> bool {
        said(&self.handler).count() > self.said
    }
}

impl Drop for HeldGuest {
    fn drop(&mut self) {
        held().remove(&self.handler);
        HELD.1.notify_all();
    }
}

fn held() -> MutexGuard<'static, HashSet<String>> {
    HELD.0.lock().expect("no test panics while it holds the list")
}

fn said(handler: &str) -> impl Iterator<Item = Said> {
    log_of(handler).into_iter().filter_map(|line| match line {
        Logged::Said(said) => Some(said),
        Logged::Delivered(_) => None,
    })
}

/// What the host reported about loading a handler.
pub fn problems_of(handler: &str) -> Vec<String> {
    kept(handler, |kept| kept.problems.clone())
}

/// The fields of the audit's lines about a handler.
pub fn audited(handler: &str) -> Vec<HashMap<&'static str, String>> {
    kept(handler, |kept| kept.audited.clone())
}

/// Forgets all that was logged about a handler, so that the memory of this process can be told apart.
pub fn forget_log_of(handler: &str) {
    KEPT.lock().expect("no test panics while it holds the log").remove(handler);
}

fn kept<T: Default>(handler: &str, read: impl FnOnce(&Kept) -> T) -> T {
    KEPT.lock()
        .expect("no test panics while it holds the log")
        .get(handler)
        .map(read)
        .unwrap_or_default()
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Collected::default();
        event.record(&mut fields);
        let Some(handler) = fields.0.get("handler").cloned() else { return };
        let target = event.metadata().target();
        keep(&handler, event.metadata(), fields);
        if target == "guest" {
            let wait = |held: &mut HashSet<String>| held.contains(&handler);
            drop(HELD.1.wait_while(held(), wait).expect("no test panics while it holds the list"));
        }
    }
}

fn keep(handler: &str, metadata: &Metadata<'_>, mut fields: Collected) {
    let mut all = KEPT.lock().expect("no test panics while it holds the log");
    let kept = all.entry(handler.to_owned()).or_default();
    let now = Instant::now();
    match metadata.target() {
        "delivery" => kept.logged.push((now, Logged::Delivered(Delivery::read(fields.0)))),
        "guest" => {
            let said = Said {
                level: *metadata.level(),
                message: fields.0.remove("message").unwrap_or_default(),
                fields: fields.0.remove("fields"),
            };
            kept.logged.push((now, Logged::Said(said)));
        }
        "audit" => kept.audited.push(fields.0),
        _ => kept.problems.extend(fields.0.remove("problem")),
    }
}

#[derive(Default)]
struct Collected(Fields);

impl Visit for Collected {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
