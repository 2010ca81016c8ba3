//! Records one Pod of a real kube-apiserver, as the template of all Pods of the benchmark.
//!
//! out: the Pod on standard output, byte for byte as the API server sends it
//!
//! There are no controllers and no node here; so this plays their parts one after the other, each
//! under its field manager's name and through the requests that it uses itself. A pause lets each
//! have a `managedFields` time of its own.

use std::time::Duration;

use control_plane::ControlPlane;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams, Request};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let control_plane = ControlPlane::start().await?;
    let client = control_plane.client().await?;
    let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);

    let created = serde_json::from_value(pod())?;
    pods.create(&posting("kube-controller-manager"), &created).await?;
    let scheduler = posting("kube-scheduler");
    let _: Value = pods.create_subresource("binding", NAME, &scheduler, &binding()).await?;
    pause().await;
    let labelled = PatchParams::apply("cost-allocator");
    pods.patch(NAME, &labelled, &Patch::Apply(cost_labels())).await?;
    pause().await;
    pods.patch_status(NAME, &patching("calico"), &Patch::Merge(network())).await?;
    pause().await;
    pods.patch_status(NAME, &patching("kubelet"), &Patch::Strategic(status())).await?;
    println!("{}", recorded(&client).await?);
    Ok(())
}

/// Without a type in between, which would put the fields into another order.
async fn recorded(client: &Client) -> Result<String> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    Ok(client.request_text(Request::new(path).get(NAME, &Default::default())?).await?)
}

fn posting(manager: &str) -> PostParams {
    PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() }
}

fn patching(manager: &str) -> PatchParams {
    PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(2100)).await;
}

/// What a ReplicaSet's controller posts.
fn pod() -> Value {
    json!({
        "metadata": {
            "name": NAME,
            "generateName": "checkout-api-6d5f8c9b7d-",
            "labels": {
                "app.kubernetes.io/name": "checkout-api",
                "pod-template-hash": "6d5f8c9b7d",
            },
            "annotations": {
                "checksum/config": CHECKSUM,
                "example.com/notes": NOTES,
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-api-6d5f8c9b7d",
                "uid": "5b0f3a52-8d0b-4c8e-9a53-0c1e6a7f2b11",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "containers": [container()],
            "volumes": [
                { "name": "config", "configMap": { "name": "checkout-api-config" } },
            ],
            "serviceAccountName": "checkout-api",
            "terminationGracePeriodSeconds": 45,
        },
    })
}

fn container() -> Value {
    json!({
        "name": "checkout-api",
        "image": IMAGE,
        "env": [
            { "name": "LOG_LEVEL", "value": "info" },
            { "name": "JAVA_TOOL_OPTIONS", "value": JAVA_TOOL_OPTIONS },
        ],
        "resources": {
            "requests": { "cpu": "250m", "memory": "256Mi" },
            "limits": { "memory": "512Mi" },
        },
        "volumeMounts": [
            { "name": "config", "mountPath": "/etc/checkout-api", "readOnly": true },
        ],
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "worker-0042" },
    })
}

/// What a server-side applying controller owns.
fn cost_labels() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": { "cost.example.com/center": "cc-4711" },
            "annotations": { "cost.example.com/owner": "team-checkout" },
        },
    })
}

/// The network plugin's annotations.
fn network() -> Value {
    json!({ "metadata": { "annotations": {
        "cni.projectcalico.org/containerID":
            "3f9c2b7a1d5e4f60819a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70",
        "cni.projectcalico.org/podIP": "10.42.17.201/32",
        "cni.projectcalico.org/podIPs": "10.42.17.201/32",
    } } })
}

/// What a kubelet reports of a Pod that runs.
fn status() -> Value {
    let condition = |kind: &str, since: &str| {
        json!({ "type": kind, "status": "True", "lastProbeTime": null,
                "lastTransitionTime": since })
    };
    json!({ "status": {
        "phase": "Running",
        "hostIP": "192.168.3.42",
        "hostIPs": [{ "ip": "192.168.3.42" }],
        "podIP": "10.42.17.201",
        "podIPs": [{ "ip": "10.42.17.201" }],
        "startTime": STARTED,
        "conditions": [
            condition("PodReadyToStartContainers", STARTED),
            condition("Initialized", STARTED),
            condition("Ready", CHANGED),
            condition("ContainersReady", CHANGED),
        ],
        "containerStatuses": [{
            "name": "checkout-api",
            "image": IMAGE,
            "imageID": format!("registry.example.com/shop/checkout-api@sha256:{}", "1d".repeat(32)),
            "containerID": format!("containerd://{}", "c0".repeat(32)),
            "ready": true,
            "started": true,
            "restartCount": 7,
            "state": { "running": { "startedAt": CHANGED } },
            "lastState": { "terminated": {
                "containerID": format!("containerd://{}", "be".repeat(32)),
                "exitCode": 137,
                "reason": "OOMKilled",
                "startedAt": STARTED,
                "finishedAt": CHANGED,
            } },
        }],
    } })
}

const JAVA_TOOL_OPTIONS: &str = "-XX:+UseG1GC -XX:MaxRAMPercentage=75.0 \
    -XX:+ExitOnOutOfMemoryError -Dcom.sun.management.jmxremote=false \
    -javaagent:/opt/otel/agent.jar -Dotel.resource.attributes=service.namespace=shop \
    -Dlogging.config=/etc/checkout-api/logback.xml";

const NAMESPACE: &str = "shop";
const NAME: &str = "checkout-api-6d5f8c9b7d-x7k2p";

const IMAGE: &str = "registry.example.com/shop/checkout-api:v1.27.3";

const CHECKSUM: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Stands for what differs in length between Pods.
const NOTES: &str = "NOTES";

const STARTED: &str = "2026-10-05T08:15:30Z";
/// When the container became ready for the last time.
const CHANGED: &str = "2026-10-19T21:47:12Z";
