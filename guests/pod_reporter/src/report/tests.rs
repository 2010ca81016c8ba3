//! Stories of pods. A step says what is seen, and expects the lines it brings.

use super::*;

/// Sees `web` of namespace `prod`: `uid@resourceVersion`, then a status in words.
struct Story {
    reporter: Reporter,
}

impl Story {
    fn new() -> Self {
        Self::with(Config::default())
    }

    /// Without tables, which would stand in every step.
    fn quiet() -> Self {
        Self::with(Config { tables: false, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        Self { reporter: Reporter::new(config) }
    }

    #[track_caller]
    fn sees(&mut self, seen: Seen, pod: &str, status: &str, expected: &[&str]) {
        let lines = self.reporter.see(&key("prod", "web", pod), &status_of(status), seen);
        assert_eq!(texts(&lines), expected);
    }

    #[track_caller]
    fn lives(&mut self, pod: &str, status: &str, expected: &[&str]) {
        self.sees(Seen::Live, pod, status, expected);
    }

    #[track_caller]
    fn loses(&mut self, pod: &str, final_state_unknown: bool, expected: &[&str]) {
        let lines = self.reporter.forget(&key("prod", "web", pod), final_state_unknown);
        assert_eq!(texts(&lines), expected);
    }
}

fn key<'a>(namespace: &'a str, name: &'a str, pod: &'a str) -> PodKey<'a> {
    let (uid, resource_version) = pod.split_once('@').unwrap();
    PodKey { namespace, name, uid, resource_version }
}

/// A phase, then any of `ready`, `restarts=n`, `crash`, `unscheduled`, `image`.
fn status_of(words: &str) -> PodStatus {
    let mut words = words.split(' ');
    let mut status = PodStatus {
        phase: words.next().unwrap().into(),
        restarts: 0,
        ready: false,
        troubles: Vec::new(),
    };
    for word in words {
        let kind = match word {
            "ready" => {
                status.ready = true;
                continue;
            }
            "crash" => TroubleKind::CrashLooping,
            "unscheduled" => TroubleKind::Unschedulable,
            "image" => TroubleKind::PullingImage,
            _ => {
                status.restarts = word.strip_prefix("restarts=").unwrap().parse().unwrap();
                continue;
            }
        };
        status.troubles.push(Trouble { kind, detail: "why".into() });
    }
    status
}

fn texts(lines: &[Line]) -> Vec<String> {
    let text = |line: &Line| match line.severity {
        Severity::Info => line.text.clone(),
        Severity::Warn => format!("! {}", line.text),
    };
    lines.iter().map(text).collect()
}

#[test]
fn a_crash_loop_is_told_once_and_so_is_its_end() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=5 crash", &["! prod/web is crash-looping: why"]);
    // It runs for a while, crashes and waits again.
    story.lives("a@2", "Running restarts=6 ready", &[]);
    story.lives("a@3", "Running restarts=6", &[]);
    story.lives("a@4", "Running restarts=6 crash", &[]);
    story.lives("a@5", "Running restarts=7 ready", &[]);
    let over = "prod/web has recovered and is Running, it was crash-looping";
    story.lives("a@6", "Running restarts=7 ready", &[over]);
    story.lives("a@7", "Running restarts=7 ready", &[]);
}

#[test]
fn a_resync_is_a_state_and_a_repeated_delivery_is_not() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=5 crash", &["! prod/web is crash-looping: why"]);
    story.lives("a@2", "Running restarts=6 ready", &[]);
    story.lives("a@2", "Running restarts=6 ready", &[]);
    let over = "prod/web has recovered and is Running, it was crash-looping";
    story.sees(Seen::Again, "a@2", "Running restarts=6 ready", &[over]);
}

#[test]
fn restarts_count_from_the_last_calm_state() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=40 ready", &[]);
    story.lives("a@2", "Running restarts=42", &[]);
    story.lives("a@3", "Running restarts=42 ready", &[]);
    story.lives("a@4", "Running restarts=44", &[]);
    let told = "! prod/web is crash-looping: 3 restarts since it was last calm";
    story.lives("a@5", "Running restarts=45 ready", &[told]);
}

#[test]
fn more_calm_states_can_be_asked_for() {
    let mut story = Story::with(Config { calm_states: 2, tables: false, restart_threshold: 1 });
    story.lives("a@1", "Running ready", &[]);
    let told = "! prod/web is crash-looping: 1 restart since it was last calm";
    story.lives("a@2", "Running restarts=1 ready", &[told]);
    story.lives("a@3", "Running restarts=1 ready", &[]);
    let over = "prod/web has recovered and is Running, it was crash-looping";
    story.lives("a@4", "Running restarts=1 ready", &[over]);
}

#[test]
fn restarts_that_are_counted_anew_are_none() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=40 ready", &[]);
    story.lives("a@2", "Running restarts=0", &[]);
    story.lives("a@3", "Running restarts=2", &[]);
}

#[test]
fn a_pod_that_cannot_start_has_recovered_when_it_runs() {
    let mut story = Story::quiet();
    story.lives("a@1", "Pending unscheduled", &["! prod/web is stuck unscheduled: why"]);
    story.lives("a@2", "Pending image", &["! prod/web is stuck pulling an image: why"]);
    story.lives("a@3", "Pending", &[]);
    let over = "prod/web has recovered and is Running, \
        it was stuck unscheduled and stuck pulling an image";
    story.lives("a@4", "Running", &[over]);
}

#[test]
fn two_troubles_end_apart() {
    let mut story = Story::quiet();
    let told = ["! prod/web is crash-looping: why", "! prod/web is stuck pulling an image: why"];
    story.lives("a@1", "Running restarts=5 crash image", &told);
    let over = "prod/web has recovered and is Running, it was stuck pulling an image";
    story.lives("a@2", "Running restarts=5 crash", &[over]);
}

#[test]
fn a_pod_that_ends_is_in_no_trouble() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=5 crash", &["! prod/web is crash-looping: why"]);
    story.lives("a@2", "Failed", &["! prod/web has failed, it was crash-looping"]);
    story.lives("a@3", "Failed restarts=9 crash", &[]);
    story.lives("b@4", "Running restarts=5 crash", &["! prod/web is crash-looping: why"]);
    let over = "prod/web has recovered and is Succeeded, it was crash-looping";
    story.lives("b@5", "Succeeded", &[over]);
}

#[test]
fn the_deletion_of_a_troubled_pod_is_told() {
    let mut story = Story::quiet();
    story.lives("a@1", "Pending image", &["! prod/web is stuck pulling an image: why"]);
    story.loses("a@2", false, &["prod/web was deleted while stuck pulling an image"]);
    story.loses("a@2", false, &[]);
    story.lives("b@3", "Pending image", &["! prod/web is stuck pulling an image: why"]);
    story.loses("b@3", true, &["prod/web is gone, it was stuck pulling an image when last seen"]);
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let mut story = Story::quiet();
    story.lives("a@1", "Running restarts=5 crash", &["! prod/web is crash-looping: why"]);
    let lines = [
        "prod/web is gone, it was crash-looping when last seen",
        "! prod/web is crash-looping: why",
    ];
    story.lives("b@2", "Running restarts=5 crash", &lines);
    story.loses("a@1", false, &[]);
    story.loses("b@2", false, &["prod/web was deleted while crash-looping"]);
}

#[test]
fn tables_wait_for_the_end_of_the_initial_list() {
    let mut reporter = Reporter::default();
    let pods = [("prod", "a", "Running"), ("prod", "b", "Pending image"), ("dev", "c", "Running")];
    for (namespace, name, status) in pods {
        let lines = reporter.see(&key(namespace, name, "u@1"), &status_of(status), Seen::Initially);
        assert!(lines.iter().all(|it| it.severity == Severity::Warn));
    }
    let tables = [
        "dev: 1 pod (1 Running), 0 restarts",
        "prod: 2 pods (1 Pending, 1 Running), 0 restarts, 1 in trouble",
    ];
    assert_eq!(texts(&reporter.tables()), tables);
    assert!(reporter.tables().is_empty());
}

#[test]
fn a_table_is_logged_when_it_changed() {
    let mut story = Story::new();
    story.lives("a@1", "Pending", &["prod: 1 pod (1 Pending), 0 restarts"]);
    story.lives("a@2", "Running", &["prod: 1 pod (1 Running), 0 restarts"]);
    story.lives("a@3", "Running ready", &[]);
    story.lives("a@4", "Running restarts=1", &["prod: 1 pod (1 Running), 1 restart"]);
    story.loses("a@5", false, &["prod: no pods"]);
    story.loses("a@5", false, &[]);
    assert!(story.reporter.namespaces.is_empty());
}
