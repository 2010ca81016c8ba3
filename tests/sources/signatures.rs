use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use host::handlers::HandlerState;
use registry::{Options, Pusher, Registry};
use tests::{Dev, eventually, problems_of};

use super::registries::started;
use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sources/cosign");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/0.1.0.wasm");

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_a_key_of_the_policy_counts_in_both_of_cosigns_forms() {
    let registry = started(Options::default()).await;
    let address = registry.address();
    push_layout(&pusher(&registry), |_| true).await;
    let signed_by = async |mode: &str, key: &str, tag: &str| {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!("plainHttp: [\"{address}\"]\n{}", signatures(mode, key));
        let fetcher = fetcher(policy(folder.path(), &yaml));
        fetcher.fetch(&source(json!({ "url": format!("oci://{address}/tour:{tag}") })), None).await
    };
    for tag in ["simple-signing", "bundle"] {
        let fetched = signed_by("required", "cosign.pub", tag).await.unwrap();
        assert_eq!(fetched.signed_by.as_deref(), Some("cosign.pub"), "{tag}");
        assert_eq!(fetched.bytes, fs::read(MODULE).unwrap());
        assert_eq!(signed_by("off", "cosign.pub", tag).await.unwrap().signed_by, None);
        let fetched = signed_by("warn", "cosign.pub", tag).await.unwrap();
        assert_eq!(fetched.signed_by.as_deref(), Some("cosign.pub"), "{tag}");
        let other = signed_by("required", "rsa.pub", tag).await;
        refused(other, "none of its 1 signatures counts: one is by another key", true);
    }
    for (tag, named) in [
        ("by-another", "none of its 2 signatures counts: one is by another key"),
        ("attested", "one by cosign.pub says"),
        ("unsigned", "is not signed: `cosign sign` signs it"),
    ] {
        refused(signed_by("required", "cosign.pub", tag).await, named, true);
        assert_eq!(signed_by("warn", "cosign.pub", tag).await.unwrap().signed_by, None, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_what_is_at_a_url_brings_its_signature_along() {
    let server = HttpsServer::start().await;
    let module = fs::read(MODULE).unwrap();
    server.reply("/tour.wasm", Reply::ok(&module));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), &server.certificate).unwrap();
    let yaml = format!("caFile: ca.pem\n{}", signatures("required", "cosign.pub"));
    let fetcher = fetcher(policy(folder.path(), &yaml));
    let good = fs::read_to_string(format!("{FOLDER}/cosign.sig")).unwrap();
    let by_another = fs::read_to_string(format!("{FOLDER}/rsa.sig")).unwrap();
    let url = format!("https://{}/tour.wasm", server.address());
    let at_url = json!({ "url": url, "sha256": Digest::of(&module).hex() });
    for mut module in [at_url, json!({ "path": MODULE })] {
        refused(fetcher.fetch(&source(module.clone()), None).await, "spec.module.signature", false);
        module["signature"] = json!(by_another);
        refused(fetcher.fetch(&source(module.clone()), None).await, "it is by another key", false);
        module["signature"] = json!(good);
        let fetched = fetcher.fetch(&source(module), None).await.unwrap();
        assert_eq!(fetched.signed_by.as_deref(), Some("cosign.pub"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyless_signature_counts_by_who_made_it_in_both_of_cosigns_forms() {
    let registry = started(Options::default()).await;
    let address = registry.address();
    push_layout(&pusher(&registry), |_| true).await;
    let signed_by = async |subject: &str, tag: &str| {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!("plainHttp: [\"{address}\"]\n{}", identities(subject));
        let fetcher = fetcher(policy(folder.path(), &yaml));
        fetcher.fetch(&source(json!({ "url": format!("oci://{address}/tour:{tag}") })), None).await
    };
    for tag in ["keyless", "keyless-simple-signing"] {
        let fetched = signed_by("release@example.com", tag).await.unwrap();
        let by = "release@example.com (http://localhost:5556)";
        assert_eq!(fetched.signed_by.as_deref(), Some(by), "{tag}");
        assert_eq!(fetched.bytes, fs::read(MODULE).unwrap());
        let other = signed_by("somebody@example.com", tag).await;
        let named = format!("counts: one is by {by}; trusted is somebody@example.com");
        refused(other, &named, true);
    }
    for (tag, named) in [
        ("keyless-timestamp", "brings no entry of a transparency log"),
        ("keyless-attested", "one by release@example.com (http://localhost:5556) says"),
        ("bundle", "one is by another key"),
        ("simple-signing", "one is by another key"),
        ("unsigned", "is not signed: `cosign sign` signs it"),
    ] {
        refused(signed_by("release@example.com", tag).await, named, true);
    }
}

/// The whole way: a spec that names an artifact, a login from a Secret, and a signature that comes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_runs_once_its_artifact_is_signed() {
    let registry = started(Options { asks_for_login: true, ..Options::default() }).await;
    let address = registry.address();
    push_layout(&pusher(&registry), |tag| tag == "simple-signing").await;
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "plainHttp: [\"{address}\"]\ndockerConfig: empty.json\n{}",
        signatures("required", "cosign.pub")
    );
    fs::write(folder.path().join("empty.json"), "{}").unwrap();
    let dev = Dev::start().await;
    let host = dev.host_with(fetcher(policy(folder.path(), &yaml))).await;
    let module =
        format!("{{ url: \"oci://{address}/tour:simple-signing\", imagePullSecret: pull }}");
    host.begin_load_from(
        "signed-tour",
        &module,
        "  config: { number: 7, text: a, namespace: b }\n",
    );
    let waits_for = async |reason: &str| {
        let limit = Duration::from_secs(60);
        let waits = || match host.status("signed-tour").state {
            HandlerState::Unreachable(problem) => problem.contains(reason),
            _ => false,
        };
        eventually(&format!("it waits: {reason}"), limit, waits).await;
    };
    waits_for("there is no such Secret").await;
    let entry = json!({ "username": Registry::USER, "password": Registry::PASSWORD });
    let config = json!({ "auths": { address.to_string(): entry } }).to_string();
    let config = BASE64_STANDARD.encode(config);
    dev.storage()
        .apply(json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "pull", "namespace": "default" },
            "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": config } }))
        .unwrap();
    waits_for("is not signed").await;
    push_layout(&pusher(&registry), |_| true).await;
    let state = host.host.handlers().settled("signed-tour").await.unwrap();
    assert_eq!(state, HandlerState::Running, "{:?}", problems_of("signed-tour"));
    host.synced("signed-tour").await;
}

fn signatures(mode: &str, key: &str) -> String {
    format!("signatures: {{ mode: {mode}, keys: [\"{FOLDER}/{key}\"] }}\n")
}

fn identities(subject: &str) -> String {
    format!(
        "signatures:\n  mode: required\n  trustedRoot: \"{FOLDER}/trusted_root.json\"\n  \
         identities: [{{ issuer: \"http://localhost:5556\", subject: \"{subject}\" }}]\n"
    )
}

fn pusher(registry: &Registry) -> Pusher {
    let login = (Registry::USER, Registry::PASSWORD);
    let url = format!("http://{}/v2/tour", registry.address());
    Pusher::new(reqwest::Client::new(), url, Some(login))
}

/// Pushes the repository in `cosign/layout`: its blobs, and of its manifests those at these tags.
async fn push_layout(pusher: &Pusher, is_wanted: impl Fn(&str) -> bool) {
    pusher.blob(&fs::read(MODULE).unwrap()).await;
    let blobs: Vec<PathBuf> = fs::read_dir(format!("{FOLDER}/layout/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for blob in blobs {
        pusher.blob(&fs::read(blob).unwrap()).await;
    }
    let index = fs::read(format!("{FOLDER}/layout/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let read = |manifest: &Value| {
        let digest = manifest["digest"].as_str().unwrap().trim_start_matches("sha256:");
        fs::read(format!("{FOLDER}/layout/blobs/sha256/{digest}")).unwrap()
    };
    for manifest in index["manifests"].as_array().unwrap() {
        // What has none is in an index that has one.
        let tag = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str();
        let Some(tag) = tag.filter(|tag| is_wanted(tag)) else { continue };
        let (media_type, json) = (manifest["mediaType"].as_str().unwrap(), read(manifest));
        // An index only after what is in it.
        let parsed: Value = serde_json::from_slice(&json).unwrap();
        for part in parsed["manifests"].as_array().into_iter().flatten() {
            let digest = part["digest"].as_str().unwrap();
            pusher.manifest(digest, part["mediaType"].as_str().unwrap(), &read(part)).await;
        }
        pusher.manifest(tag, media_type, &json).await;
    }
}
