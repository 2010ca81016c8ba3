//! The handlers directory, followed while the host runs: its files are what runs.
//!
//! in:   what the system tells of the directory's files
//! out:  handlers applied to and removed from the registry
//! runs: one task.
//!
//! A change counts when nothing has changed for a moment, so that a file is not read while it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use super::definition::{DefinitionSource, HandlerDefinition};
use super::directory::{LoadError, read_directory};
use super::registry::HandlerRegistry;

/// The handlers directory and what came of it.
pub struct HandlersDirectory {
    directory: PathBuf,
    registry: Arc<HandlerRegistry>,
    /// The handlers that are there because of a file, by file.
    applied: BTreeMap<PathBuf, String>,
    /// What was said last of the files that describe no handler.
    errors: Vec<LoadError>,
    removals: JoinSet<()>,
}

impl HandlersDirectory {
    /// Applies what the directory has now. An error means that it cannot be read.
    pub async fn open(directory: &Path, registry: Arc<HandlerRegistry>) -> anyhow::Result<Self> {
        let directory = directory.to_owned();
        let mut this = Self {
            directory,
            registry,
            applied: BTreeMap::new(),
            errors: Vec::new(),
            removals: JoinSet::new(),
        };
        this.apply().await?;
        if this.applied.is_empty() {
            let directory = this.directory.display();
            tracing::warn!(
                "no handlers in {directory}: put a .wasm module or a handler spec there"
            );
        }
        Ok(this)
    }

    /// Applies what changes from now on.
    pub async fn follow(mut self) {
        let changed = Arc::new(Notify::new());
        let _watcher = match watch(&self.directory, changed.clone()) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let directory = self.directory.display();
                let period = RESCAN_PERIOD;
                tracing::warn!(%directory, %error, ?period, "the directory is only looked at periodically");
                None
            }
        };
        loop {
            // The system may forget to tell; a file system of another machine never does.
            if timeout(RESCAN_PERIOD, changed.notified()).await.is_ok() {
                let latest = Instant::now() + SETTLE_MAX;
                while Instant::now() < latest
                    && timeout_at(latest.min(Instant::now() + SETTLE), changed.notified())
                        .await
                        .is_ok()
                {}
            }
            if let Err(error) = self.apply().await {
                let directory = self.directory.display();
                tracing::error!(%directory, %error, "cannot read the handlers directory; what runs goes on");
            }
            while self.removals.try_join_next().is_some() {}
        }
    }

    async fn apply(&mut self) -> anyhow::Result<()> {
        let directory = self.directory.clone();
        let (handlers, mut errors) = spawn_blocking(move || read_directory(&directory)).await??;
        let mut applied = BTreeMap::new();
        for handler in handlers {
            let (name, file) = (handler.name.clone(), file(&handler));
            match self.registry.apply(handler) {
                Ok(()) => {
                    applied.insert(file, name);
                }
                Err(problem) => errors.push(LoadError { file, problem: problem.to_string() }),
            }
        }
        for LoadError { file, problem } in &errors {
            // What the file said before goes on.
            if let Some(name) = self.applied.get(file)
                && !applied.values().any(|other| other == name)
                && self.registry.refuse(name, problem)
            {
                applied.insert(file.clone(), name.clone());
            }
        }
        for error in errors.iter().filter(|error| !self.errors.contains(error)) {
            tracing::error!(file = %error.file.display(), problem = error.problem, "no handler");
        }
        for (_, name) in std::mem::take(&mut self.applied) {
            if !applied.values().any(|other| *other == name) {
                let registry = self.registry.clone();
                self.removals.spawn(async move {
                    registry.remove(&name, DRAIN_MAX).await;
                });
            }
        }
        (self.applied, self.errors) = (applied, errors);
        Ok(())
    }
}

/// The file that describes it.
fn file(handler: &HandlerDefinition) -> PathBuf {
    match &handler.source {
        DefinitionSource::File(file) | DefinitionSource::Operator(file) => file.clone(),
        DefinitionSource::Resource { name, .. } => name.into(),
    }
}

fn watch(directory: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error may hide a change. Reading does not matter, and is what we do ourselves.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        changed.notify_one();
    })?;
    watcher.watch(directory, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// So long nothing must have changed.
const SETTLE: Duration = Duration::from_millis(300);
/// So long a change waits for others at most.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// The directory is read this often, whatever the system tells.
const RESCAN_PERIOD: Duration = Duration::from_secs(30);
/// How long a handler whose file is gone may take to finish what is queued.
const DRAIN_MAX: Duration = Duration::from_secs(5);
