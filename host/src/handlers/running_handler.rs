//! One handler, from its file to its place at each informer.
//!
//! in:   a [`HandlerFile`]
//! out:  registrations at the informers of what it watches
//! runs: one task per handler until it is registered or has failed.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use informer::{
    DeadLetter, DeliveryCounts, HandlerOptions, HandlerRegistration, IndexError, SharedInformer,
    SharedInformerOptions,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::directory::HandlerFile;
use super::registry::Surroundings;
use crate::api_server::{ApiListerWatcher, KindError, WatchedResource, find_kind};
use crate::guest::{
    GuestHandler, GuestModule, OWNER_INDEX, ReadableCollection, SharedGuest, WatchDeclaration,
    owners,
};

/// Where a handler stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerState {
    /// Its module is read, compiled and started.
    Loading,
    /// The server does not tell what it serves, or does not list what the handler reads; it is asked
    /// again.
    Unreachable(String),
    /// The server does not serve a kind that it watches; it is asked again.
    UnknownKind(String),
    /// It is registered at its informers.
    Running,
    /// It cannot be used as it is.
    Failed(String),
}

/// What is known of a handler.
#[derive(Clone, Debug)]
pub struct HandlerStatus {
    /// Its name.
    pub name: String,
    /// The file that describes it.
    pub file: PathBuf,
    /// Where it stands.
    pub state: HandlerState,
    /// It has handled its initial lists.
    pub has_synced: bool,
    /// Over all its watches.
    pub counts: DeliveryCounts,
    /// Notifications that it has not handled yet.
    pub pending: usize,
    /// Objects that failed for good.
    pub dead_letters: Vec<DeadLetter>,
}

pub(super) struct RunningHandler {
    file: HandlerFile,
    state: watch::Sender<HandlerState>,
    registrations: Mutex<Vec<Arc<HandlerRegistration>>>,
    /// Informers of what it may read and does not watch.
    granted: Mutex<Vec<SharedInformer>>,
}

impl RunningHandler {
    pub(super) fn new(file: HandlerFile) -> Self {
        Self {
            file,
            state: watch::Sender::new(HandlerState::Loading),
            registrations: Mutex::default(),
            granted: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<HandlerState> {
        self.state.subscribe()
    }

    /// Loads the handler; ends when it is registered everywhere, or has failed.
    pub(super) async fn load(&self, surroundings: &Surroundings) {
        let handler = &*self.file.name;
        let state = match self.try_load(surroundings).await {
            Ok(resources) => {
                let watches = resources.iter().map(ToString::to_string).collect::<Vec<_>>();
                tracing::info!(handler, watches = watches.join("; "), "handler loaded");
                HandlerState::Running
            }
            Err(problem) => {
                let file = self.file.file.display();
                tracing::error!(handler, %file, problem, "handler not loaded");
                HandlerState::Failed(problem)
            }
        };
        self.state.send_replace(state);
    }

    async fn try_load(&self, at: &Surroundings) -> Result<Vec<WatchedResource>, String> {
        let HandlerFile { name, module, spec, .. } = &self.file;
        let wasm = read_module(module).await?;
        let (guest, declared) = self.start(at, wasm).await?;
        let in_spec = spec.watches()?;
        let watches = if in_spec.is_empty() { declared } else { in_spec };
        if watches.len() > RESOURCES_MAX {
            let count = watches.len();
            return Err(format!("it names {count} watches, more than {RESOURCES_MAX}"));
        }
        if watches.is_empty() {
            return Err("it watches nothing: name `spec.watches` in a handler spec, or return \
                        them from the module's `watches`"
                .to_owned());
        }
        let mut resources = Vec::<WatchedResource>::new();
        for watch in &watches {
            for resource in self.find(at, watch).await? {
                // What is named twice is watched once.
                match resources.iter().find(|it| it.is_same_collection(&resource)) {
                    None => resources.push(resource),
                    Some(twin) if twin.queue == resource.queue => {}
                    Some(twin) => {
                        return Err(format!("it watches {twin} and {resource}: name one `queue`"));
                    }
                }
            }
        }
        let granted = self.find_granted(at, &guest, &resources).await?;
        if resources.len() + granted.len() > RESOURCES_MAX {
            let count = resources.len() + granted.len();
            return Err(format!(
                "it watches or reads {count} resources, more than {RESOURCES_MAX}"
            ));
        }
        let informers: Vec<SharedInformer> = resources.iter().map(|it| informer(at, it)).collect();
        if guest.reads_cache() {
            let granted_informers: Vec<_> = granted.iter().map(|it| informer(at, it)).collect();
            // They have no registration that would keep them.
            *self.granted.lock().unwrap_or_else(PoisonError::into_inner) =
                granted_informers.clone();
            let resources = resources.iter().chain(&granted);
            let informers = informers.iter().chain(&granted_informers);
            self.open_cache(&guest, resources.zip(informers).collect()).await?;
        }
        let unsynced_watches = Arc::new(AtomicUsize::new(resources.len()));
        for (resource, informer) in resources.iter().zip(&informers) {
            let kind = resource.kind.clone();
            let handler = GuestHandler::new(name, kind, guest.clone(), unsynced_watches.clone());
            let options = HandlerOptions {
                delivery: spec.delivery(),
                resync_period: spec.delivery.resync_period,
                runtime: Some(at.guests.clone()),
            };
            let registration = informer.add_event_handler(handler, options).await;
            self.registrations().push(Arc::new(registration));
        }
        Ok(resources)
    }

    /// What the handler may read and does not watch.
    async fn find_granted(
        &self,
        at: &Surroundings,
        guest: &SharedGuest,
        watched: &[WatchedResource],
    ) -> Result<Vec<WatchedResource>, String> {
        let grants = self.file.spec.read_grants();
        if !grants.is_empty() && !guest.reads_cache() {
            let handler = &*self.file.name;
            tracing::warn!(handler, "spec.grants.read is of no use: the module imports no cache");
            return Ok(Vec::new());
        }
        let mut granted = Vec::<WatchedResource>::new();
        for grant in &grants {
            for resource in self.find(at, grant).await? {
                let mut known = watched.iter().chain(&granted);
                if !known.any(|it| it.is_same_collection(&resource)) {
                    granted.push(resource);
                }
            }
        }
        Ok(granted)
    }

    /// Lets the guest read these, when all of them have been listed: to a handler, a cache that is
    /// still being filled would look like one without objects.
    async fn open_cache(
        &self,
        guest: &SharedGuest,
        informers: Vec<(&WatchedResource, &SharedInformer)>,
    ) -> Result<(), String> {
        let mut collections = Vec::new();
        for (resource, informer) in informers {
            match informer.add_index(OWNER_INDEX, Arc::new(owners)).await {
                // Another handler reads it too.
                Ok(()) | Err(IndexError::Exists(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
            loop {
                match timeout(LIST_NOTICE, informer.wait_for_sync()).await {
                    Ok(true) => break,
                    Ok(false) => return Err(format!("the informer of {resource} has ended")),
                    Err(_) => self.waits(HandlerState::Unreachable(format!(
                        "it reads {resource} from the cache, which could not be listed yet"
                    ))),
                }
            }
            collections.push(ReadableCollection {
                kind: Arc::new(resource.kind.clone()),
                namespace: resource.namespace.clone(),
                lister: informer.lister().clone(),
            });
        }
        guest.let_read(collections);
        Ok(())
    }

    async fn start(
        &self,
        at: &Surroundings,
        wasm: Vec<u8>,
    ) -> Result<(SharedGuest, Vec<WatchDeclaration>), String> {
        let HandlerFile { name, spec, .. } = &self.file;
        let engine = at.engine.clone();
        // One at a time: compiling uses every core by itself.
        static COMPILING: Semaphore = Semaphore::const_new(1);
        let turn = COMPILING.acquire().await.map_err(|error| error.to_string())?;
        let compiled =
            tokio::task::spawn_blocking(move || GuestModule::compile(&engine, &wasm)).await;
        let module = compiled
            .map_err(|error| format!("compiling the module ended early: {error}"))?
            .map_err(|error| error.to_string())?;
        drop(turn);
        let (name, config, limits) = (name.clone(), spec.config_json(), spec.limits(&at.ceilings)?);
        let started =
            at.guests.spawn(async move { SharedGuest::start(module, &name, config, limits).await });
        started
            .await
            .map_err(|error| format!("starting the module ended early: {error}"))?
            .map_err(|error| error.to_string())
    }

    /// The resources of one watch, as soon as the server serves them.
    async fn find(
        &self,
        at: &Surroundings,
        watch: &WatchDeclaration,
    ) -> Result<Vec<WatchedResource>, String> {
        let WatchDeclaration { api_version, kind, namespaces, .. } = watch;
        check_path_parts(watch)?;
        let mut wait = KIND_RETRY_MIN;
        let kind = loop {
            let found = find_kind(&at.client, api_version, kind, !namespaces.is_empty());
            let state = match timeout(FIND_TIMEOUT, found).await {
                Err(_) => HandlerState::Unreachable(format!("no answer within {FIND_TIMEOUT:?}")),
                Ok(found) => match found {
                    Ok(kind) => break kind,
                    Err(
                        error @ (KindError::ClusterScoped { .. } | KindError::NotWatchable { .. }),
                    ) => {
                        return Err(error.to_string());
                    }
                    Err(error @ KindError::Unknown { .. }) => {
                        HandlerState::UnknownKind(error.to_string())
                    }
                    Err(error @ KindError::Discovery(_)) => {
                        HandlerState::Unreachable(error.to_string())
                    }
                },
            };
            self.waits(state);
            sleep(wait).await;
            wait = (wait * 2).min(KIND_RETRY_MAX);
        };
        let in_namespace = |namespace: Option<String>| WatchedResource {
            kind: kind.clone(),
            namespace,
            label_selector: watch.label_selector.clone(),
            field_selector: watch.field_selector.clone(),
            queue: watch.queue,
        };
        Ok(match namespaces.as_slice() {
            [] => vec![in_namespace(None)],
            namespaces => namespaces.iter().cloned().map(Some).map(in_namespace).collect(),
        })
    }

    /// Notes why the handler waits; said once for each reason.
    fn waits(&self, state: HandlerState) {
        let (handler, file) = (&*self.file.name, self.file.file.display());
        if self.state.send_replace(state.clone()) != state
            && let HandlerState::Unreachable(problem) | HandlerState::UnknownKind(problem) = state
        {
            tracing::warn!(handler, %file, problem, "handler waits; the server is asked again");
        }
    }

    /// Takes nothing new, and lets the handler finish what is queued until the deadline; gives how
    /// many notifications were not delivered.
    pub(super) async fn drain(&self, deadline: Duration) -> usize {
        // Kept, so that what became of the notifications can still be told.
        let registrations = self.registrations().clone();
        let left = join_all(registrations.iter().map(|it| it.remove(deadline))).await;
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        left.into_iter().sum()
    }

    pub(super) fn status(&self) -> HandlerStatus {
        let registrations = self.registrations();
        let mut counts = DeliveryCounts::default();
        for registration in registrations.iter() {
            counts += registration.counts();
        }
        HandlerStatus {
            name: self.file.name.clone(),
            file: self.file.file.clone(),
            state: self.state.borrow().clone(),
            has_synced: *self.state.borrow() == HandlerState::Running
                && registrations.iter().all(|it| it.has_synced()),
            counts,
            pending: registrations.iter().map(|it| it.pending()).sum(),
            dead_letters: registrations.iter().flat_map(|it| it.dead_letters()).collect(),
        }
    }

    fn registrations(&self) -> std::sync::MutexGuard<'_, Vec<Arc<HandlerRegistration>>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn informer(at: &Surroundings, resource: &WatchedResource) -> SharedInformer {
    at.informers.informer(resource.clone(), || {
        let lister_watcher = ApiListerWatcher::new(at.client.clone(), resource.clone());
        let options = SharedInformerOptions { queue: resource.queue, ..Default::default() };
        SharedInformer::start(lister_watcher, options)
    })
}

/// Version and namespaces become parts of a path on the server, and a module may have made them up.
fn check_path_parts(watch: &WatchDeclaration) -> Result<(), String> {
    let WatchDeclaration { api_version, kind, namespaces, .. } = watch;
    let is_path_part = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        !text.is_empty() && text.bytes().all(is_plain) && !text.contains("..")
    };
    if let Some(namespace) = namespaces.iter().find(|it| !is_path_part(it)) {
        return Err(format!(
            "the watch of {kind} names the namespace {namespace:?}, which cannot exist (leave \
             `namespaces` out for all of them)"
        ));
    }
    if api_version.split('/').count() > 2 || !api_version.split('/').all(is_path_part) {
        return Err(format!(
            "the watch of {kind} names the apiVersion {api_version:?}, which cannot exist"
        ));
    }
    Ok(())
}

/// The module's bytes. An error names the file.
pub(crate) async fn read_module(module: &Path) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("module {}: {error}", module.display());
    let metadata = tokio::fs::metadata(module).await.map_err(named)?;
    if !metadata.is_file() {
        return Err(format!("module {} is not a file", module.display()));
    }
    let size = metadata.len();
    if size > MODULE_BYTES_MAX {
        return Err(format!(
            "module {} has {size} bytes, more than {MODULE_BYTES_MAX}",
            module.display()
        ));
    }
    tokio::fs::read(module).await.map_err(named)
}

/// A Python runtime is 18 MB, the largest that was tried.
const MODULE_BYTES_MAX: u64 = 32 << 20;

/// Watches times namespaces of one handler. Each is a connection to the server.
const RESOURCES_MAX: usize = 64;

/// How long the server may take to tell what it serves.
const FIND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a list may take before it is said that the handler waits for it.
const LIST_NOTICE: Duration = Duration::from_secs(10);

/// How often the server is asked again for a kind that it does not serve.
const KIND_RETRY_MIN: Duration = Duration::from_secs(1);
const KIND_RETRY_MAX: Duration = Duration::from_secs(30);
