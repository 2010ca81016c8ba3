//! Makes many Pods of the one that a real API server sent: what differs from Pod to Pod is replaced
//! in its text, everything else stays as the server wrote it.
//!
//! in:   `pod.json`, see `examples/record_pod.rs`
//! out:  a Pod's JSON for given [`PodValues`]

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::Value;

/// The recorded Pod, cut at the values that differ.
pub(crate) struct PodTemplate {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(String),
    Slot(Slot),
}

/// What differs from Pod to Pod, or from one state of a Pod to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    App,
    Hash,
    Suffix,
    Namespace,
    Uid,
    OwnerUid,
    ResourceVersion,
    Created,
    Started,
    Changed,
    Updated,
    Node,
    HostIp,
    PodIp,
    CostCenter,
    ConfigChecksum,
    SandboxId,
    ContainerId,
    LastContainerId,
    ImageDigest,
    Tag,
    Notes,
    Restarts,
    IsReady,
    Ready,
    ContainersReady,
}

/// What a Pod shares with the others of its ReplicaSet.
#[derive(Clone, Debug)]
pub(crate) struct AppValues {
    pub(crate) app: String,
    pub(crate) hash: String,
    pub(crate) namespace: String,
    pub(crate) owner_uid: String,
    pub(crate) cost_center: u32,
    pub(crate) config_checksum: String,
    pub(crate) image_digest: String,
    pub(crate) tag: String,
}

/// What is a Pod's own. Times are seconds since the month began.
#[derive(Clone, Debug)]
pub(crate) struct PodValues {
    pub(crate) suffix: String,
    pub(crate) uid: String,
    pub(crate) resource_version: u64,
    pub(crate) created: u32,
    pub(crate) started: u32,
    /// When readiness changed for the last time.
    pub(crate) changed: u32,
    /// When the kubelet wrote the status for the last time.
    pub(crate) updated: u32,
    pub(crate) node: u16,
    pub(crate) pod_ip: [u8; 4],
    pub(crate) sandbox_id: String,
    pub(crate) container_id: String,
    pub(crate) last_container_id: String,
    pub(crate) notes: String,
    pub(crate) restarts: u32,
    pub(crate) ready: bool,
}

impl PodTemplate {
    /// The Pod of `pod.json`.
    pub(crate) fn recorded() -> anyhow::Result<Self> {
        let text = include_str!("../pod.json").trim_end();
        let needles = needles(&serde_json::from_str(text)?)?;
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, needle, slot)) = first(rest, &needles) {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            pieces.push(Piece::Slot(slot));
            rest = &rest[at + needle.len()..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        for (needle, slot) in &needles {
            let is_there =
                pieces.iter().any(|it| matches!(it, Piece::Slot(found) if found == slot));
            anyhow::ensure!(is_there, "pod.json has no {needle}, which stands for {slot:?}");
        }
        Ok(Self { pieces })
    }

    /// Appends a Pod's JSON.
    pub(crate) fn render(&self, app: &AppValues, pod: &PodValues, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Slot(slot) => render_slot(*slot, app, pod, out),
            }
        }
    }
}

fn render_slot(slot: Slot, app: &AppValues, pod: &PodValues, out: &mut Vec<u8>) {
    let status = if pod.ready { "True" } else { "False" };
    let [ip_0, ip_1, ip_2, ip_3] = pod.pod_ip;
    let written = match slot {
        Slot::App => write!(out, "{}", app.app),
        Slot::Hash => write!(out, "{}", app.hash),
        Slot::Suffix => write!(out, "{}", pod.suffix),
        Slot::Namespace => write!(out, r#""namespace":"{}""#, app.namespace),
        Slot::Uid => write!(out, "{}", pod.uid),
        Slot::OwnerUid => write!(out, "{}", app.owner_uid),
        Slot::ResourceVersion => write!(out, r#""resourceVersion":"{}""#, pod.resource_version),
        Slot::Created => write_time(out, pod.created),
        Slot::Started => write_time(out, pod.started),
        Slot::Changed => write_time(out, pod.changed),
        Slot::Updated => write_time(out, pod.updated),
        Slot::Node => write!(out, "worker-{:04}", pod.node),
        Slot::HostIp => write!(out, "192.168.{}.{}", pod.node / 250, pod.node % 250),
        Slot::PodIp => write!(out, "{ip_0}.{ip_1}.{ip_2}.{ip_3}"),
        Slot::CostCenter => write!(out, "cc-{}", app.cost_center),
        Slot::ConfigChecksum => write!(out, "{}", app.config_checksum),
        Slot::SandboxId => write!(out, "{}", pod.sandbox_id),
        Slot::ContainerId => write!(out, "{}", pod.container_id),
        Slot::LastContainerId => write!(out, "{}", pod.last_container_id),
        Slot::ImageDigest => write!(out, "{}", app.image_digest),
        Slot::Tag => write!(out, "{}", app.tag),
        Slot::Notes => write!(out, r#""{}""#, pod.notes),
        Slot::Restarts => write!(out, r#""restartCount":{}"#, pod.restarts),
        Slot::IsReady => write!(out, r#""ready":{}"#, pod.ready),
        Slot::Ready => write!(out, r#""type":"Ready","status":"{status}""#),
        Slot::ContainersReady => write!(out, r#""type":"ContainersReady","status":"{status}""#),
    };
    written.expect("a Vec takes all bytes");
}

fn write_time(out: &mut Vec<u8>, seconds: u32) -> std::io::Result<()> {
    let (day, hour) = (1 + seconds / 86_400, seconds / 3_600 % 24);
    write!(out, "2026-10-{day:02}T{hour:02}:{:02}:{:02}Z", seconds / 60 % 60, seconds % 60)
}

/// The recorded Pod's values. Those that the API server chose are read from it, the others are the
/// ones of `examples/record_pod.rs`.
fn needles(pod: &Value) -> anyhow::Result<Vec<(String, Slot)>> {
    let chosen = |pointer: &str| {
        let value = pod.pointer(pointer).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("pod.json has no {pointer}"))
    };
    let version = chosen("/metadata/resourceVersion")?;
    let mut needles = vec![
        (chosen("/metadata/uid")?, Slot::Uid),
        (format!(r#""resourceVersion":"{version}""#), Slot::ResourceVersion),
        (chosen("/metadata/creationTimestamp")?, Slot::Created),
        (chosen("/metadata/managedFields/0/time")?, Slot::Created),
        (chosen("/metadata/managedFields/2/time")?, Slot::Started),
        (chosen("/metadata/managedFields/3/time")?, Slot::Updated),
    ];
    let known = [
        ("checkout-api", Slot::App),
        ("6d5f8c9b7d", Slot::Hash),
        ("x7k2p", Slot::Suffix),
        (r#""namespace":"shop""#, Slot::Namespace),
        ("5b0f3a52-8d0b-4c8e-9a53-0c1e6a7f2b11", Slot::OwnerUid),
        ("2026-10-05T08:15:30Z", Slot::Started),
        ("2026-10-19T21:47:12Z", Slot::Changed),
        ("worker-0042", Slot::Node),
        ("192.168.3.42", Slot::HostIp),
        ("10.42.17.201", Slot::PodIp),
        ("cc-4711", Slot::CostCenter),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Slot::ConfigChecksum),
        ("3f9c2b7a1d5e4f60819a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70", Slot::SandboxId),
        ("v1.27.3", Slot::Tag),
        (r#""NOTES""#, Slot::Notes),
        (r#""restartCount":7"#, Slot::Restarts),
        (r#""ready":true"#, Slot::IsReady),
        (r#""type":"Ready","status":"True""#, Slot::Ready),
        (r#""type":"ContainersReady","status":"True""#, Slot::ContainersReady),
    ];
    needles.extend(known.map(|(needle, slot)| (needle.to_owned(), slot)));
    let repeated =
        [("c0", Slot::ContainerId), ("be", Slot::LastContainerId), ("1d", Slot::ImageDigest)];
    needles.extend(repeated.map(|(digits, slot)| (digits.repeat(32), slot)));
    Ok(needles)
}

/// The first place of any needle.
fn first<'a>(text: &str, needles: &'a [(String, Slot)]) -> Option<(usize, &'a str, Slot)> {
    let found = needles
        .iter()
        .filter_map(|(needle, slot)| text.find(needle.as_str()).map(|at| (at, &**needle, *slot)));
    found.min_by_key(|(at, _, _)| *at)
}
