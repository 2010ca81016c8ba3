//! A server with random objects and random faults, all of them drawn from one seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use informer::{
    ListOptions, ListPage, ListerWatcher, ListerWatcherError, Object, ObjectKey, WatchEvent,
    WatchOptions,
};
use tokio::sync::watch;

use crate::objects::object;

/// What can go wrong, each with a chance in a thousand at each occasion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refused: u32,
    pub(crate) too_many_requests: u32,
    pub(crate) unavailable: u32,
    pub(crate) expired: u32,
    pub(crate) hang_up: u32,
    pub(crate) dead: u32,
    pub(crate) rejected: u32,
    /// Among the initial events too.
    pub(crate) rejected_initially: bool,
    pub(crate) bookmark: u32,
    pub(crate) panic: u32,
}

/// What the server makes of a watch-list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WatchList {
    Answered,
    BadRequest,
    /// It sends the objects and never says that they are all.
    NeverEnds,
}

#[derive(Clone)]
pub(crate) struct Server {
    world: Arc<Mutex<World>>,
    version: watch::Sender<u64>,
}

pub(crate) struct World {
    rng: fastrand::Rng,
    faults: Faults,
    watch_list: WatchList,
    version: u64,
    uids: u64,
    /// As they are now.
    objects: Objects,
    /// Every change there ever was, by version.
    log: Vec<Change>,
    /// A watch from before is refused.
    compacted: u64,
}

#[derive(Clone)]
struct Change {
    version: u64,
    event: WatchEvent,
}

type Objects = BTreeMap<ObjectKey, Arc<Object>>;

impl Server {
    pub(crate) fn new(seed: u64, faults: Faults, watch_list: WatchList) -> Self {
        let rng = fastrand::Rng::with_seed(seed ^ 0x5e12);
        let world = World {
            rng,
            faults,
            watch_list,
            version: 1,
            uids: 0,
            objects: Objects::new(),
            log: Vec::new(),
            compacted: 0,
        };
        Self { world: Arc::new(Mutex::new(world)), version: watch::Sender::new(1) }
    }

    /// The objects as they are now.
    pub(crate) fn objects(&self) -> Vec<Arc<Object>> {
        self.world().objects.values().cloned().collect()
    }

    /// The objects as they were at this version.
    pub(crate) fn objects_at(&self, version: u64) -> Vec<Arc<Object>> {
        self.world().objects_at(version).into_values().collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.world().version
    }

    /// Changes the object of this name in a random way.
    pub(crate) fn mutate(&self, name: &str) {
        let mut world = self.world();
        let old = world.objects.get(&ObjectKey::new(None, name)).cloned();
        match (old, world.rng.u8(0..10)) {
            (None, _) => world.create(name),
            (Some(old), 0..=6) => world.update(&old),
            (Some(old), 7..=8) => world.delete(&old),
            (Some(old), _) => {
                world.delete(&old);
                world.create(name);
            }
        }
        self.version.send_replace(world.version);
    }

    /// Forgets the changes up to a random version.
    pub(crate) fn compact(&self) {
        let mut world = self.world();
        let (from, to) = (world.compacted, world.version);
        world.compacted = world.rng.u64(from..=to);
    }

    pub(crate) fn calm_down(&self) {
        self.world().faults = Faults::default();
    }

    /// Streams that somebody holds.
    pub(crate) fn watches(&self) -> usize {
        self.version.receiver_count()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn create(&mut self, name: &str) {
        self.uids += 1;
        let uid = format!("{name}#{}", self.uids);
        self.change(&uid, WatchEvent::Added);
    }

    fn update(&mut self, old: &Object) {
        self.change(&old.uid, WatchEvent::Modified);
    }

    fn delete(&mut self, old: &Object) {
        self.change(&old.uid, WatchEvent::Deleted);
    }

    fn change(&mut self, uid: &str, event: fn(Arc<Object>) -> WatchEvent) {
        self.version += 1;
        let event = event(object(&format!("{uid}@{}", self.version)));
        apply(&mut self.objects, &event);
        self.log.push(Change { version: self.version, event });
    }

    fn changes_after(&self, version: u64) -> &[Change] {
        &self.log[self.log.partition_point(|change| change.version <= version)..]
    }

    fn objects_at(&self, version: u64) -> Objects {
        if version == self.version {
            return self.objects.clone();
        }
        let mut objects = Objects::new();
        for change in self.log.iter().take_while(|change| change.version <= version) {
            apply(&mut objects, &change.event);
        }
        objects
    }

    fn chance(&mut self, in_a_thousand: u32) -> bool {
        self.rng.u32(0..1000) < in_a_thousand
    }

    /// A fault on opening something.
    fn fault(&mut self) -> Option<ListerWatcherError> {
        let faults = self.faults;
        if self.chance(faults.panic) {
            // Without the message that a panic would print.
            std::panic::resume_unwind(Box::new("as the simulation wants"));
        }
        if self.chance(faults.refused) {
            return Some(ListerWatcherError::NoConnection("refused".to_owned()));
        }
        if self.chance(faults.too_many_requests) {
            let seconds = self.rng.u64(0..20);
            let retry_after = self.rng.bool().then(|| Duration::from_secs(seconds));
            let message = "too many".to_owned();
            return Some(ListerWatcherError::TooManyRequests { retry_after, message });
        }
        if self.chance(faults.unavailable) {
            return Some(ListerWatcherError::Unavailable("unavailable".to_owned()));
        }
        self.chance(faults.expired).then(|| ListerWatcherError::Expired("expired".to_owned()))
    }

    /// A state that is at least as new as this version; any that is there for `"0"`.
    fn version_for(&mut self, asked: &str) -> Result<u64, ListerWatcherError> {
        if asked.is_empty() {
            return Ok(self.version);
        }
        let asked: u64 = asked.parse().expect("a version of ours");
        if asked > self.version {
            return Err(ListerWatcherError::TooLargeResourceVersion(asked.to_string()));
        }
        let oldest = asked.max(self.compacted).max(1);
        Ok(self.rng.u64(oldest..=self.version))
    }

    /// The answer to one list request; a token is `version:offset`.
    fn page(&mut self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        if let Some(error) = self.fault() {
            return Err(error);
        }
        let (version, offset) = match &options.continue_token {
            Some(token) => {
                let (version, offset) = token.split_once(':').expect("a token of ours");
                (version.parse().expect("a version"), offset.parse().expect("an offset"))
            }
            None => (self.version_for(&options.resource_version)?, 0),
        };
        if offset > 0 && version < self.compacted {
            return Err(ListerWatcherError::Expired("the token".to_owned()));
        }
        let all: Vec<_> = self.objects_at(version).into_values().collect();
        let page_size = options.limit.map_or(usize::MAX, |_| 3);
        let objects: Vec<_> = all.iter().skip(offset).take(page_size).cloned().collect();
        let next = offset + objects.len();
        Ok(ListPage {
            resource_version: version.to_string(),
            continue_token: (next < all.len()).then(|| format!("{version}:{next}")),
            objects,
            rejected: Vec::new(),
            rejected_keys: Vec::new(),
        })
    }
}

fn apply(objects: &mut Objects, event: &WatchEvent) {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            objects.insert(object.key.clone(), object.clone());
        }
        WatchEvent::Deleted(object) => _ = objects.remove(&object.key),
        _ => unreachable!("only changes are applied"),
    }
}

impl ListerWatcher for Server {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        tokio::task::yield_now().await;
        self.world().page(options)
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        tokio::task::yield_now().await;
        let mut world = self.world();
        if let Some(error) = world.fault() {
            return Err(error);
        }
        let mut stream = Stream {
            server: self.clone(),
            changed: self.version.subscribe(),
            prepared: Vec::new(),
            never_ends: false,
            position: 0,
        };
        if options.send_initial_events {
            if matches!(world.watch_list, WatchList::BadRequest) {
                let message = "no sendInitialEvents here".to_owned();
                return Err(ListerWatcherError::Rejected { code: 400, message });
            }
            stream.position = world.version_for(&options.resource_version)?;
            stream.never_ends = matches!(world.watch_list, WatchList::NeverEnds);
            let end = WatchEvent::Bookmark {
                resource_version: stream.position.to_string(),
                initial_events_end: true,
            };
            let mut objects: Vec<_> = world.objects_at(stream.position).into_values().collect();
            world.rng.shuffle(&mut objects);
            stream.prepared.push(end);
            stream.prepared.extend(objects.into_iter().map(WatchEvent::Added));
        } else {
            stream.position = options.resource_version.parse().expect("a version of ours");
        }
        drop(world);
        Ok(stream::unfold(stream, |mut stream| async {
            let item = stream.next().await?;
            Some((item, stream))
        })
        .boxed())
    }
}

/// One watch.
struct Stream {
    server: Server,
    changed: watch::Receiver<u64>,
    /// The initial events, the last one first.
    prepared: Vec<WatchEvent>,
    never_ends: bool,
    position: u64,
}

enum Said {
    Item(Result<WatchEvent, ListerWatcherError>),
    /// Nothing more, and the connection stays.
    Dead,
    HungUp,
    /// Nothing has changed.
    Wait,
}

impl Stream {
    async fn next(&mut self) -> Option<Result<WatchEvent, ListerWatcherError>> {
        loop {
            match self.say() {
                Said::Item(item) => return Some(item),
                Said::Dead => std::future::pending().await,
                Said::HungUp => return None,
                Said::Wait => self.changed.changed().await.ok()?,
            }
        }
    }

    fn say(&mut self) -> Said {
        let mut world = self.server.world.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = world.faults;
        if world.chance(faults.dead) {
            return Said::Dead;
        }
        if world.chance(faults.hang_up) {
            return Said::HungUp;
        }
        let may_reject = faults.rejected_initially || self.prepared.is_empty();
        if may_reject && world.chance(faults.rejected) {
            return Said::Item(Ok(WatchEvent::Rejected("unreadable".to_owned())));
        }
        if world.chance(faults.expired + faults.unavailable + faults.too_many_requests)
            && let Some(error) = world.fault()
        {
            return Said::Item(Err(error));
        }
        if self.prepared.len() == 1 && self.never_ends {
            return Said::Dead;
        }
        if let Some(event) = self.prepared.pop() {
            return Said::Item(Ok(event));
        }
        if self.position < world.compacted {
            return Said::Item(Err(ListerWatcherError::Expired("compacted".to_owned())));
        }
        if let Some(change) = world.changes_after(self.position).first() {
            self.position = change.version;
            return Said::Item(Ok(change.event.clone()));
        }
        if world.chance(faults.bookmark) {
            let resource_version = world.version.to_string();
            let initial_events_end = false;
            return Said::Item(Ok(WatchEvent::Bookmark { resource_version, initial_events_end }));
        }
        Said::Wait
    }
}
