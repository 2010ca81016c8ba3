use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;

const PERIODS: AccessPeriods = AccessPeriods {
    valid_for: Duration::from_secs(20),
    recheck: Duration::from_secs(30),
    kept_for: Duration::from_secs(60),
};

/// A server that counts how often it is asked, and takes a second for each answer.
#[derive(Default)]
struct Server(AtomicUsize);

impl Server {
    async fn says(&self, answer: Result<Decision, &str>) -> Result<Decision, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        answer.map_err(str::to_owned)
    }

    fn asked(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn question(name: &str) -> Question {
    let access = Access {
        verb: "list",
        group: String::new(),
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        namespace: None,
        name: None,
    };
    (ServiceAccount::new("prod", name).unwrap(), access)
}

fn denied() -> Decision {
    Decision::Denied("no rule".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_valid_for_its_time_whether_it_allows_or_denies() {
    for decision in [Decision::Allowed, denied()] {
        let (decisions, server) = (Decisions::default(), Server::default());
        let decide = |answer| decisions.decide(question("a"), PERIODS, server.says(answer));
        assert_eq!(decide(Ok(decision.clone())).await, Ok(decision.clone()));
        advance(PERIODS.valid_for - Duration::from_millis(1)).await;
        assert_eq!(decide(Err("down")).await, Ok(decision.clone()));
        assert_eq!(server.asked(), 1);
        advance(Duration::from_millis(1)).await;
        let other = if decision == Decision::Allowed { denied() } else { Decision::Allowed };
        assert_eq!(decide(Ok(other.clone())).await, Ok(other));
        assert_eq!(server.asked(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn each_account_has_its_own_decision() {
    let (decisions, server) = (Decisions::default(), Server::default());
    let decide = |name, answer| decisions.decide(question(name), PERIODS, server.says(answer));
    assert_eq!(decide("a", Ok(Decision::Allowed)).await, Ok(Decision::Allowed));
    assert_eq!(decide("b", Ok(denied())).await, Ok(denied()));
    assert_eq!(decide("a", Ok(denied())).await, Ok(Decision::Allowed));
}

#[tokio::test(start_paused = true)]
async fn who_asks_at_one_time_gets_one_answer() {
    let (decisions, server) = (Decisions::default(), Server::default());
    // Valid for no time at all: what is shared is the request.
    let periods = AccessPeriods { valid_for: Duration::ZERO, ..PERIODS };
    for (round, answer) in [Ok(Decision::Allowed), Err("down")].into_iter().enumerate() {
        let ask = |_| decisions.decide(question("a"), periods, server.says(answer.clone()));
        let answers = join_all((0..50).map(ask)).await;
        assert!(answers.iter().all(|it| *it == Ok(Decision::Allowed)), "{answers:?}");
        assert_eq!(server.asked(), round + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_server_the_last_decision_counts_for_a_while_and_then_nothing_is_allowed() {
    let (decisions, server) = (Decisions::default(), Server::default());
    let decide = |answer| decisions.decide(question("a"), PERIODS, server.says(answer));
    assert_eq!(decide(Err("down")).await, Err("down".to_owned()), "nothing was ever decided");
    assert_eq!(decide(Ok(Decision::Allowed)).await, Ok(Decision::Allowed));
    // Each request takes a second.
    advance(PERIODS.valid_for + PERIODS.kept_for - Duration::from_millis(1001)).await;
    assert_eq!(decide(Err("down")).await, Ok(Decision::Allowed));
    assert_eq!(decide(Err("down")).await, Err("down".to_owned()));
    assert_eq!(decide(Ok(Decision::Allowed)).await, Ok(Decision::Allowed), "it is back");
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_does_not_keep_the_others() {
    let (decisions, server) = (Decisions::default(), Server::default());
    let decide = || decisions.decide(question("a"), PERIODS, server.says(Ok(Decision::Allowed)));
    let given_up = tokio::time::timeout(Duration::from_millis(500), decide()).await;
    assert!(given_up.is_err());
    assert_eq!(decide().await, Ok(Decision::Allowed));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_kept() {
    let decisions = Decisions::default();
    for n in 0..2 * DECISIONS_MAX + 10 {
        let answer = async { Ok(Decision::Allowed) };
        decisions.decide(question(&format!("a{n}")), PERIODS, answer).await.unwrap();
        if n == DECISIONS_MAX + 5 {
            advance(PERIODS.valid_for + PERIODS.kept_for).await;
        }
        assert!(decisions.0.lock().unwrap().len() <= DECISIONS_MAX);
    }
}
