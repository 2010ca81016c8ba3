//! What a custom resource's status says: four conditions and some numbers, computed from where its handler
//! stands and from what was said before.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::handlers::status::{HandlerState, HandlerStatus};

/// `status`, as it stands in the custom resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceStatus {
    /// The generation of the spec that the conditions tell of. It follows `metadata.generation` when the
    /// generation runs, waits or has failed, not while it is loaded beside one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default)]
    counters: Counters,
    /// What went wrong last; it stays when that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// Since the handler was loaded by the host that runs now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counters {
    delivered: u64,
    failed: u64,
    merged: u64,
    pending: u64,
    dead_letters: u64,
}

/// What became of a custom resource.
pub(super) enum Outcome<'a> {
    /// It waits for its turn to be applied; what was applied before may run.
    Queued(Option<&'a HandlerStatus>),
    /// There is a handler.
    Applied(&'a HandlerStatus),
    /// There is none.
    Refused(&'a str),
    /// It is being deleted, and nothing runs.
    Deleting,
}

impl<'a> Outcome<'a> {
    /// It will be another one in a moment if all goes well.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Queued(_) => true,
            Self::Applied(handler) => {
                let is_loading = handler.replacement.as_ref().unwrap_or(&handler.state)
                    == &HandlerState::Loading;
                is_loading || handler.state == HandlerState::Running && is_syncing(handler)
            }
            Self::Refused(_) | Self::Deleting => false,
        }
    }

    fn handler(&self) -> Option<&'a HandlerStatus> {
        match self {
            Self::Queued(handler) => *handler,
            Self::Applied(handler) => Some(handler),
            Self::Refused(_) | Self::Deleting => None,
        }
    }

    /// What runs is still what an earlier generation of the spec asked for, and nothing is known of this one.
    fn is_about_an_earlier_generation(&self) -> bool {
        match self {
            Self::Queued(handler) => handler.is_some(),
            Self::Applied(handler) => handler.replacement == Some(HandlerState::Loading),
            Self::Refused(_) | Self::Deleting => false,
        }
    }
}

/// A condition without what it has in common with the others.
struct Verdict {
    is_true: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn new(is_true: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_true, reason, message: message.into() }
    }
}

impl ResourceStatus {
    /// What is to be said after this was said.
    pub(super) fn next(&self, outcome: &Outcome<'_>, generation: i64, now: Timestamp) -> Self {
        let handler = outcome.handler();
        let generation = match self.observed_generation {
            Some(observed) if outcome.is_about_an_earlier_generation() => observed,
            _ => generation,
        };
        let verdicts = [
            ("Ready", ready(outcome)),
            ("ModuleLoaded", module_loaded(outcome)),
            ("Synced", synced(outcome)),
            ("Degraded", degraded(outcome)),
        ];
        let conditions = verdicts.into_iter().map(|(kind, verdict)| {
            let status = if verdict.is_true { "True" } else { "False" };
            let before = self.conditions.iter().find(|it| it.type_ == kind);
            let unchanged = before.filter(|before| before.status == status);
            let since = unchanged.map(|before| before.last_transition_time.clone());
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.to_owned(),
                message: shortened(verdict.message),
                observed_generation: Some(generation),
                last_transition_time: since.unwrap_or_else(|| Time(to_the_second(now))),
            }
        });
        let error = last_error(outcome).map(shortened);
        Self {
            observed_generation: Some(generation),
            conditions: conditions.collect(),
            digest: handler.and_then(|handler| handler.digest.clone()),
            counters: handler.map(Counters::of).unwrap_or_default(),
            last_error: error.or_else(|| self.last_error.clone()),
        }
    }

    /// It differs in numbers and messages at most.
    pub(super) fn is_same_verdict(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            let conditions = it.conditions.iter();
            let verdicts = conditions.map(|it| (&it.type_, &it.status, &it.reason));
            verdicts
                .map(|(kind, status, reason)| [kind, status, reason].map(Clone::clone))
                .collect()
        };
        let (ours, theirs): (Vec<_>, Vec<_>) = (of(self), of(other));
        ours == theirs
            && self.observed_generation == other.observed_generation
            && self.digest == other.digest
    }
}

impl Counters {
    fn of(handler: &HandlerStatus) -> Self {
        Self {
            delivered: handler.counts.delivered,
            failed: handler.counts.failed,
            merged: handler.counts.merged,
            pending: handler.pending as u64,
            dead_letters: handler.dead_letters.len() as u64,
        }
    }
}

fn ready(outcome: &Outcome<'_>) -> Verdict {
    let handler = match outcome {
        Outcome::Deleting => return deleting(),
        Outcome::Refused(problem) => return Verdict::new(false, "InvalidSpec", *problem),
        Outcome::Queued(None) => return queued(),
        Outcome::Queued(Some(handler)) | Outcome::Applied(handler) => handler,
    };
    match &handler.state {
        HandlerState::Running if handler.paused => {
            Verdict::new(false, "Paused", "an operator has paused it; what happens waits")
        }
        HandlerState::Running if is_syncing(handler) => {
            Verdict::new(false, "Syncing", "it handles its initial lists")
        }
        HandlerState::Running => Verdict::new(true, "Running", ""),
        state => {
            Verdict::new(false, reason(state), state.problem().unwrap_or("it is being loaded"))
        }
    }
}

fn module_loaded(outcome: &Outcome<'_>) -> Verdict {
    match outcome.handler() {
        Some(handler) if handler.generation > 0 => Verdict::new(true, "Loaded", ""),
        _ => ready(outcome),
    }
}

fn synced(outcome: &Outcome<'_>) -> Verdict {
    match outcome.handler() {
        Some(handler) if handler.has_synced => Verdict::new(true, "InitialListsHandled", ""),
        Some(handler) if handler.state == HandlerState::Running => {
            Verdict::new(false, "Syncing", "it handles its initial lists")
        }
        _ => Verdict::new(false, "NotRunning", "it does not run"),
    }
}

fn degraded(outcome: &Outcome<'_>) -> Verdict {
    if let Outcome::Refused(problem) = outcome {
        return Verdict::new(true, "InvalidSpec", *problem);
    }
    let Some(handler) = outcome.handler() else {
        return Verdict::new(false, "AsExpected", "");
    };
    if let Some(next) = &handler.replacement
        && let Some(problem) = next.problem()
    {
        let message =
            format!("the generation before goes on, since the next one cannot: {problem}");
        return Verdict::new(true, reason(next), message);
    }
    if let Some(problem) = handler.state.problem() {
        return Verdict::new(true, reason(&handler.state), problem);
    }
    match handler.dead_letters.as_slice() {
        [] => Verdict::new(false, "AsExpected", ""),
        [.., last] => {
            let count = handler.dead_letters.len();
            let message = format!(
                "deliveries that failed for good: {count}; one of them is of {}: {}",
                last.key, last.reason
            );
            Verdict::new(true, "DeadLetters", message)
        }
    }
}

fn last_error(outcome: &Outcome<'_>) -> Option<String> {
    if let Outcome::Refused(problem) = outcome {
        return Some((*problem).to_owned());
    }
    let handler = outcome.handler()?;
    let problem = handler.replacement.as_ref().and_then(HandlerState::problem);
    let problem = problem.or_else(|| handler.state.problem());
    let dead_letter = || handler.dead_letters.last().map(|it| format!("{}: {}", it.key, it.reason));
    problem.map(str::to_owned).or_else(dead_letter)
}

fn queued() -> Verdict {
    Verdict::new(false, "Queued", "other handlers are loaded before it")
}

fn deleting() -> Verdict {
    Verdict::new(false, "Deleting", "it is being deleted, and does not run any more")
}

fn is_syncing(handler: &HandlerStatus) -> bool {
    !handler.has_synced && !handler.paused
}

fn reason(state: &HandlerState) -> &'static str {
    match state {
        HandlerState::Loading => "Loading",
        HandlerState::Unreachable(_) => "Unreachable",
        HandlerState::UnknownKind(_) => "UnknownKind",
        HandlerState::UnknownSecret(_) => "UnknownSecret",
        HandlerState::Forbidden(_) => "Forbidden",
        HandlerState::Running => "Running",
        HandlerState::Failed(_) => "LoadFailed",
        HandlerState::Quarantined(_) => "Quarantined",
    }
}

fn to_the_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Guests and registries may say much.
fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

const MESSAGE_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests;
