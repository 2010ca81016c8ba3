//! Hostile guests, one after the other, each beside a good handler on the same informer. What becomes of the
//! guest is in the table; the good one is told everything meanwhile, the host answers, and after all of them
//! its memory, files and threads are what they were before.
//!
//! In a process of its own, since it measures the process. `--nocapture` shows a line for each case, which
//! `cargo xtask hostile` counts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use artifacts::RECORDER;
use host::handlers::{HandlerState, HandlerStatus};
use serde_json::json;
use tests::{
    Dev, ProcessUsage, TestHost, assert_chain, deliveries_of, final_view, forget_log_of,
    hostile_guest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cases::{Case, ELSEWHERE, Expected, NOT_APPLICABLE, Seen, cases};

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_guest_is_contained_and_leaves_nothing_behind() {
    let dev = Dev::start().await;
    let hidden = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "hidden", "namespace": "default" } });
    dev.storage().apply(hidden).unwrap();
    let neighbourhood = Neighbourhood { host: dev.host().await, dev };

    // In the first round, whatever is made once and kept is made: threads, connections, the allocator's
    // pools. These may still grow a little afterwards; what is left behind grows each time.
    let mut outcomes = neighbourhood.all_cases().await;
    let mut usages = vec![ProcessUsage::now()];
    let mut is_settled = false;
    while !is_settled && usages.len() < ROUNDS_MAX {
        let before = usages[usages.len() - 1];
        outcomes.extend(neighbourhood.all_cases().await);
        let after = neighbourhood.settled_usage(before).await;
        is_settled = !grew(before, after);
        usages.push(after);
    }

    // Each is there once for each round.
    let guests = cases().len();
    for (number, does, outcome) in &outcomes[outcomes.len() - guests..] {
        match outcome {
            Ok(outcome) => println!("contained {number} {does}: {outcome}"),
            Err(problem) => println!("NOT CONTAINED {number} {does}: {problem}"),
        }
    }
    for (number, test) in ELSEWHERE {
        println!("elsewhere {number} {test}");
    }
    for (number, reason) in NOT_APPLICABLE {
        println!("not applicable {number} {reason}");
    }
    println!("after each round: {usages:#?}");
    let failed = outcomes.iter().filter_map(|(number, does, outcome)| {
        let problem = outcome.as_ref().err()?;
        Some(format!("{number} {does}: {problem}"))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "not contained:\n{}", failed.join("\n"));
    assert!(is_settled, "each round leaves something behind: {usages:?}");
}

/// A host on an embedded API server.
struct Neighbourhood {
    host: TestHost,
    dev: Dev,
}

type Outcome = (&'static str, &'static str, Result<String, String>);

impl Neighbourhood {
    /// Plays the table; nothing is loaded before and after it. Names are the same each time, since the host
    /// keeps the last lines of handlers that have ended.
    async fn all_cases(&self) -> Vec<Outcome> {
        for name in OBJECTS {
            self.dev.apply(name, "at first");
        }
        assert_eq!(self.host.load(GOOD, RECORDER, MAPS).await, HandlerState::Running);
        let mut outcomes = Vec::new();
        for (index, case) in cases().iter().enumerate() {
            let handler = format!("{}-{index}", case.number.to_lowercase());
            let outcome = self.play(case, &handler).await;
            outcomes.push((case.number, case.does, outcome));
            self.host.unload(&handler).await;
            forget_log_of(&handler);
        }
        self.host.unload(GOOD).await;
        forget_log_of(GOOD);
        // The API server is in this process, too, and remembers what was changed.
        self.dev.storage().compact();
        outcomes
    }

    /// Loads the guest, lets the objects change, and looks at what became of it and of its neighbour.
    async fn play(&self, case: &Case, handler: &str) -> Result<String, String> {
        let wasm = hostile_guest(case.guest, &case.changes);
        let begin = Instant::now();
        let state = match self.host.begin_load_bytes(handler, &wasm, &case.spec) {
            Ok(()) => self.host.host.handlers().settled(handler).await.unwrap(),
            Err(problem) => HandlerState::Failed(problem),
        };
        let seen = match (&state, case.expected) {
            (HandlerState::Failed(problem), Expected::Refused(words)) => {
                self.update(case, handler, 1).await;
                (problem.contains(words).then_some(()), format!("refused: {problem}"), None)
            }
            (HandlerState::Running, expected) if !matches!(expected, Expected::Refused(_)) => {
                self.is_told_everything(handler).await?;
                self.update(case, handler, case.updates).await;
                self.is_told_everything(handler).await?;
                let status = self.host.status(handler);
                let (holds, outcome) = became(expected, &status);
                (holds, outcome, Some(status))
            }
            (state, _) => (None, format!("{state:?}"), None),
        };
        let (holds, outcome, status) = seen;
        holds.ok_or_else(|| format!("other than expected: {outcome}"))?;
        self.is_told_everything(GOOD).await?;
        let told = deliveries_of(GOOD);
        assert_chain(&told);
        if let Some(failed) = told.iter().find(|it| !it.ok) {
            return Err(format!("the good handler failed: {failed:?}"));
        }
        self.answers().await?;
        if let Some(status) = status {
            // What was dropped of its log is told at the latest when it is gone.
            self.host.host.handlers().remove(handler, Duration::ZERO).await;
            let (failed, merged) = (status.counts.failed, status.counts.merged);
            let seen = Seen { handler, failed, merged, elapsed: begin.elapsed() };
            while let Err(problem) = (case.also)(&seen) {
                if begin.elapsed() > seen.elapsed + Duration::from_secs(5) {
                    return Err(problem);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(outcome)
    }

    /// Changes every object so often.
    async fn update(&self, case: &Case, handler: &str, updates: usize) {
        for update in 0..updates {
            for name in OBJECTS {
                self.dev.apply(name, &format!("{handler} {update}"));
            }
            if case.spec.contains("kind: Secret") {
                let secret = json!({ "apiVersion": "v1", "kind": "Secret",
                    "metadata": { "name": "hidden", "namespace": "default" },
                    "stringData": { "update": update.to_string() } });
                self.dev.storage().apply(secret).unwrap();
            }
        }
    }

    /// Waits until the handler has handled the newest state of every object, or has given it up.
    async fn is_told_everything(&self, handler: &str) -> Result<(), String> {
        let version = |name: &str| {
            let object = self.dev.storage().get("v1", "ConfigMap", "default", name).unwrap();
            object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
        };
        let server = OBJECTS.map(|name| (format!("default/{name}"), version(name)));
        let server = BTreeMap::from(server);
        let begin = Instant::now();
        loop {
            let status = self.host.status(handler);
            if status.pending == 0 && status.has_synced {
                let view = final_view(&deliveries_of(handler), "configmaps");
                let mut known: BTreeMap<String, String> =
                    view.into_iter().map(|(key, (_, version))| (key, version)).collect();
                for dead in status.dead_letters {
                    known.insert(dead.key.as_str().to_owned(), dead.resource_version);
                }
                if known == server {
                    return Ok(());
                }
            }
            if begin.elapsed() > MINUTE {
                let pending = status.pending;
                return Err(format!("{handler} was not told everything, {pending} are pending"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The host is alive.
    async fn answers(&self) -> Result<(), String> {
        let ask = async {
            let mut stream = TcpStream::connect(self.host.host.http_address()).await?;
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        match ask.await {
            Ok(answer) if answer.contains("200 OK") => Ok(()),
            answer => Err(format!("the host does not answer: {answer:?}")),
        }
    }

    /// What the process holds, when that is no more than before; else, what it still holds after a while.
    async fn settled_usage(&self, before: ProcessUsage) -> ProcessUsage {
        let begin = Instant::now();
        loop {
            let now = ProcessUsage::now();
            if !grew(before, now) || begin.elapsed() > SETTLE_MAX {
                return now;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Whether it is as expected, and what it is.
fn became(expected: Expected, status: &HandlerStatus) -> (Option<()>, String) {
    let reason = status.dead_letters.first().map(|dead| dead.reason.clone());
    let outcome = match &reason {
        Some(reason) => format!("{} dead letters: {reason:.200}", status.dead_letters.len()),
        None => "it handled everything".to_owned(),
    };
    let all_dead = |number: usize, words: &str, attempts: u32| {
        let is_right = |dead: &informer::DeadLetter| {
            dead.reason.contains(words)
                && dead.reason.len() <= REASON_MAX
                && dead.attempts == attempts
        };
        status.dead_letters.len() == number && status.dead_letters.iter().all(is_right)
    };
    let holds = match expected {
        Expected::Refused(_) => false,
        Expected::Fails { reason, attempts } => all_dead(1, reason, attempts),
        Expected::FailsAlways { reason } => all_dead(OBJECTS.len(), reason, 2),
        Expected::Handles => status.dead_letters.is_empty(),
    };
    (holds.then_some(()), outcome)
}

fn grew(before: ProcessUsage, after: ProcessUsage) -> bool {
    after.bytes > before.bytes + BYTES_MAX
        || after.files > before.files
        || after.threads > before.threads
        || after.children > 0
}

const GOOD: &str = "good";

/// Guests attack at those that begin with `b`.
const OBJECTS: [&str; 3] = ["bad-0", "fine-0", "fine-1"];

const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";
const MINUTE: Duration = Duration::from_secs(60);

/// As often the table is played, should memory not be what it was.
const ROUNDS_MAX: usize = 5;

/// A thread for blocking work ends when it had nothing to do for ten seconds.
const SETTLE_MAX: Duration = Duration::from_secs(15);

/// Of a reason, with what the host says before it.
const REASON_MAX: usize = 1_200;

/// The allocator keeps some of what is freed, and not always as much. One compiled module for each guest would
/// be 4 MiB.
const BYTES_MAX: u64 = 3 << 20;
