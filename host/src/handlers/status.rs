//! Where a handler stands, for whoever asks: readiness, metrics, the admin API, a custom resource's status.

use std::time::SystemTime;

use informer::{DeadLetter, DeliveryCounts};

use super::definition::DefinitionSource;
use crate::api_server::WatchedResource;
use crate::guest::SleepStatus;

/// Where a generation of a handler stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerState {
    /// Its module is fetched, compiled and started.
    Loading,
    /// The server does not tell what it serves, or does not list what the handler reads; it is asked
    /// again.
    Unreachable(String),
    /// The server does not serve a kind that it watches; it is asked again.
    UnknownKind(String),
    /// A Secret that its spec refers to is not there, or lacks a key; it is looked for again.
    UnknownSecret(String),
    /// Its ServiceAccount may not watch or read all that it needs; the server is asked again.
    Forbidden(String),
    /// It is registered at its informers.
    Running,
    /// It cannot be used as it is.
    Failed(String),
    /// Its module has failed too often, and is not run until it changes or an operator says so.
    Quarantined(String),
}

/// What is known of a handler.
#[derive(Clone, Debug)]
pub struct HandlerStatus {
    /// Its name.
    pub name: String,
    /// What describes it.
    pub source: DefinitionSource,
    /// Of the generation that runs; until there is one, of the one that is to be the first.
    pub state: HandlerState,
    /// Of the generation that is to take over from the one that runs. What is wrong with it stays here until
    /// another one is asked for.
    pub replacement: Option<HandlerState>,
    /// How often its module or its spec was put to work; 0 until it runs.
    pub generation: u64,
    /// When the generation that runs took over.
    pub since: Option<SystemTime>,
    /// The sha256 of the module that runs, in hex.
    pub digest: Option<String>,
    /// An operator has paused it: what happens waits.
    pub paused: bool,
    /// Of the generation that runs: whether it hibernates, and how often it was woken.
    pub sleep: SleepStatus,
    /// What it watches.
    pub watches: Vec<WatchedResource>,
    /// It has handled its initial lists.
    pub has_synced: bool,
    /// Over all its watches and generations.
    pub counts: DeliveryCounts,
    /// Notifications that it has not handled yet.
    pub pending: usize,
    /// Objects that failed for good.
    pub dead_letters: Vec<DeadLetter>,
}

impl HandlerState {
    /// Nothing more happens by itself.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Running | Self::Failed(_) | Self::Quarantined(_))
    }

    /// What keeps it from running.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Loading | Self::Running => None,
            Self::Unreachable(problem)
            | Self::UnknownKind(problem)
            | Self::UnknownSecret(problem)
            | Self::Forbidden(problem)
            | Self::Failed(problem)
            | Self::Quarantined(problem) => Some(problem),
        }
    }
}
