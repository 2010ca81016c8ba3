//! One generation of a handler: its module and its spec, from where they are to a guest that is ready, with
//! everything that it watches being followed.
//!
//! in:   a [`HandlerDefinition`]
//! out:  a [`NextGeneration`], which has not been told anything yet

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use informer::{HandlerRegistration, IndexError, SharedInformer, SharedInformerOptions};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::definition::HandlerDefinition;
use super::module_fetch::fetch_module;
use super::module_pace::{MODULES_MAX, ModulePace, PERIOD};
use super::registry::Surroundings;
use super::resources::{GrantedResource, ResourceFinder, accesses_of_granted, accesses_of_watched};
use super::secrets;
use super::spec::ReadGrant;
use super::status::HandlerState;
use crate::access::{Authority, Refusal};
use crate::api_server::{ApiListerWatcher, WatchedResource};
use crate::guest::{
    GuestModule, ModuleError, OWNER_INDEX, ReadableCollection, SharedGuest, StartedGuest, owners,
};
use crate::modules::{Digest, FetchedModule};

/// A generation at work.
#[derive(Clone)]
pub(super) struct Generation {
    /// From 1.
    pub(super) number: u64,
    pub(super) definition: Arc<HandlerDefinition>,
    pub(super) digest: Digest,
    pub(super) since: SystemTime,
    pub(super) guest: SharedGuest,
    pub(super) places: Vec<Arc<Place>>,
    /// What it does in whose name; none: in the host's.
    pub(super) authority: Option<Authority>,
    /// Informers of what it may read and does not watch: they have no registration that would keep them.
    pub(super) _granted: Vec<SharedInformer>,
}

/// Where a handler is registered.
pub(super) struct Place {
    /// Tells it from the handler's other places.
    pub(super) number: usize,
    pub(super) resource: WatchedResource,
    pub(super) registration: HandlerRegistration,
}

/// A generation that is ready to take over.
pub(super) struct NextGeneration {
    pub(super) definition: Arc<HandlerDefinition>,
    pub(super) digest: Digest,
    pub(super) guest: StartedGuest,
    pub(super) watched: Vec<(WatchedResource, SharedInformer)>,
    pub(super) granted: Vec<SharedInformer>,
    pub(super) authority: Option<Authority>,
}

/// Why there is none.
pub(super) enum NotReady {
    /// The generation that runs is already this one.
    Unchanged,
    /// It will be the same until the definition changes.
    Refused(String),
    /// It may work later: what is needed cannot be had at the moment.
    Unavailable(String),
    /// It may work later: a Secret is not there, or is not as needed.
    NoSecret(String),
    /// It may work later: its account may not do all that it needs.
    Forbidden(Refusal),
    /// The module trapped, or refused its configuration, before the first notification.
    FailedToStart(Digest, String),
    /// The module has failed too often.
    Quarantined(String),
}

/// Makes a generation ready; nothing of what runs is touched. `running` is the one that it would take over
/// from, `pace` what it began with lately; `waits` is told why it takes longer.
pub(super) async fn prepare(
    at: &Surroundings,
    pace: &mut ModulePace,
    definition: &Arc<HandlerDefinition>,
    running: Option<&Generation>,
    anew: bool,
    waits: impl Fn(HandlerState),
) -> Result<NextGeneration, NotReady> {
    let HandlerDefinition { name, spec, .. } = &**definition;
    let FetchedModule { bytes: wasm, digest, .. } = fetch_module(at, definition, |problem| {
        waits(HandlerState::Unreachable(problem));
    })
    .await
    .map_err(NotReady::Refused)?;
    if anew {
        at.quarantine.release(&digest, definition.source.namespace());
    } else if running.is_some_and(|it| it.digest == digest && it.definition.spec == *spec) {
        return Err(NotReady::Unchanged);
    }
    if let Some(reason) = at.quarantine.reason(&digest, definition.source.namespace()) {
        return Err(NotReady::Quarantined(reason));
    }
    // An operator need not wait.
    if !anew {
        let problem = "another module too often: this one is made ready later";
        let (max, period) = (MODULES_MAX, PERIOD.as_secs());
        let held_up =
            || tracing::warn!(handler = &**name, %digest, max, in_seconds = period, problem);
        pace.turn(digest, held_up).await;
    }
    let module = compile(at, definition, digest, wasm).await?;
    pace.compiled(digest);
    let account = definition.service_account().map_err(NotReady::Refused)?;
    let accesses = secrets::accesses(definition).map_err(NotReady::Refused)?;
    let mut authority = account.map(|account| Authority { account, accesses });
    reviewed(at, authority.as_ref()).await?;
    let config = secrets::config(&at.client, definition).await?;
    let guest = {
        let limits = spec.limits(&at.ceilings).map_err(NotReady::Refused)?;
        let name = name.clone();
        let quarantine = at.quarantine.clone();
        // Whoever no longer waits for it ends it, however long it may take.
        let mut starting = JoinSet::new();
        let start = async move {
            let _starting = quarantine.starting(digest);
            StartedGuest::start(module, &name, config, limits).await
        };
        starting.spawn_on(start, &at.guests);
        let Some(Ok(started)) = starting.join_next().await else {
            return Err(NotReady::Unavailable("starting the module ended early".to_owned()));
        };
        started.map_err(|error| match error {
            ModuleError::NoRoom(_) => NotReady::Unavailable(error.to_string()),
            ModuleError::Start(_) => NotReady::FailedToStart(digest, error.to_string()),
            error => NotReady::Refused(error.to_string()),
        })?
    };
    let guest = guest.hibernate_after(spec.hibernate_after);

    let (client, turns) = (&at.client, &at.turns_to_ask);
    let finder = ResourceFinder { client, definition, turns, waits: &waits };
    let watched = finder.watched(guest.watches()).await.map_err(NotReady::Refused)?;
    let reads_cache = guest.reads_cache();
    let granted = match reads_cache {
        true => finder.granted(&watched).await.map_err(NotReady::Refused)?,
        false if spec.grants.read.iter().all(ReadGrant::is_of_secrets) => Vec::new(),
        false => {
            let problem = "spec.grants.read is of no use: the module imports no cache";
            tracing::warn!(handler = &**name, problem);
            Vec::new()
        }
    };
    if let Some(authority) = &mut authority {
        authority.accesses.extend(watched.iter().flat_map(accesses_of_watched));
        authority.accesses.extend(granted.iter().flat_map(accesses_of_granted));
    }
    // Before anything is followed for it.
    reviewed(at, authority.as_ref()).await?;
    let follow = |resource: WatchedResource| {
        let informer = informer(at, &resource);
        (resource, informer)
    };
    let watched: Vec<_> = watched.into_iter().map(follow).collect();
    let (granted, names): (Vec<_>, Vec<_>) = granted
        .into_iter()
        .map(|GrantedResource { resource, names }| (follow(resource), names))
        .unzip();
    if reads_cache {
        let all_names = watched.iter().map(|watched| (watched, None));
        let readable = readable(all_names.chain(granted.iter().zip(names)), &waits).await;
        guest.let_read(readable.map_err(NotReady::Unavailable)?);
    }
    // The one that runs goes on until what is new can be told at once.
    for (resource, informer) in watched.iter().filter(|_| running.is_some()) {
        listed(resource, informer, &waits).await.map_err(NotReady::Unavailable)?;
    }
    // Lists may have taken long.
    reviewed(at, authority.as_ref()).await?;
    let definition = definition.clone();
    let granted = granted.into_iter().map(|(_, informer)| informer).collect();
    Ok(NextGeneration { definition, digest, guest, watched, granted, authority })
}

async fn reviewed(at: &Surroundings, authority: Option<&Authority>) -> Result<(), NotReady> {
    match authority {
        Some(authority) => at.access.review(authority).await.map_err(NotReady::Forbidden),
        None => Ok(()),
    }
}

async fn compile(
    at: &Surroundings,
    definition: &HandlerDefinition,
    digest: Digest,
    wasm: Vec<u8>,
) -> Result<GuestModule, NotReady> {
    let _turn = at.compile_turns.turn(definition.source.namespace()).await;
    at.compiler.compile_shared(digest, &wasm).await.map_err(|error| match error {
        ModuleError::NotCompiled(error) if !error.is_of_the_module() => {
            NotReady::Unavailable(error.to_string())
        }
        error @ ModuleError::NoRoom(_) => NotReady::Unavailable(error.to_string()),
        error => NotReady::Refused(error.to_string()),
    })
}

/// What a guest may read, when all of it has been listed: to a handler, a cache that is still being
/// filled would look like one without objects.
async fn readable(
    informers: impl Iterator<Item = (&(WatchedResource, SharedInformer), Option<BTreeSet<String>>)>,
    waits: &impl Fn(HandlerState),
) -> Result<Vec<ReadableCollection>, String> {
    let mut collections = Vec::new();
    for ((resource, informer), names) in informers {
        match informer.add_index(OWNER_INDEX, Arc::new(owners)).await {
            // Another handler reads it too.
            Ok(()) | Err(IndexError::Exists(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        listed(resource, informer, waits).await?;
        collections.push(ReadableCollection {
            kind: Arc::new(resource.kind.clone()),
            namespace: resource.namespace.clone(),
            names,
            lister: informer.lister().clone(),
        });
    }
    Ok(collections)
}

async fn listed(
    resource: &WatchedResource,
    informer: &SharedInformer,
    waits: &impl Fn(HandlerState),
) -> Result<(), String> {
    loop {
        match timeout(LIST_NOTICE, informer.wait_for_sync()).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(format!("the informer of {resource} has ended")),
            Err(_) => waits(HandlerState::Unreachable(format!(
                "it needs {resource} in the cache, which could not be listed yet"
            ))),
        }
    }
}

/// The informer of a resource, started if nobody has it yet.
pub(super) fn informer(at: &Surroundings, resource: &WatchedResource) -> SharedInformer {
    at.informers.informer(resource.clone(), || {
        let lister_watcher = ApiListerWatcher::new(at.client.clone(), resource.clone());
        let options = SharedInformerOptions { queue: resource.queue, ..Default::default() };
        SharedInformer::start(lister_watcher, options)
    })
}

/// How long a list may take before it is said that the handler waits for it.
const LIST_NOTICE: Duration = Duration::from_secs(10);
