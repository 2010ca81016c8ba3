//! client-go and informerd side by side on a real API server: what happened explains what each was
//! told.
//!
//! Four observers watch the same two kinds through the same proxy: client-go's dynamic informers, a
//! handler with each kind of queue, and one with a buffer of one notification, whose notifications
//! merge. Clients write all the time; the API server is killed, the observers are cut off, for a
//! moment and until etcd has forgotten what they missed. Nothing is compared by eye: see
//! `support/explanation.rs` and `support/merged_deliveries.rs` for what is permitted.
//!
//! `INFORMERD_SIDE_BY_SIDE_ROUNDS` sets how often all of it happens: 1 by default.

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use artifacts::RECORDER;
use control_plane::{ControlPlane, EtcdChange};
use host::handlers::HandlerState;
use informer::QueueKind;
use kube::Client;
use kube::api::{DeleteParams, DynamicObject};
use tests::{
    ClientGo, Delivery, Event, Kind, Observed, Pipeline, ServerHistory, TcpProxy, TestHost, Told,
    View, Violation, apply, config_map, config_maps, create_widget_kind, deliveries_of, eventually,
    explain, explain_merges, server_view, storm_of, widget, widgets,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than client-go's longest wait between two attempts, a minute.
const PATIENCE: Duration = Duration::from_secs(150);
const WRITERS: u64 = 3;
/// Deleted and changed while nobody watches.
const KEPT: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn what_client_go_and_informerd_are_told_is_explained_by_what_happened() {
    let rounds = env::var("INFORMERD_SIDE_BY_SIDE_ROUNDS");
    let rounds = rounds.map_or(1, |rounds| rounds.parse().expect("a number of rounds"));
    let mut run = Run::start().await;
    for round in 0..rounds {
        run.kill_the_api_server(round).await;
        run.cut_off_for_a_moment(round).await;
        run.cut_off_until_etcd_has_forgotten(round).await;
    }
    let storm = Storm::start(&run.resources, 2 * rounds);
    sleep(Duration::from_secs(1)).await;
    storm.stop().await;
    run.converge().await;
    let verdict = run.explain_all().await;
    // Shown also if the test passes, and is all that shows then.
    let _ = writeln!(std::io::stderr(), "{verdict}");
}

/// One kind that is watched.
struct Resource {
    plural: &'static str,
    /// Where its objects lie in etcd.
    prefix: &'static str,
    kind: Kind,
    object: fn(&str, &str) -> DynamicObject,
}

fn resources(client: &Client) -> [Resource; 2] {
    [
        Resource {
            plural: "configmaps",
            prefix: "/registry/configmaps/",
            kind: config_maps(client),
            object: config_map,
        },
        Resource {
            plural: "widgets",
            prefix: "/registry/test.informerd.dev/widgets/",
            kind: widgets(client),
            object: widget,
        },
    ]
}

const CLIENT_GO: &str = "client-go";
const DELTA: &str = "side-by-side-delta";
const IN_ORDER: &str = "side-by-side-in-order";
/// Shares its informers with the one before.
const MERGING: &str = "side-by-side-merging";
const OBSERVERS: [(&str, Pipeline); 4] = [
    (CLIENT_GO, Pipeline::ClientGo),
    (DELTA, Pipeline::Delta),
    (IN_ORDER, Pipeline::InOrder),
    (MERGING, Pipeline::InOrder),
];

struct Run {
    control_plane: ControlPlane,
    proxy: TcpProxy,
    resources: [Resource; 2],
    client_go: ClientGo,
    host: TestHost,
    begin: Instant,
    /// What etcd has told so far, and where the rest begins.
    changes: Vec<EtcdChange>,
    next_revision: u64,
    begun_at: u64,
    /// By observer and plural.
    outages: BTreeMap<(&'static str, &'static str), Vec<RangeInclusive<u64>>>,
}

/// The newest version of each that was told when an outage began, by observer and plural.
type Outage = BTreeMap<(&'static str, &'static str), u64>;

impl Run {
    /// Everybody watches, and nothing is written.
    async fn start() -> Self {
        let begin = Instant::now();
        // So that the history can be read.
        let arguments = ["--storage-media-type=application/json"];
        let control_plane = ControlPlane::start_with(&arguments).await.unwrap();
        let client = control_plane.client().await.unwrap();
        create_widget_kind(&client).await;
        let resources = resources(&client);
        for resource in &resources {
            resource.apply_kept("first").await;
        }
        let proxy = TcpProxy::before(&control_plane).await;
        let watched = ["configmaps.v1.", "widgets.v1.test.informerd.dev"];
        let client_go = ClientGo::start(control_plane.kubeconfig_path(), &proxy.url(), &watched);
        let host = TestHost::start(proxy.client(&control_plane).await).await;
        for (name, queue, buffer) in
            [(DELTA, "delta", 10_000), (IN_ORDER, "in-order", 10_000), (MERGING, "in-order", 1)]
        {
            let spec = format!(
                "  watches:\n    - {{ apiVersion: v1, kind: ConfigMap, namespaces: [default], \
                 queue: {queue} }}\n    - {{ apiVersion: test.informerd.dev/v1, kind: Widget, \
                 namespaces: [default], queue: {queue} }}\n  delivery: {{ buffer: {buffer} }}\n"
            );
            assert_eq!(host.load(name, RECORDER, &spec).await, HandlerState::Running);
        }
        let (changes, next_revision) = control_plane.etcd_changes("/registry/", 1).await.unwrap();
        let run = Self {
            control_plane,
            proxy,
            resources,
            client_go,
            host,
            begin,
            changes,
            next_revision,
            begun_at: next_revision - 1,
            outages: BTreeMap::new(),
        };
        for (observer, _) in OBSERVERS {
            let is_synced = || run.told(observer).iter().any(|it| it.event == Event::Synced);
            eventually(&format!("{observer} syncs"), PATIENCE, is_synced).await;
        }
        run
    }

    /// In the middle of a storm, which goes on when it is back.
    async fn kill_the_api_server(&mut self, round: u64) {
        let storm = Storm::start(&self.resources, 2 * round);
        sleep(Duration::from_secs(1)).await;
        let outage = self.outage_begins();
        self.control_plane.kill_apiserver();
        self.control_plane.start_apiserver().await.unwrap();
        self.outage_ends(outage).await;
        sleep(Duration::from_secs(1)).await;
        storm.stop().await;
    }

    /// In the middle of a storm; the server still has what was missed, so this is not an outage in
    /// which anything may be skipped.
    async fn cut_off_for_a_moment(&mut self, round: u64) {
        let storm = Storm::start(&self.resources, 2 * round + 1);
        self.proxy.cut();
        sleep(Duration::from_millis(700)).await;
        self.proxy.mend();
        self.caught_up().await;
        storm.stop().await;
    }

    /// Nothing comes through, and nobody notices. Objects change, go, go and come again, and come
    /// and go, and when there is a connection again, only a list can tell.
    async fn cut_off_until_etcd_has_forgotten(&mut self, round: u64) {
        for resource in &self.resources {
            resource.apply_kept(&format!("before-{round}")).await;
        }
        self.caught_up().await;
        let outage = self.outage_begins();
        self.proxy.silence();
        for resource in &self.resources {
            resource.change_unseen(round).await;
        }
        self.read_history().await;
        // Nobody writes, so nothing is lost between the two.
        self.next_revision = self.control_plane.compact_etcd().await.unwrap();
        self.control_plane.start_apiserver().await.unwrap();
        self.proxy.mend();
        self.outage_ends(outage).await;
    }

    fn outage_begins(&self) -> Outage {
        let mut outage = Outage::new();
        for (observer, _) in OBSERVERS {
            let told = self.told(observer);
            for resource in &self.resources {
                let newest = newest_version(&told, resource.plural).max(self.begun_at);
                outage.insert((observer, resource.plural), newest);
            }
        }
        outage
    }

    /// Everybody watches again, so that nothing more may be skipped.
    async fn outage_ends(&mut self, outage: Outage) {
        self.caught_up().await;
        self.read_history().await;
        for (observed, newest) in outage {
            // Lists may be at any version so far.
            let missed = newest + 1..=self.next_revision - 1;
            self.outages.entry(observed).or_default().push(missed);
        }
    }

    /// Waits until everybody has been told of what is written now.
    async fn caught_up(&self) {
        for resource in &self.resources {
            apply(&resource.kind, &(resource.object)("marker", &self.elapsed().to_string())).await;
            let view = server_view(&resource.kind).await;
            let marker: u64 = view["default/marker"].1.parse().unwrap();
            for (observer, _) in OBSERVERS {
                let is_told = || newest_version(&self.told(observer), resource.plural) >= marker;
                let what = format!("{observer} catches up with {}", resource.plural);
                eventually(&what, PATIENCE, is_told).await;
            }
        }
    }

    async fn read_history(&mut self) {
        let read = self.control_plane.etcd_changes("/registry/", self.next_revision).await;
        let (changes, next_revision) = read.unwrap();
        self.changes.extend(changes);
        self.next_revision = next_revision;
    }

    /// Waits until every cache is what the server has. If one never is, the checker says why.
    async fn converge(&mut self) {
        let begin = Instant::now();
        self.caught_up().await;
        while begin.elapsed() < PATIENCE {
            self.client_go.ask_for_caches();
            sleep(Duration::from_millis(200)).await;
            let mut converged = true;
            for resource in &self.resources {
                let server = server_view(&resource.kind).await;
                let caches = OBSERVERS.map(|(observer, _)| self.cache(observer, resource.plural).0);
                converged &= caches.iter().all(|cache| *cache == server);
            }
            if converged {
                return;
            }
        }
    }

    /// What an observer was told, of all resources.
    fn told(&self, observer: &str) -> Vec<Delivery> {
        match observer {
            CLIENT_GO => self.client_go.deliveries(),
            handler => deliveries_of(handler).into_iter().filter(|it| it.ok).collect(),
        }
    }

    /// The cache, its version, and how often everything was listed for it.
    fn cache(&self, observer: &str, plural: &str) -> (View, u64, u64) {
        let queue = match observer {
            CLIENT_GO => {
                let cache = self.client_go.caches().remove(plural);
                return cache
                    .map_or_else(Default::default, |it| (it.objects, it.version, it.lists));
            }
            DELTA => QueueKind::Delta,
            _ => QueueKind::InOrder,
        };
        let informers = self.host.host.handlers().informers();
        let mut informers = informers
            .into_iter()
            .filter(|(resource, _)| resource.kind.plural == plural && resource.queue == queue);
        let (_, informer) = informers.next().expect("an informer of each kind and queue");
        assert!(informers.next().is_none(), "handlers with the same queue share an informer");
        let (objects, version) = informer.lister().snapshot();
        let state = |object: &informer::Object| {
            (object.uid.to_string(), object.resource_version.to_string())
        };
        let view = objects.iter().map(|it| (it.key.to_string(), state(it))).collect();
        (view, version.parse().unwrap_or_default(), informer.counters().lists.get())
    }

    /// The verdict, in one line. Fails with everything that cannot be explained.
    async fn explain_all(&mut self) -> String {
        self.read_history().await;
        let mut unexplained = Unexplained::default();
        let (mut keys, mut changes, mut merged) = (0, 0, BTreeMap::<&str, u64>::new());
        for resource in &self.resources {
            let plural = resource.plural;
            let history = ServerHistory::read(&self.changes, resource.prefix, self.begun_at);
            assert_eq!(history.view(), server_view(&resource.kind).await, "etcd's {plural}");
            keys += history.keys();
            changes += history.len();
            for (observer, pipeline) in OBSERVERS.into_iter().filter(|it| it.0 != MERGING) {
                let observed = self.observed(observer, pipeline, plural);
                let has_tombstone = observed.told.iter().any(|it| it.final_state_unknown);
                assert!(has_tombstone, "{observer} had to list {plural} again for what was gone");
                match explain(&history, &observed) {
                    Ok(explanation) => *merged.entry(observer).or_default() += explanation.merged,
                    Err(found) => {
                        let observer = format!("{observer}, {plural}");
                        unexplained.add(&observer, &found, &observed.told, &history);
                    }
                }
            }
        }
        let (full, told, merges) = (self.told(IN_ORDER), self.told(MERGING), self.merges(MERGING));
        match explain_merges(&full, &told, merges) {
            Ok(missing) => *merged.entry(MERGING).or_default() += missing,
            Err(found) => unexplained.add(MERGING, &found, &told, &ServerHistory::default()),
        }
        for (observer, _) in OBSERVERS {
            unexplained.0.extend(synced_wrongly(observer, &self.told(observer)));
        }
        for observer in [DELTA, IN_ORDER] {
            assert_eq!(self.merges(observer), 0, "{observer} kept up");
        }
        assert!(
            unexplained.0.is_empty(),
            "not everything that was told can be explained:\n{}\nclient-go's log:\n{}",
            unexplained.0.join("\n"),
            self.client_go.log()
        );
        let observers = OBSERVERS.map(|(observer, _)| {
            let name = observer.trim_start_matches("side-by-side-");
            format!("{name} {} ({} merged)", self.told(observer).len(), merged[observer])
        });
        format!(
            "side by side: {keys} keys, {changes} changes; told: {}; {} s; caches equal, \
             everything explained",
            observers.join(", "),
            self.begin.elapsed().as_secs(),
        )
    }

    fn observed(
        &self,
        observer: &'static str,
        pipeline: Pipeline,
        plural: &'static str,
    ) -> Observed {
        let (cache, cache_version, lists) = self.cache(observer, plural);
        let told = self.told(observer).into_iter().filter(|it| it.resource == plural).collect();
        let outages = self.outages.get(&(observer, plural)).cloned().unwrap_or_default();
        Observed { pipeline, told, outages, lists, cache, cache_version }
    }

    /// How often the host says that two of a handler's notifications have become one.
    fn merges(&self, handler: &str) -> u64 {
        let mut statuses = self.host.host.handlers().statuses().into_iter();
        statuses.find(|status| status.name == handler).unwrap().counts.merged
    }

    fn elapsed(&self) -> u128 {
        self.begin.elapsed().as_nanos()
    }
}

impl Resource {
    async fn apply_kept(&self, value: &str) {
        for n in 0..KEPT {
            apply(&self.kind, &(self.object)(&format!("kept-{n}"), value)).await;
        }
    }

    async fn change_unseen(&self, round: u64) {
        let delete = async |name: &str| {
            self.kind.delete(name, &DeleteParams::default()).await.unwrap();
        };
        let value = format!("unseen-{round}");
        for n in 0..KEPT {
            let kept = format!("kept-{n}");
            let changed = (self.object)(&kept, &value);
            match n % 5 {
                0 => delete(&kept).await,
                1 => {
                    delete(&kept).await;
                    apply(&self.kind, &changed).await;
                }
                2 => apply(&self.kind, &changed).await,
                3 => {
                    let brief = format!("brief-{n}");
                    apply(&self.kind, &(self.object)(&brief, &value)).await;
                    delete(&brief).await;
                }
                // Stays as it is.
                _ => {}
            }
        }
    }
}

/// Clients that write until they are stopped.
struct Storm {
    stop: Arc<AtomicBool>,
    writers: JoinSet<()>,
}

impl Storm {
    fn start(resources: &[Resource], seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for resource in resources {
            for writer in 0..WRITERS {
                let (kind, object, stop) = (resource.kind.clone(), resource.object, stop.clone());
                writers.spawn(async move {
                    for part in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let seed = 1000 * seed + 100 * writer + part;
                        storm_of(kind.clone(), object, seed, 10, 25).await;
                    }
                });
            }
        }
        Self { stop, writers }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.join_all().await;
    }
}

/// What cannot be explained, a line each.
#[derive(Default)]
struct Unexplained(Vec<String>);

impl Unexplained {
    fn add(
        &mut self,
        observer: &str,
        violations: &[Violation],
        told: &[Delivery],
        history: &ServerHistory,
    ) {
        self.0.extend(violations.iter().map(|violation| format!("{observer}: {violation}")));
        // The first object's whole story.
        if let Some(key) = violations.iter().find_map(Violation::key) {
            let told = told.iter().filter(|it| it.key == key).filter_map(Told::read);
            let told: Vec<String> = told.map(|it| it.to_string()).collect();
            self.0.push(format!("    what happened to {key}: {}", history.of(key)));
            self.0.push(format!("    what was told: {}", told.join(", ")));
        }
    }
}

/// The end of the initial lists is told once, after all that was in them.
fn synced_wrongly(observer: &str, told: &[Delivery]) -> Option<String> {
    let synced: Vec<usize> =
        (0..told.len()).filter(|at| told[*at].event == Event::Synced).collect();
    let initial = told.iter().rposition(|it| it.initial)?;
    match synced[..] {
        [synced] if synced > initial => None,
        _ => Some(format!(
            "{observer}: told of its initial lists' end at {synced:?}, they end at {initial}"
        )),
    }
}

fn newest_version(told: &[Delivery], plural: &str) -> u64 {
    let versions = told.iter().filter(|it| it.resource == plural);
    versions.map(|it| it.rv.parse().unwrap()).max().unwrap_or_default()
}
