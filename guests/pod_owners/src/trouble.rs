//! What in a pod says that it fails, and whose it is.
//!
//! in: `status` and `metadata.ownerReferences` as JSON. out: a reason, an owner.

use serde::Deserialize;

/// The object that manages another one.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Deserialize)]
struct Waiting {
    reason: Option<String>,
}

/// Why the pod fails; none if it does not, or cannot be understood.
pub(crate) fn trouble(status: &str) -> Option<String> {
    let status: Status = serde_json::from_str(status).ok()?;
    if status.phase.as_deref() == Some("Failed") {
        return Some(status.reason.unwrap_or("Failed".into()));
    }
    let containers = status.init_container_statuses.into_iter().chain(status.container_statuses);
    let mut reasons = containers.filter_map(|container| container.state.waiting?.reason);
    reasons.find(|reason| WAITS_IN_VAIN.contains(&&**reason))
}

/// The owner that is the controller.
pub(crate) fn controller(owner_references: &str) -> Option<Owner> {
    let owners: Vec<Owner> = serde_json::from_str(owner_references).ok()?;
    owners.into_iter().find(|owner| owner.controller)
}

const WAITS_IN_VAIN: [&str; 6] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_fails_as_a_whole_or_by_a_container_that_waits_in_vain() {
        let waiting = |reason: &str| {
            trouble(&format!(
                r#"{{"containerStatuses":[{{"state":{{"running":{{}}}}}},
                    {{"state":{{"waiting":{{"reason":"{reason}"}}}}}}]}}"#
            ))
        };
        assert_eq!(waiting("CrashLoopBackOff").unwrap(), "CrashLoopBackOff");
        assert_eq!(waiting("ContainerCreating"), None);
        assert_eq!(trouble(r#"{"phase":"Failed","reason":"Evicted"}"#).unwrap(), "Evicted");
        assert_eq!(trouble(r#"{"phase":"Running"}"#), None);
        assert_eq!(trouble("[]"), None);
    }

    #[test]
    fn the_controller_is_the_owner_that_counts() {
        let owners = r#"[{"apiVersion":"v1","kind":"Node","name":"n","uid":"1"},
            {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"2","controller":true}]"#;
        assert_eq!(controller(owners).unwrap().uid, "2");
        assert_eq!(controller("[]"), None);
    }
}
