//! One pod's status, reduced to what is told about it.
//!
//! in: the JSON of `/status`. out: `PodStatus` with the troubles that this one state shows.

use serde::Deserialize;
use std::fmt;

#[derive(Debug, PartialEq)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    /// Of all containers, init containers included.
    pub(crate) restarts: u32,
    pub(crate) ready: bool,
    /// At most one of a kind: the first that the status names.
    pub(crate) troubles: Vec<Trouble>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) kind: TroubleKind,
    pub(crate) detail: String,
}

/// Reads as "the pod is …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TroubleKind {
    CrashLooping,
    Unschedulable,
    PullingImage,
    CreatingContainer,
}

impl PodStatus {
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let status: Status = serde_json::from_str(json)
            .map_err(|error| format!("the status is not a pod's: {error}"))?;
        let conditions = status.conditions.unwrap_or_default();
        let mut containers = status.init_container_statuses.unwrap_or_default();
        containers.extend(status.container_statuses.unwrap_or_default());

        let mut troubles: Vec<Trouble> = Vec::new();
        let unschedulable = conditions.iter().filter_map(Condition::trouble);
        for trouble in unschedulable.chain(containers.iter().filter_map(Container::trouble)) {
            if troubles.iter().all(|it| it.kind != trouble.kind) {
                troubles.push(trouble);
            }
        }
        Ok(Self {
            phase: status.phase.unwrap_or_else(|| "Unknown".into()),
            restarts: containers.iter().fold(0, |sum, it| sum.saturating_add(it.restart_count)),
            ready: conditions.iter().any(|it| it.kind == "Ready" && it.status == "True"),
            troubles,
        })
    }

    /// Nothing more will run in it.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrashLooping => "crash-looping",
            Self::Unschedulable => "stuck unscheduled",
            Self::PullingImage => "stuck pulling an image",
            Self::CreatingContainer => "stuck creating a container",
        })
    }
}

/// The part of `PodStatus` of the API that is read. Go leaves out or nulls what is empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<Container>>,
    init_container_statuses: Option<Vec<Container>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(default)]
    restart_count: u32,
    state: Option<ContainerState>,
    last_state: Option<ContainerState>,
}

#[derive(Deserialize)]
struct ContainerState {
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Waiting {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    exit_code: Option<i32>,
    reason: Option<String>,
}

impl Condition {
    /// A scheduling gate (`SchedulingGated`) is somebody's wish and no trouble.
    fn trouble(&self) -> Option<Trouble> {
        let is_one = self.kind == "PodScheduled"
            && self.status == "False"
            && self.reason.as_deref() == Some("Unschedulable");
        is_one.then(|| Trouble {
            kind: TroubleKind::Unschedulable,
            detail: one_line(self.message.as_deref().unwrap_or("no reason is given")),
        })
    }
}

impl Container {
    fn trouble(&self) -> Option<Trouble> {
        let waiting = self.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        let kind = match reason {
            "CrashLoopBackOff" => TroubleKind::CrashLooping,
            "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
            | "ImageInspectError" => TroubleKind::PullingImage,
            "CreateContainerConfigError" | "CreateContainerError" => TroubleKind::CreatingContainer,
            _ => return None,
        };
        let detail = match (kind, &waiting.message) {
            (TroubleKind::CrashLooping, _) => {
                let restarts = plural(self.restart_count.into(), "restart");
                format!("container {} had {restarts}{}", self.name, self.last_end())
            }
            (_, None) => format!("container {}: {reason}", self.name),
            (_, Some(message)) => format!("container {}: {reason}: {message}", self.name),
        };
        Some(Trouble { kind, detail: one_line(&detail) })
    }

    fn last_end(&self) -> String {
        let last = self.last_state.as_ref().and_then(|it| it.terminated.as_ref());
        match last.map(|it| (it.exit_code, it.reason.as_deref())) {
            Some((Some(code), Some(reason))) => format!(", the last exit was {code} ({reason})"),
            Some((Some(code), None)) => format!(", the last exit was {code}"),
            Some((None, Some(reason))) => format!(", the last end was {reason}"),
            _ => String::new(),
        }
    }
}

pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A message of the kubelet or the scheduler can have line ends, and no bound.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(DETAIL_CHARS_MAX) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// Room for a scheduler's message about a dozen kinds of nodes.
const DETAIL_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_pod_has_no_trouble() {
        let status = PodStatus::parse(
            r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],
                "containerStatuses":[
                  {"name":"app","restartCount":2,"state":{"running":{}},"lastState":{}},
                  {"name":"proxy","restartCount":1,"state":{"running":{}}}],
                "initContainerStatuses":[
                  {"name":"setup","restartCount":4,"state":{"terminated":{"exitCode":0}}}]}"#,
        );
        let troubles = Vec::new();
        assert_eq!(
            status,
            Ok(PodStatus { phase: "Running".into(), restarts: 7, ready: true, troubles })
        );
    }

    #[test]
    fn an_empty_status_is_unknown() {
        for json in ["{}", r#"{"phase":null,"conditions":null,"containerStatuses":null}"#] {
            let status = PodStatus::parse(json).unwrap();
            assert_eq!((status.phase.as_str(), status.ready), ("Unknown", false));
        }
    }

    #[test]
    fn what_is_no_pod_status_is_an_error() {
        let error = PodStatus::parse(r#"{"phase":5}"#).unwrap_err();
        assert!(error.starts_with("the status is not a pod's: "), "{error}");
    }

    #[test]
    fn each_trouble_tells_its_detail() {
        let cases = [
            (
                r#"{"conditions":[{"type":"PodScheduled","status":"False",
                    "reason":"Unschedulable","message":"0/3 nodes are\n available: 3 taints."}]}"#,
                "stuck unscheduled: 0/3 nodes are available: 3 taints.",
            ),
            (
                r#"{"containerStatuses":[{"name":"app","restartCount":5,
                    "state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 5m0s"}},
                    "lastState":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}"#,
                "crash-looping: container app had 5 restarts, the last exit was 137 (OOMKilled)",
            ),
            (
                r#"{"initContainerStatuses":[{"name":"setup","restartCount":0,
                    "state":{"waiting":{"reason":"ErrImagePull","message":"not found"}}}]}"#,
                "stuck pulling an image: container setup: ErrImagePull: not found",
            ),
            (
                r#"{"containerStatuses":[{"name":"app",
                    "state":{"waiting":{"reason":"CreateContainerConfigError"}}}]}"#,
                "stuck creating a container: container app: CreateContainerConfigError",
            ),
        ];
        for (json, expected) in cases {
            let status = PodStatus::parse(json).unwrap();
            let [Trouble { kind, detail }] = &status.troubles[..] else {
                panic!("{json} shows {:?}", status.troubles);
            };
            assert_eq!(format!("{kind}: {detail}"), expected);
        }
    }

    #[test]
    fn what_passes_by_itself_is_no_trouble() {
        let json = r#"{"conditions":[{"type":"PodScheduled","status":"False",
                "reason":"SchedulingGated"}],
            "containerStatuses":[{"name":"app","restartCount":0,
                "state":{"waiting":{"reason":"ContainerCreating"}}}]}"#;
        assert_eq!(PodStatus::parse(json).unwrap().troubles, []);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = one_line(&"ü".repeat(DETAIL_CHARS_MAX + 1));
        assert_eq!(cut.chars().count(), DETAIL_CHARS_MAX + 1);
        assert!(cut.ends_with('…'));
    }
}
