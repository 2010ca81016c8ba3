//! What a person at a terminal sees: the log, a progress display while the initial lists run, and
//! the summary at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use informer::SharedInformer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::api_server::WatchedResource;
use crate::handlers::{HandlerRegistry, HandlerState};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Log lines go above the progress display.
#[derive(Clone, Default)]
pub struct Terminal(MultiProgress);

impl Terminal {
    /// Sends the log to standard error. `filter` is a level, or `target=level` pairs.
    pub fn start_log(&self, format: LogFormat, filter: &str) -> anyhow::Result<()> {
        // What fails in a request is said by who made the request, with what happens next.
        let filter = EnvFilter::try_new(format!("kube_client=off,{filter}"))
            .map_err(|error| anyhow::anyhow!("--log {filter:?} is no level or filter: {error}"))?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(self.clone())
            .with_ansi(io::stderr().is_terminal())
            // A reader of the log that has gone away must not take the host along.
            .log_internal_errors(false);
        match format {
            LogFormat::Text => log.compact().init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        Ok(())
    }

    /// Shows how far the initial lists are until all handlers are ready. Does nothing where nobody
    /// looks.
    pub async fn show_progress(&self, handlers: &HandlerRegistry) {
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = self.0.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        while !handlers.is_ready() {
            bar.set_message(progress(handlers));
            bar.tick();
            tokio::time::sleep(PROGRESS_PERIOD).await;
        }
        bar.finish_and_clear();
    }
}

fn progress(handlers: &HandlerRegistry) -> String {
    let informers = handlers.informers().into_iter().map(|(resource, informer)| {
        let listed = informer.status().borrow().listed;
        match informer.has_synced() {
            true => format!("{resource}: {} objects", informer.lister().len()),
            false => format!("{resource}: {listed} so far"),
        }
    });
    let informers: Vec<String> = informers.collect();
    let pending: usize = handlers.statuses().iter().map(|handler| handler.pending).sum();
    match informers.as_slice() {
        [] => "loading handlers".to_owned(),
        informers => format!("{}, {pending} notifications to deliver", informers.join(", ")),
    }
}

/// What has been done, for the end.
pub fn summary(
    handlers: &HandlerRegistry,
    informers: &[(WatchedResource, SharedInformer)],
) -> String {
    let mut text = String::from("summary\n");
    for status in handlers.statuses() {
        let state = match &status.state {
            HandlerState::Running => String::new(),
            HandlerState::Loading => " (never finished loading)".to_owned(),
            HandlerState::Unreachable(problem)
            | HandlerState::UnknownKind(problem)
            | HandlerState::UnknownSecret(problem) => format!(" (waits: {problem})"),
            HandlerState::Forbidden(problem) => format!(" (forbidden: {problem})"),
            HandlerState::Failed(problem) => format!(" (not loaded: {problem})"),
            HandlerState::Quarantined(reason) => format!(" (in quarantine: {reason})"),
        };
        let _ = writeln!(
            text,
            "  handler {}{state}: {} delivered, {} failed attempts, {} merged, {} not delivered, \
             {} dead letters",
            status.name,
            status.counts.delivered,
            status.counts.failed,
            status.counts.merged,
            status.pending,
            status.dead_letters.len(),
        );
        for dead in status.dead_letters.iter().take(DEAD_LETTERS_SHOWN) {
            let _ = writeln!(
                text,
                "    dead letter {} after {} attempts: {}",
                dead.key, dead.attempts, dead.reason
            );
        }
    }
    for (resource, informer) in informers {
        let counters = informer.counters();
        let _ = writeln!(
            text,
            "  informer {resource}: {} objects, {} events, {} lists, {} watches, {} failures",
            informer.lister().len(),
            counters.events.get(),
            counters.lists.get(),
            counters.watches.get(),
            counters.failures.get(),
        );
    }
    text
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Terminal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

const PROGRESS_PERIOD: Duration = Duration::from_millis(100);

const DEAD_LETTERS_SHOWN: usize = 10;
