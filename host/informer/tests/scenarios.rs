//! Plays `scenarios/*.txt`: above each `----` stands what happens, below it what the handlers are
//! told of it. `UPDATE_EXPECT=1` writes down what they are told now.
//!
//! What happens, one thing in a line: `list ...`, `watch-list ...` and `refuse watch ...` prepare
//! answers; `wait 5s`; `handler b slow=5s resync=10s buffer=2 retries=1` joins; `fail b a@5 2`
//! makes it fail twice on a state; `remove b 30s` and `drop b` end it, `stop` the informer. All
//! else is said on the watch that is open. Without a `handler` in the first line, one without a
//! name is there from the beginning.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use informer::{
    Delivery, DeliveryPolicy, HandlerOptions, HandlerRegistration, SharedInformer,
    SharedInformerOptions,
};
use tokio::time::sleep;

use crate::recorder::{Answer, Recorder, Recording, line};
use crate::scripted_server::{ScriptedServer, duration};

#[test]
fn handlers_are_told_what_every_scenario_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(&folder).expect("the folder of scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the scenarios are there");
    let mut different = Vec::new();
    for path in paths {
        let written = fs::read_to_string(&path).expect("a scenario is text");
        let steps = parse(&written);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let played = runtime.block_on(play(&steps));
        if played != written {
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                fs::write(&path, &played).expect("the scenario is written");
            } else {
                different.push(difference(&path, &written, &played));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

struct Step {
    /// With its comments.
    script: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in text.split("\n\n") {
        let script = block.lines().take_while(|line| *line != "----").map(str::to_owned).collect();
        steps.push(Step { script });
    }
    steps
}

/// Plays the steps and writes the file as it should be.
async fn play(steps: &[Step]) -> String {
    let mut stage = Stage::new();
    let mut written = String::new();
    for (number, step) in steps.iter().enumerate() {
        let is_command = |line: &&String| !line.starts_with('#') && !line.is_empty();
        let mut commands = step.script.iter().filter(is_command).peekable();
        if number == 0 && !commands.peek().is_some_and(|it| it.starts_with("handler")) {
            stage.join("").await;
        }
        for command in commands {
            stage.perform(command).await;
        }
        stage.settle().await;
        if number > 0 {
            written.push('\n');
        }
        for line in step.script.iter().map(String::as_str).chain(["----"]) {
            writeln!(written, "{line}").expect("a string takes all");
        }
        for line in stage.told() {
            writeln!(written, "{line}").expect("a string takes all");
        }
    }
    written
}

fn difference(path: &Path, written: &str, played: &str) -> String {
    let mut lines = vec![format!("{}: (- expected, + told)", path.display())];
    let (mut written, mut played) = (written.lines(), played.lines());
    loop {
        match (written.next(), played.next()) {
            (None, None) => return lines.join("\n"),
            (expected, told) if expected == told => lines.push(format!("  {}", told.unwrap_or(""))),
            (expected, told) => {
                lines.extend(expected.map(|line| format!("- {line}")));
                lines.extend(told.map(|line| format!("+ {line}")));
            }
        }
    }
}

struct Stage {
    server: ScriptedServer,
    informer: SharedInformer,
    handlers: Vec<Handler>,
}

struct Handler {
    name: String,
    registration: Option<Arc<HandlerRegistration>>,
    recording: Recording,
    /// How often it fails on a state.
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Stage {
    fn new() -> Self {
        let server = ScriptedServer::default();
        let informer = SharedInformer::start(server.clone(), SharedInformerOptions::default());
        Self { server, informer, handlers: Vec::new() }
    }

    async fn perform(&mut self, command: &str) {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "list" => _ = self.server.on_list(rest),
            "watch-list" => _ = self.server.on_watch_list(rest),
            "refuse" => match rest.split_once(' ').expect("what is refused, and how") {
                ("watch", error) => _ = self.server.refuse_watch(error),
                (_, error) => _ = self.server.refuse_watch_list(error),
            },
            "handler" => self.join(rest).await,
            "wait" => sleep(duration(rest)).await,
            "fail" => self.fail(rest),
            "remove" => {
                let (name, deadline) = rest.split_once(' ').expect("a name and a deadline");
                let deadline = duration(deadline);
                let registration = self.handler(name).registration.take().expect("it is there");
                tokio::spawn(async move { registration.remove(deadline).await });
            }
            "drop" => drop(self.handler(rest).registration.take()),
            "stop" => self.informer.stop().await,
            _ => {
                self.wait_until("somebody watches", ScriptedServer::is_watched).await;
                self.server.say(command);
            }
        }
        sleep(Duration::from_millis(1)).await;
    }

    async fn join(&mut self, words: &str) {
        let mut words = words.split(' ');
        let name = words.next().unwrap_or("").to_owned();
        let mut options = HandlerOptions::default();
        let mut wait = Duration::ZERO;
        for (option, value) in words.filter_map(|word| word.split_once('=')) {
            let number = || value.parse().expect("a number");
            match option {
                "slow" => wait = duration(value),
                "resync" => options.resync_period = Some(duration(value)),
                "buffer" => {
                    options.delivery = DeliveryPolicy {
                        buffer_max: value.parse().expect("a number"),
                        ..options.delivery
                    }
                }
                "retries" => options.delivery.retries_max = number(),
                _ => panic!("no option {option}"),
            }
        }
        let failures = Arc::<Mutex<HashMap<String, u32>>>::default();
        let fails = failures.clone();
        let (recorder, recording) =
            Recorder::answering(move |delivery| match failure(&fails, delivery) {
                true => Answer::retry(),
                false if wait.is_zero() => Answer::done(),
                false => Answer::After(wait, informer::Handled::Done),
            });
        let registration = self.informer.add_event_handler(recorder, options).await;
        let registration = Some(Arc::new(registration));
        self.handlers.push(Handler { name, registration, recording, failures });
    }

    fn fail(&mut self, words: &str) {
        let words: Vec<_> = words.split(' ').collect();
        let [name, state, times] = words[..] else { panic!("who fails on what, and how often") };
        let times = times.parse().expect("a number");
        let failures = self.handler(name).failures.clone();
        failures.lock().unwrap_or_else(PoisonError::into_inner).insert(state.to_owned(), times);
    }

    fn handler(&mut self, name: &str) -> &mut Handler {
        self.handlers.iter_mut().find(|it| it.name == name).expect("a handler of that name")
    }

    /// Until every prepared answer was given and every task waits.
    async fn settle(&self) {
        self.wait_until("all answers are asked for", ScriptedServer::is_played).await;
        sleep(Duration::from_millis(1)).await;
    }

    async fn wait_until(&self, what: &str, condition: impl Fn(&ScriptedServer) -> bool) {
        for _ in 0..100_000 {
            if condition(&self.server) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 1000 s: {what}");
    }

    /// What each handler was told in this step.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for handler in &self.handlers {
            let mut lines = handler.recording.take();
            sort_runs(&mut lines);
            told.extend(lines.into_iter().map(|line| match handler.name.as_str() {
                "" => line,
                name => format!("{name}: {line}"),
            }));
        }
        told
    }
}

/// Whether the handler is to fail on this delivery.
fn failure(failures: &Mutex<HashMap<String, u32>>, delivery: &Delivery) -> bool {
    let line = line(delivery);
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let times = failures.iter_mut().find(|(state, times)| line.contains(*state) && **times > 0);
    times.map(|(_, times)| *times -= 1).is_some()
}

/// The order between objects is arbitrary where they come out of the cache: in a run of lines of
/// one kind, they are sorted by object, and each object's lines stay in order.
fn sort_runs(lines: &mut [String]) {
    let kind = |line: &String| {
        let words = line.split(' ').filter(|word| !word.contains('@'));
        words.collect::<Vec<_>>().join(" ")
    };
    for run in lines.chunk_by_mut(|a, b| kind(a) == kind(b)) {
        run.sort_by_key(|line| line.split(['@', '#']).next().map(str::to_owned));
    }
}
