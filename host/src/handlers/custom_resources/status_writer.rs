//! Writes the statuses of custom resources to the server, by server-side apply.
//!
//! in:   what is known of the custom resources, looked at periodically
//! out:  patches of `status`
//! runs: one task, and one for each of a few requests at a time.
//!
//! Level-triggered: what is written is what holds then. A request that fails is not repeated; what holds after
//! a while is written. What is written changes no `metadata.generation`, so that nothing is applied
//! because of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use informer::ObjectKey;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::known::{KnownHandlers, StatusChange};
use super::object::HandlerObject;
use super::status::ResourceStatus;
use crate::handlers::spec::{API_VERSION, KIND};

/// When an object's status may be written next.
struct Turn {
    is_busy: bool,
    failures: u32,
    /// What people wait for.
    urgent: Instant,
    /// Numbers.
    other: Instant,
}

/// How a request ended.
struct Written {
    object: Arc<HandlerObject>,
    result: Result<ResourceStatus, String>,
}

/// Writes statuses until it is aborted.
pub(super) async fn write_statuses(known: Arc<KnownHandlers>, client: Client, kind: ApiResource) {
    let mut turns = BTreeMap::<ObjectKey, Turn>::new();
    let mut requests = JoinSet::<Written>::new();
    let (mut more_is_due, mut numbers_left) = (false, NUMBERS_MAX);
    loop {
        let look_again = sleep(PERIOD);
        tokio::pin!(look_again);
        while !more_is_due || requests.len() > REQUESTS_MAX / 2 {
            tokio::select! {
                () = &mut look_again => {
                    numbers_left = NUMBERS_MAX;
                    break;
                }
                Some(Ok(written)) = requests.join_next() => ended(&known, &mut turns, written),
            }
        }
        let mut changes = known.status_changes(Timestamp::now(), QUIET);
        let now = Instant::now();
        // Failures are remembered for the next wait; the rest for who is to come first.
        turns.retain(|_, turn| turn.is_busy || turn.other + RETRY_MAX > now);
        changes.sort_by_key(|it| (!it.is_urgent, turns.get(&it.object.key).map(|turn| turn.other)));
        more_is_due = false;
        for StatusChange { object, status, is_urgent } in changes {
            let turn = turns.entry(object.key.clone()).or_insert(Turn {
                is_busy: false,
                failures: 0,
                urgent: now,
                other: now,
            });
            let due = if is_urgent { turn.urgent } else { turn.other };
            if turn.is_busy || due > now || !is_urgent && numbers_left == 0 {
                continue;
            }
            if requests.len() >= REQUESTS_MAX {
                more_is_due = true;
                break;
            }
            numbers_left -= usize::from(!is_urgent);
            turn.is_busy = true;
            let (client, kind) = (client.clone(), kind.clone());
            requests.spawn(async move {
                let request = write(client, &kind, &object, &status);
                let result = match timeout(REQUEST_TIMEOUT, request).await {
                    Ok(Ok(())) => Ok(status),
                    Ok(Err(error)) => Err(explained(&error)),
                    Err(_) => Err(format!("no answer within {REQUEST_TIMEOUT:?}")),
                };
                Written { object, result }
            });
        }
    }
}

async fn write(
    client: Client,
    kind: &ApiResource,
    object: &HandlerObject,
    status: &ResourceStatus,
) -> kube::Result<()> {
    let (namespace, name) = (object.key.namespace().unwrap_or_default(), object.key.name());
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, kind);
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        // Not of one that was deleted and re-created.
        "metadata": { "name": name, "namespace": namespace, "uid": object.uid },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(name, &params, &Patch::Apply(patch)).await.map(drop)
}

fn ended(known: &KnownHandlers, turns: &mut BTreeMap<ObjectKey, Turn>, written: Written) {
    let Written { object, result } = written;
    let Some(turn) = turns.get_mut(&object.key) else { return };
    let now = Instant::now();
    turn.is_busy = false;
    match result {
        Ok(status) => {
            known.reported(&object, status);
            turn.failures = 0;
            (turn.urgent, turn.other) = (now, now + NUMBERS_PERIOD);
        }
        Err(problem) => {
            let handler = object.key.as_str();
            match turn.failures {
                0 => tracing::warn!(handler, problem, "status not written; it is tried again"),
                _ => tracing::debug!(handler, problem, "status not written; it is tried again"),
            }
            turn.failures = turn.failures.saturating_add(1);
            let wait = RETRY_MIN * 2_u32.saturating_pow((turn.failures - 1).min(8));
            let wait = wait.min(RETRY_MAX).mul_f32(0.8 + 0.4 * fastrand::f32());
            (turn.urgent, turn.other) = (now + wait, now + wait);
        }
    }
}

fn explained(error: &kube::Error) -> String {
    let hint = match error {
        kube::Error::Api(status) if status.code == 403 => {
            ": deploy/rbac.yaml has the role that the host needs"
        }
        _ => "",
    };
    format!("{error}{hint}")
}

/// Who owns the fields, as the server sees it.
const FIELD_MANAGER: &str = "informerd";

/// So often it is looked what has changed.
const PERIOD: Duration = Duration::from_millis(500);
/// What lasts no longer is not said: most handlers load faster, also after a restart of the host, and each
/// write is an update for everybody who watches.
const QUIET: Duration = Duration::from_secs(3);
/// Numbers of one handler are written at most so often.
const NUMBERS_PERIOD: Duration = Duration::from_secs(10);
/// Of all handlers, so many in one period: 10 writes a second, however many handlers there are.
const NUMBERS_MAX: usize = 5;

/// Requests at a time.
const REQUESTS_MAX: usize = 8;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
