//! The host's log, kept by handler. Tests run in one process and tell their handlers apart by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::deliveries::Delivery;

/// One line's fields by name; the text is under `message`.
pub(crate) type Fields = HashMap<&'static str, String>;

#[derive(Default)]
struct Kept {
    deliveries: Vec<Delivery>,
    said: Vec<String>,
    said_fields: Vec<String>,
    problems: Vec<String>,
}

static KEPT: LazyLock<Mutex<HashMap<String, Kept>>> = LazyLock::new(Mutex::default);

/// Starts to keep the log; may be called by every test.
pub fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = tracing_subscriber::fmt::layer().with_test_writer();
        // Without a level here, everything below would format its traces for nobody.
        tracing_subscriber::registry()
            .with(Capture.with_filter(LevelFilter::INFO))
            .with(shown.with_filter(LevelFilter::WARN))
            .init();
    });
}

/// Everything a handler was told so far, oldest first.
pub fn deliveries_of(handler: &str) -> Vec<Delivery> {
    kept(handler, |kept| kept.deliveries.clone())
}

/// What a handler's guest logged or printed, oldest first.
pub fn said_by(handler: &str) -> Vec<String> {
    kept(handler, |kept| kept.said.clone())
}

/// The fields of what a handler's guest logged, as JSON objects, oldest first.
pub fn fields_said_by(handler: &str) -> Vec<String> {
    kept(handler, |kept| kept.said_fields.clone())
}

/// What the host reported about loading a handler.
pub fn problems_of(handler: &str) -> Vec<String> {
    kept(handler, |kept| kept.problems.clone())
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
        let mut all = KEPT.lock().expect("no test panics while it holds the log");
        let kept = all.entry(handler).or_default();
        match event.metadata().target() {
            "delivery" => kept.deliveries.push(Delivery::read(fields.0)),
            "guest" => {
                kept.said.push(fields.0.remove("message").unwrap_or_default());
                kept.said_fields.extend(fields.0.remove("fields"));
            }
            _ => kept.problems.extend(fields.0.remove("problem")),
        }
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
