//! The recording that is replayed: a watch-list as an API server sends it, one event in a line.
//! First every Pod as ADDED, then the bookmark that ends the initial state, then the updates as
//! MODIFIED. Then the error that ends a watch whose version is too old and, after one Pod in ten has
//! changed unseen, the initial state of the watch-list that follows.
//!
//! Versions are counted up from [`FIRST_VERSION`], by one for each Pod, update and unseen change.
//!
//! in:   numbers and a seed; the same ones give the same bytes
//! out:  a file, some 6.8 KB per line

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use fastrand::Rng;

use crate::pod_template::{AppValues, PodTemplate, PodValues};

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordingPlan {
    pub(crate) pods: usize,
    pub(crate) updates: usize,
    pub(crate) seed: u64,
}

/// The state of a cluster, as far as its Pods go.
struct Cluster {
    rng: Rng,
    apps: Vec<AppValues>,
    /// With the index of their app.
    pods: Vec<(usize, PodValues)>,
    resource_version: u64,
}

impl RecordingPlan {
    /// Writes the recording. Give a new path, or an old recording is lost.
    pub(crate) fn write_file(&self, path: &Path) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
            self.write(&PodTemplate::recorded()?, &mut out)?;
            Ok(out.flush()?)
        };
        write().with_context(|| format!("cannot write the recording {}", path.display()))
    }

    pub(crate) fn write(&self, template: &PodTemplate, out: &mut impl Write) -> io::Result<()> {
        let mut cluster = Cluster::new(self);
        let mut line = Vec::with_capacity(8 << 10);
        for index in 0..cluster.pods.len() {
            cluster.write_event("ADDED", index, template, &mut line, out)?;
        }
        cluster.write_bookmark(out)?;
        // There is nothing to update in an empty cluster.
        let updates = if cluster.pods.is_empty() { 0 } else { self.updates };
        for _ in 0..updates {
            let index = cluster.rng.usize(..cluster.pods.len());
            cluster.update(index);
            cluster.write_event("MODIFIED", index, template, &mut line, out)?;
        }

        writeln!(out, "{EXPIRED}")?;
        for index in (0..cluster.pods.len()).step_by(UNSEEN_STEP) {
            cluster.update(index);
        }
        for index in 0..cluster.pods.len() {
            cluster.write_event("ADDED", index, template, &mut line, out)?;
        }
        cluster.write_bookmark(out)
    }
}

impl Cluster {
    fn new(plan: &RecordingPlan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let apps: Vec<_> = (0..plan.pods.div_ceil(PODS_PER_APP)).map(|_| app(&mut rng)).collect();
        let mut pods = Vec::with_capacity(plan.pods);
        for index in 0..plan.pods {
            let version = FIRST_VERSION + index as u64;
            pods.push((index / PODS_PER_APP, pod(&mut rng, index, version)));
        }
        // Not the order in which they were made: a server sends them by name.
        rng.shuffle(&mut pods);
        let resource_version = FIRST_VERSION + plan.pods as u64;
        Self { rng, apps, pods, resource_version }
    }

    /// The Pod's status changes.
    fn update(&mut self, index: usize) {
        let Self { rng, pods, .. } = self;
        let pod = &mut pods[index].1;
        self.resource_version += 1;
        pod.resource_version = self.resource_version;
        pod.updated = NOW + ((self.resource_version - FIRST_VERSION) / 100) as u32;
        // Every other update is a container that stopped or came back.
        if rng.bool() {
            pod.ready = !pod.ready;
            pod.changed = pod.updated;
        }
        if pod.changed == pod.updated && pod.ready {
            pod.restarts += 1;
            pod.last_container_id = std::mem::replace(&mut pod.container_id, hex(rng, 64));
        }
    }

    fn write_event(
        &self,
        event_type: &str,
        index: usize,
        template: &PodTemplate,
        line: &mut Vec<u8>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (app, pod) = &self.pods[index];
        line.clear();
        write!(line, r#"{{"type":"{event_type}","object":"#)?;
        template.render(&self.apps[*app], pod, line);
        line.extend_from_slice(b"}\n");
        out.write_all(line)
    }

    fn write_bookmark(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", BOOKMARK.replace("VERSION", &self.resource_version.to_string()))
    }
}

/// How many Pods change between the watch that expires and the list that follows.
pub(crate) fn unseen(pods: usize) -> usize {
    pods.div_ceil(UNSEEN_STEP)
}

fn app(rng: &mut Rng) -> AppValues {
    AppValues {
        app: format!("{}-{}", word(rng), word(rng)),
        hash: hex(rng, 10),
        namespace: format!("team-{:02}", rng.u8(..40)),
        owner_uid: uid(rng),
        cost_center: rng.u32(1000..10_000),
        config_checksum: hex(rng, 64),
        image_digest: hex(rng, 64),
        tag: format!("v{}.{}.{}", rng.u8(..10), rng.u8(..40), rng.u8(..10)),
    }
}

fn pod(rng: &mut Rng, index: usize, resource_version: u64) -> PodValues {
    let created = rng.u32(..NOW - 4000);
    let started = created + rng.u32(1..100);
    let changed = started + rng.u32(10..3000);
    let subnet = index / 200;
    let (host, node) = ((index % 200 + 2) as u8, rng.u16(..1000));
    let mut notes = String::new();
    let notes_length = rng.usize(240..640);
    while notes.len() < notes_length {
        notes.push_str(word(rng));
        notes.push(' ');
    }
    PodValues {
        suffix: (0..5).map(|_| rng.alphanumeric().to_ascii_lowercase()).collect(),
        uid: uid(rng),
        resource_version,
        created,
        started,
        changed,
        updated: changed,
        node,
        pod_ip: [10, (subnet >> 8) as u8, subnet as u8, host],
        sandbox_id: hex(rng, 64),
        container_id: hex(rng, 64),
        last_container_id: hex(rng, 64),
        notes,
        restarts: rng.u32(..9),
        ready: rng.u8(..20) > 0,
    }
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

/// Of version 4 and variant 1, as Kubernetes' are.
fn uid(rng: &mut Rng) -> String {
    let (a, b, c, d, e) = (hex(rng, 8), hex(rng, 4), hex(rng, 3), hex(rng, 3), hex(rng, 12));
    format!("{a}-{b}-4{c}-a{d}-{e}")
}

fn word(rng: &mut Rng) -> &'static str {
    WORDS[rng.usize(..WORDS.len())]
}

/// As client-go's reflector expects it.
const BOOKMARK: &str = concat!(
    r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"#,
    r#""resourceVersion":"VERSION","creationTimestamp":null,"#,
    r#""annotations":{"k8s.io/initial-events-end":"true"}},"#,
    r#""spec":{"containers":null},"status":{}}}"#,
);

/// As the API server's watch cache says it.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"#,
    r#""status":"Failure","message":"too old resource version","reason":"Expired","code":410}}"#,
);

const PODS_PER_APP: usize = 20;
const UNSEEN_STEP: usize = 10;

/// The oldest Pod's.
pub(crate) const FIRST_VERSION: u64 = 1_000_000;

/// When the initial state is read, in seconds since the month began.
const NOW: u32 = 25 * 86_400;

const WORDS: [&str; 32] = [
    "account",
    "balance",
    "basket",
    "billing",
    "catalog",
    "checkout",
    "courier",
    "currency",
    "customer",
    "delivery",
    "discount",
    "event",
    "gateway",
    "identity",
    "inventory",
    "invoice",
    "ledger",
    "mailer",
    "media",
    "notify",
    "order",
    "partner",
    "payment",
    "pricing",
    "profile",
    "quota",
    "refund",
    "report",
    "review",
    "search",
    "session",
    "shipping",
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    fn recorded(seed: u64) -> String {
        let mut out = Vec::new();
        let plan = RecordingPlan { pods: 100, updates: 200, seed };
        plan.write(&PodTemplate::recorded().unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn name_and_version(event: &Value) -> (String, u64) {
        let metadata = &event["object"]["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
        (format!("{}/{}", metadata["namespace"], metadata["name"]), version)
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(recorded(1), recorded(1));
        assert_ne!(recorded(1), recorded(2));
    }

    #[test]
    fn events_are_in_order_and_of_known_pods() {
        let text = recorded(1);
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (initial, rest) = events.split_at(100);
        let mut versions: HashMap<_, _> = initial.iter().map(name_and_version).collect();
        assert!(initial.iter().all(|event| event["type"] == "ADDED"));
        assert_eq!(versions.len(), 100, "names are unique");
        assert_eq!(rest[0]["type"], "BOOKMARK");
        let mut last = 1_000_100;
        for event in &rest[1..201] {
            let (name, version) = name_and_version(event);
            assert_eq!((&event["type"], version), (&Value::from("MODIFIED"), last + 1));
            assert!(versions.insert(name, version).unwrap() < version);
            last = version;
        }
        assert_eq!(rest[201]["object"]["code"], 410);
        let (relisted, bookmark) = rest[202..].split_at(100);
        let is_unseen = |event: &&Value| {
            let (name, version) = name_and_version(event);
            versions[&name] != version
        };
        assert_eq!(relisted.iter().filter(is_unseen).count(), unseen(100));
        assert_eq!(name_and_version(&bookmark[0]).1, last + unseen(100) as u64);
        assert_eq!(bookmark.len(), 1);
    }

    #[test]
    fn pods_are_as_large_as_real_ones() {
        for line in recorded(1)
            .lines()
            .filter(|line| ["ADDED", "MODIFIED"].iter().any(|it| line[..20].contains(it)))
        {
            let event: Value = serde_json::from_str(line).unwrap();
            let managed_fields = event["object"]["metadata"]["managedFields"].to_string();
            assert!((6_200..7_168).contains(&line.len()), "{} bytes", line.len());
            let share = managed_fields.len() * 100 / line.len();
            assert!((20..=42).contains(&share), "{share} % are managedFields");
        }
    }
}
