//! deploy/crd.yaml on a real API server: it takes what a handler spec may say, and says what is wrong with the
//! rest.

use control_plane::ControlPlane;
use host::handlers::{
    DeliverySpec, GrantsSpec, HandlerSpec, LimitsSpec, ReadGrant, SecretKeyRef, SecretValue,
    WatchSpec,
};
use http::Request;
use kube::Client;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use tests::{create_handler_kind, handler_kind, handler_resource, handlers_in};

/// Has the server judge an object as strictly as `kubectl` has it, without keeping it.
async fn judged(client: &Client, object: &DynamicObject) -> kube::Result<DynamicObject> {
    let path = "/apis/informerd.dev/v1alpha1/namespaces/default/handlers\
                ?fieldValidation=Strict&dryRun=All";
    let request = Request::post(path).header("content-type", "application/json");
    client.request(request.body(serde_json::to_vec(object).unwrap()).unwrap()).await
}

/// Every field there is, of `module` in one of its forms.
fn full_spec() -> Value {
    json!({
        "module": { "path": "a.wasm" },
        "watches": [{
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespaces": ["prod"],
            "labelSelector": {
                "matchLabels": { "app": "web" },
                "matchExpressions": [
                    { "key": "tier", "operator": "In", "values": ["front"] },
                    { "key": "old", "operator": "DoesNotExist" },
                ],
            },
            "fieldSelector": "metadata.name=a",
            "queue": "in-order",
        }],
        "config": { "deep": { "as": ["you", { "like": 1.5 }] } },
        "secrets": [{
            "name": "token",
            "secretKeyRef": { "namespace": "prod", "name": "notifier", "key": "token.txt" },
        }],
        "serviceAccountName": "reader",
        "limits": {
            "memory": "16Mi", "cpuPerCall": "50ms", "cpuAtStart": "2s", "hostCallsPerDelivery": 9,
            "logLinesPerSecond": 8, "logBytesPerSecond": "4Ki",
        },
        "delivery": { "maxRetries": 2, "backoff": "1s", "buffer": 7, "resyncPeriod": "1h30m" },
        "hibernateAfter": "5m",
        "onReload": "replay",
        "grants": { "read": [
            { "apiVersion": "v1", "kind": "Pod", "namespaces": ["prod"], "names": ["system:a"] },
        ] },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_takes_every_field_and_says_what_is_wrong_with_others() {
    let control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_handler_kind(&client).await;

    let stored = judged(&client, &handler_resource("full", full_spec())).await.unwrap();
    assert_eq!(stored.data["spec"], full_spec(), "nothing is pruned");
    // The field that is not there is pruned where nobody asks for strictness.
    let mut spec = full_spec();
    spec["modul"] = 1.into();
    let created = handlers_in(&client, "default")
        .create(&PostParams::default(), &handler_resource("pruned", spec))
        .await;
    let pruned = created.unwrap();
    assert_eq!(pruned.data["spec"], full_spec());

    let error = judged(&client, &handler_resource("a.b", full_spec())).await.unwrap_err();
    assert!(error.to_string().contains("metadata.name must be a DNS label"), "{error}");
    for (name, module) in [
        ("url", json!({ "url": "https://h.io/a.wasm", "sha256": SHA, "signature": "MEUC" })),
        ("tag", json!({ "url": "oci://h.io/a/b:v1", "imagePullSecret": "pull.me" })),
        ("digest", json!({ "url": format!("oci://h.io/a@sha256:{SHA}") })),
    ] {
        let object = handler_resource(name, json!({ "module": module }));
        let stored = judged(&client, &object).await.unwrap();
        assert_eq!(stored.data["spec"]["module"], module);
    }
    let mut wrong = Vec::new();
    for (pointer, value, expected) in [
        ("/modul", json!(1), "unknown field \"spec.modul\""),
        ("/module", json!({}), "must have a path or a url, and not both"),
        ("/module/url", json!("oci://h.io/a:v1"), "must have a path or a url, and not both"),
        ("/module", json!({ "url": "ftp://h.io/a" }), "spec.module.url"),
        ("/module", json!({ "url": "https://h.io/a.wasm" }), "sha256 goes with an https url"),
        ("/module", json!({ "url": "oci://h.io/a:v1", "sha256": SHA }), "sha256 goes with"),
        ("/module/sha256", json!(SHA), "sha256 goes with an https url, and only with that"),
        ("/module", json!({ "url": "https://h.io/a", "sha256": "abc" }), "spec.module.sha256"),
        (
            "/module",
            json!({ "url": "oci://h.io/a:v1", "signature": "MEUC" }),
            "signature is for a path or an https url",
        ),
        ("/module/imagePullSecret", json!("pull"), "imagePullSecret is for an oci url"),
        (
            "/module",
            json!({ "url": "oci://h.io/a:v1", "imagePullSecret": "A/b" }),
            "spec.module.imagePullSecret",
        ),
        ("/serviceAccountName", json!("other/reader"), "spec.serviceAccountName"),
        ("/secrets/0/secretKeyRef/key", Value::Null, "secretKeyRef.key: Required value"),
        ("/secrets/0/secretKeyRef/key", json!("a/b"), "spec.secrets[0].secretKeyRef.key"),
        ("/secrets/0/secretKeyRef/name", json!("A"), "spec.secrets[0].secretKeyRef.name"),
        ("/secrets", vec![full_spec()["secrets"][0].clone(); 2].into(), "Duplicate value"),
        ("/grants/read/0/names/0", json!("../a"), "spec.grants.read[0].names[0]"),
        ("/module", Value::Null, "spec.module: Required value"),
        ("/module/path", json!(""), "at least 1 chars long"),
        ("/module/path", json!("/etc/a.wasm"), "\"/etc/a.wasm\": must be relative"),
        ("/module/path", json!("a/../../b.wasm"), "must be relative, and without `..`"),
        ("/watches/0/kind", Value::Null, "spec.watches[0].kind: Required value"),
        ("/watches/0/apiVersion", json!(""), "at least 1 chars long"),
        ("/watches/0/namespaces/0", json!("A_b"), "spec.watches[0].namespaces[0]"),
        ("/watches/0/queue", json!("fifo"), "spec.watches[0].queue: Unsupported value"),
        (
            "/watches/0/labelSelector/matchExpressions/0/operator",
            json!("Near"),
            "operator: Unsupported value",
        ),
        (
            "/watches/0/labelSelector/matchExpressions/0/values",
            Value::Null,
            "In and NotIn need values",
        ),
        (
            "/watches/0/labelSelector/matchExpressions/1/values",
            json!(["a"]),
            "Exists and DoesNotExist must have none",
        ),
        ("/watches", vec![full_spec()["watches"][0].clone(); 65].into(), "at most 64 items"),
        ("/config", json!([1]), "spec.config"),
        ("/limits/memory", json!("lots"), "spec.limits.memory"),
        ("/limits/memory", json!("1Ki"), "must be from 64Ki to 1Gi"),
        ("/limits/memory", json!("1025Mi"), "must be from 64Ki to 1Gi"),
        ("/limits/cpuPerCall", json!("soon"), "spec.limits.cpuPerCall"),
        ("/limits/cpuPerCall", json!("0s"), "must be from 1ms to 10s"),
        ("/limits/cpuPerCall", json!("10s1ms"), "must be from 1ms to 10s"),
        ("/limits/cpuAtStart", json!("31s"), "must be from 10ms to 30s"),
        ("/limits/hostCallsPerDelivery", json!(0), "greater than or equal to 1"),
        ("/limits/logLinesPerSecond", json!(1001), "less than or equal to 1000"),
        ("/limits/logBytesPerSecond", json!("2Mi"), "must be from 1Ki to 1Mi"),
        ("/delivery/maxRetries", json!(-1), "greater than or equal to 0"),
        ("/delivery/backoff", json!("31s"), "must be at most 30s"),
        ("/delivery/buffer", json!(0), "greater than or equal to 1"),
        ("/delivery/resyncPeriod", json!("often"), "spec.delivery.resyncPeriod"),
        ("/hibernateAfter", json!("never"), "spec.hibernateAfter"),
        ("/hibernateAfter", json!("1ms"), "must be at least 1s"),
        ("/onReload", json!("never"), "spec.onReload: Unsupported value"),
        ("/grants/read/0/kind", json!(""), "at least 1 chars long"),
        ("/grants/write", json!([]), "unknown field \"spec.grants.write\""),
    ] {
        let mut spec = full_spec();
        set(&mut spec, pointer, value.clone());
        let result = judged(&client, &handler_resource("bad", spec)).await;
        let said = result.map_or_else(|error| error.to_string(), |_| "nothing".to_owned());
        if !said.contains(expected) {
            wrong.push(format!("{pointer} {value} gave {said} and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sets a value, or with null removes it.
fn set(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent if value.is_null() => drop(parent.as_object_mut().unwrap().remove(field)),
        parent => parent[field] = value,
    }
}

/// The kind and the Rust side have the same fields: each is in [`full_spec`].
#[test]
fn the_kind_has_the_fields_of_a_handler_spec() {
    let document = handler_resource("full", full_spec());
    let (_, spec) = HandlerSpec::from_yaml(&serde_json::to_string(&document).unwrap()).unwrap();
    // A field that is added does not compile here before it is looked at.
    let HandlerSpec {
        module,
        watches,
        config,
        secrets,
        service_account_name,
        limits,
        delivery,
        hibernate_after,
        on_reload,
        grants,
    } = spec;
    let SecretValue { name, secret_key_ref } = &secrets[0];
    let SecretKeyRef { namespace: secret_in, name: secret, key } = secret_key_ref;
    let WatchSpec { api_version, kind, namespaces, label_selector, field_selector, queue } =
        &watches[0];
    let LimitsSpec {
        memory,
        cpu_per_call,
        cpu_at_start,
        host_calls_per_delivery,
        log_lines_per_second,
        log_bytes_per_second,
    } = limits;
    let DeliverySpec { max_retries, backoff, buffer, resync_period } = delivery;
    let GrantsSpec { read } = grants;
    let ReadGrant { api_version: read_version, kind: read_kind, namespaces: read_in, names } =
        &read[0];
    let said = format!(
        "{} {api_version} {kind} {namespaces:?} {} {field_selector} {queue:?} {} {memory:?} \
         {cpu_per_call:?} {cpu_at_start:?} {host_calls_per_delivery:?} {log_lines_per_second:?} \
         {log_bytes_per_second:?} {max_retries:?} {backoff:?} {buffer:?} {resync_period:?} {hibernate_after:?} {on_reload:?} \
         {read_version} {read_kind} {read_in:?} {names:?} {name} {secret_in:?} {secret} {key} \
         {service_account_name:?}",
        module.location,
        label_selector.match_expressions.as_ref().unwrap().len(),
        config.unwrap(),
    );
    assert_eq!(
        said,
        "a.wasm apps/v1 Deployment [\"prod\"] 2 metadata.name=a InOrder \
         {\"deep\":{\"as\":[\"you\",{\"like\":1.5}]}} Some(16777216) Some(50ms) Some(2s) \
         Some(9) Some(8) Some(4096) Some(2) Some(1s) Some(7) Some(5400s) Some(300s) Replay v1 Pod [\"prod\"] [\"system:a\"] token Some(\"prod\") notifier \
         token.txt Some(\"reader\")"
    );

    let crd = handler_kind();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut full = full_spec();
    // Forms of `module` that do not go together; `modules/source.rs` reads each.
    let module = json!({ "path": "", "url": "", "sha256": "", "signature": "",
        "imagePullSecret": "" });
    full["module"] = module;
    assert_same_fields(schema, &full, "spec");
}

/// Each of the schema's properties is in the document, and the other way round.
fn assert_same_fields(schema: &Value, document: &Value, at: &str) {
    if let Some(properties) = schema["properties"].as_object() {
        let given: Vec<&String> = document.as_object().unwrap().keys().collect();
        let mut fields: Vec<&String> = properties.keys().collect();
        fields.sort();
        assert_eq!(fields, given, "{at}");
        for (field, schema) in properties {
            assert_same_fields(schema, &document[field], &format!("{at}.{field}"));
        }
    }
    if schema["items"].is_object() {
        assert_same_fields(&schema["items"], &document[0], &format!("{at}[]"));
    }
}

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
