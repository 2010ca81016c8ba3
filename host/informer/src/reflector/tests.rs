use tokio::task::JoinSet;

use super::*;
use crate::objects::{text, texts};
use crate::scripted_server::ScriptedServer;

mod listing;
mod watch_list;
mod watching;

/// A reflector that follows a scripted server, and the end of its channel.
struct Reflecting {
    server: ScriptedServer,
    reflected: mpsc::Receiver<Reflected>,
    status: watch::Receiver<ReflectorStatus>,
    counters: Arc<InformerCounters>,
    task: JoinSet<()>,
}

impl Reflecting {
    /// Starts it, with the answers that are prepared; all others are added while it runs.
    fn start(server: ScriptedServer) -> Self {
        let (reflected_tx, reflected) = mpsc::channel(REFLECTED_MAX);
        let (status_tx, status) = watch::channel(ReflectorStatus::default());
        let counters = Arc::new(InformerCounters::default());
        let reflector =
            Reflector::new(server.clone(), reflected_tx, status_tx, counters.clone(), None);
        let mut task = JoinSet::new();
        task.spawn(reflector.run());
        Self { server, reflected, status, counters, task }
    }

    /// Listed `text`, so that the next thing is a watch.
    async fn listed(text: &str) -> Self {
        let server = ScriptedServer::default();
        server.on_list(text);
        let mut reflecting = Self::start(server);
        reflecting.seen().await;
        reflecting.server.requests();
        reflecting
    }

    /// What it saw since the last call, when it has nothing left to do.
    async fn seen(&mut self) -> Vec<String> {
        self.seen_within(Duration::from_millis(1)).await
    }

    async fn seen_within(&mut self, wait: Duration) -> Vec<String> {
        sleep(wait).await;
        let mut seen = Vec::new();
        while let Ok(reflected) = self.reflected.try_recv() {
            seen.push(spelled(reflected));
        }
        seen
    }

    fn asked(&self) -> Vec<String> {
        self.server.asked()
    }

    fn failure(&self) -> Option<(Phase, String)> {
        let status = self.status.borrow();
        status.failure.as_ref().map(|it| (it.phase, it.error.to_string()))
    }
}

fn spelled(reflected: Reflected) -> String {
    match reflected {
        Reflected::Replaced { objects, left_out, resource_version } => {
            let mut words = texts(objects);
            words.extend(left_out.keys.iter().map(|key| format!("left-out={key}")));
            words.extend(left_out.others.then(|| "left-out".to_owned()));
            format!("listed rv={resource_version} {}", words.join(" "))
        }
        Reflected::Added(object) => format!("added {}", text(&object)),
        Reflected::Updated(object) => format!("updated {}", text(&object)),
        Reflected::Deleted(object) => format!("deleted {}", text(&object)),
        Reflected::Bookmark { resource_version } => format!("bookmark rv={resource_version}"),
    }
}

/// Longer than the first delay.
const FIRST_DELAY: Duration = Duration::from_millis(1700);
/// Longer than any delay.
const ANY_DELAY: Duration = Duration::from_secs(61);

/// ★30 client-go: `TestReflectorListAndWatchWithErrors`. What is returned as an error there is in
/// the status here, with its phase.
#[tokio::test(start_paused = true)]
async fn scenario_30_reflector_list_and_watch_with_errors() {
    let server = ScriptedServer::default();
    server.on_list("rv=1").on_watch("added foo@2; added bar@3; expired");
    let mut reflecting = Reflecting::start(server.clone());
    assert_eq!(reflecting.seen().await, ["listed rv=1 ", "added foo@2", "added bar@3"]);

    server.on_list("rv=3 foo@2 bar@3").on_watch("deleted foo@4; added qux@5; expired");
    let seen = reflecting.seen_within(FIRST_DELAY).await;
    assert_eq!(seen, ["listed rv=3 bar@3 foo@2", "deleted foo@4", "added qux@5"]);
    assert_eq!(reflecting.failure(), None);

    server.on_list("unavailable");
    assert!(reflecting.seen_within(FIRST_DELAY).await.is_empty());
    assert_eq!(reflecting.failure(), Some((Phase::List, "unavailable".to_owned())));

    server.on_list("rv=5 bar@3 qux@5").refuse_watch("rejected 403");
    assert_eq!(reflecting.seen_within(ANY_DELAY).await, ["listed rv=5 bar@3 qux@5"]);
    let forbidden = "rejected with 403: rejected 403".to_owned();
    assert_eq!(reflecting.failure(), Some((Phase::Watch, forbidden)));

    server.on_list("rv=5 bar@3 qux@5").on_watch("added baz@6; unavailable");
    let seen = reflecting.seen_within(ANY_DELAY).await;
    assert_eq!(seen, ["listed rv=5 bar@3 qux@5", "added baz@6"]);
    assert_eq!(reflecting.failure(), Some((Phase::Watch, "unavailable".to_owned())));

    server.on_list("rv=6 bar@3 qux@5 baz@6");
    assert_eq!(reflecting.seen_within(ANY_DELAY).await, ["listed rv=6 bar@3 baz@6 qux@5"]);
    assert_eq!(reflecting.failure(), None);
    assert_eq!(reflecting.counters.failures.get(), 3);
    assert_eq!(reflecting.counters.lists.get(), 5);
    assert_eq!(reflecting.counters.events.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failure_shows_since_when_and_when_it_is_tried_again() {
    let server = ScriptedServer::default();
    server.on_list("unavailable").on_list("unavailable");
    let started = Instant::now();
    let mut reflecting = Reflecting::start(server);
    reflecting.seen().await;
    let next_try = reflecting.status.borrow().failure.as_ref().unwrap().next_try;
    assert!(next_try > started + Duration::from_millis(799));
    reflecting.seen_within(FIRST_DELAY).await;
    let failure = reflecting.status.borrow().failure.clone().unwrap();
    assert_eq!(failure.since, started, "a series of failures is one outage");
    assert!(failure.next_try > next_try);
}

#[tokio::test(start_paused = true)]
async fn delays_grow_while_nothing_succeeds() {
    let server = ScriptedServer::default();
    for _ in 0..9 {
        server.on_list("unavailable");
    }
    let mut reflecting = Reflecting::start(server.clone());
    reflecting.seen_within(600 * Duration::from_secs(1)).await;
    let mut requests = server.requests();
    requests.remove(0);
    let bases = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0];
    requests.truncate(bases.len() + 1);
    for (pair, base) in requests.windows(2).zip(bases) {
        let delay = (pair[1].at - pair[0].at).as_secs_f64();
        assert!((base..2.0 * base + 0.002).contains(&delay), "{delay} for base {base}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lister_watcher_that_panics_is_asked_again() {
    let server = ScriptedServer::default();
    server.on_list("panic").on_list("rv=1 a@1");
    let mut reflecting = Reflecting::start(server);
    assert_eq!(reflecting.seen().await, Vec::<String>::new());
    assert!(reflecting.failure().unwrap().1.contains("panicked"));
    assert_eq!(reflecting.seen_within(FIRST_DELAY).await, ["listed rv=1 a@1"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_listens_any_more() {
    let mut reflecting = Reflecting::listed("rv=1 a@1").await;
    reflecting.reflected.close();
    reflecting.server.say("added b@2");
    assert!(reflecting.task.join_next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_the_phase_and_the_progress() {
    let server = ScriptedServer::default();
    server.on_watch_list("added a@1; added b@2; wait 10s; end rv=2");
    let mut reflecting = Reflecting::start(server.clone());
    reflecting.seen().await;
    let status = reflecting.status.borrow().clone();
    assert_eq!((status.phase, status.listed, status.has_listed), (Phase::WatchList, 2, false));
    reflecting.seen_within(Duration::from_secs(10)).await;
    let status = reflecting.status.borrow().clone();
    assert_eq!((status.phase, status.listed, status.has_listed), (Phase::Watch, 2, true));
}
