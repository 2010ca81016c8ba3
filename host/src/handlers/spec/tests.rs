use super::*;

fn spec(spec: &str) -> Result<HandlerSpec, String> {
    let text = format!(
        "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: a }}\nspec:\n  \
         module: {{ path: a.wasm }}\n{spec}"
    );
    HandlerSpec::from_yaml(&text).map(|(_, spec)| spec)
}

#[test]
fn a_full_spec_is_read() {
    let spec = spec(
        "  watches:\n    - { apiVersion: v1, kind: Pod, namespaces: [prod], \
         labelSelector: { matchLabels: { app: web } }, queue: in-order }\n  \
         config: { greeting: hello }\n  \
         limits: { memory: 16Mi, cpuPerCall: 50ms, hostCallsPerDelivery: 20000 }\n  \
         delivery: { maxRetries: 2, backoff: 1s, buffer: 7, resyncPeriod: 10m }\n  \
         grants: { read: [{ apiVersion: apps/v1, kind: ReplicaSet, namespaces: [prod], \
         names: [a] }] }\n  \
         serviceAccountName: prod/reader\n  \
         secrets: [{ name: token, secretKeyRef: { namespace: prod, name: s, key: k.txt } }]\n",
    )
    .unwrap();
    let watch = &spec.watches().unwrap()[0];
    assert_eq!((&*watch.kind, &*watch.label_selector), ("Pod", "app=web"));
    assert_eq!(watch.queue, QueueKind::InOrder);
    assert_eq!(watch.namespaces, ["prod"]);
    assert_eq!(spec.config_json(), r#"{"greeting":"hello"}"#);
    let granted = &spec.grants.read[0];
    assert_eq!((&*granted.api_version, &*granted.kind), ("apps/v1", "ReplicaSet"));
    assert_eq!((&*granted.namespaces, &*granted.names), (&["prod".into()][..], &["a".into()][..]));
    assert_eq!(spec.service_account_name.as_deref(), Some("prod/reader"));
    let SecretKeyRef { namespace, name, key } = &spec.secrets[0].secret_key_ref;
    assert_eq!((namespace.as_deref(), &**name, &**key), (Some("prod"), "s", "k.txt"));
    let limits = spec.limits(&GuestLimits::MAX).unwrap();
    assert_eq!(limits.memory, 16 << 20);
    assert_eq!(limits.cpu_per_call, Duration::from_millis(50));
    assert_eq!(limits.host_calls_per_delivery, 20_000);
    assert_eq!(spec.delivery().retries_max, 2);
    assert_eq!(spec.delivery().buffer_max, 7);
    assert_eq!(spec.delivery.resync_period, Some(Duration::from_secs(600)));
}

#[test]
fn what_is_absent_has_the_defaults() {
    let spec = spec("").unwrap();
    assert_eq!(spec.limits(&GuestLimits::MAX).unwrap(), GuestLimits::default());
    assert_eq!(spec.delivery(), DeliveryPolicy::default());
    assert!(spec.watches().unwrap().is_empty() && spec.grants.read.is_empty());
    assert!(spec.secrets.is_empty() && spec.service_account_name.is_none());
    assert_eq!(spec.config_json(), "{}");
}

#[test]
fn errors_name_the_field() {
    for (text, named) in [
        ("  limitz: {}\n", "limitz"),
        ("  limits: { memory: lots }\n", "lots"),
        ("  limits: { memory: 64G }\n", "spec.limits.memory"),
        ("  limits: { cpuPerCall: 0s }\n", "spec.limits.cpuPerCall"),
        ("  limits: { cpuPerCall: soon }\n", "soon"),
        ("  delivery: { buffer: 0 }\n", "spec.delivery.buffer"),
        ("  hibernateAfter: 999ms\n", "spec.hibernateAfter must be at least 1s"),
        ("  hibernateAfter: never\n", "never"),
        ("  onReload: never\n", "expected one of continue, replay"),
        ("  delivery: { backoff: 1h }\n", "spec.delivery.backoff"),
        ("  config: [1]\n", "spec.config"),
        ("  grants: { read: [{ apiVersion: v1, kind: \"\" }] }\n", "spec.grants.read[0]"),
        (
            "  grants: { read: [{ apiVersion: v1, kind: Pod, names: [a/b] }] }\n",
            "spec.grants.read[0].names has \"a/b\"",
        ),
        ("  grants: { read: [{ apiVersion: v1, kind: Pod, names: [\"\"] }] }\n", "names"),
        // Reserved.
        ("  grants: { write: [] }\n", "write"),
        ("  grants: { http: [] }\n", "http"),
        ("  secrets: [{ name: a, value: b }]\n", "value"),
        ("  secrets: [{ name: a, secretKeyRef: { name: s } }]\n", "key"),
        (
            "  secrets: [{ name: \"\", secretKeyRef: { name: s, key: k } }]\n",
            "spec.secrets[0].name",
        ),
        (
            "  secrets: [{ name: a, secretKeyRef: { name: ../s, key: k } }]\n",
            "spec.secrets[0].secretKeyRef.name",
        ),
        (
            "  secrets: [{ name: a, secretKeyRef: { namespace: a/b, name: s, key: k } }]\n",
            "spec.secrets[0].secretKeyRef.namespace",
        ),
        (
            "  secrets: [{ name: a, secretKeyRef: { name: s, key: k/k } }]\n",
            "spec.secrets[0].secretKeyRef.key",
        ),
        (
            "  config: { a: 1 }\n  secrets: [{ name: a, secretKeyRef: { name: s, key: k } }]\n",
            "in spec.config, too",
        ),
        (
            "  secrets: [{ name: a, secretKeyRef: { name: s, key: k } }, \
             { name: a, secretKeyRef: { name: s, key: l } }]\n",
            "spec.secrets[1].name \"a\" is there twice",
        ),
        ("  watches: [{ kind: Pod }]\n", "apiVersion"),
        (
            "  watches: [{ apiVersion: v1, kind: Pod, queue: fifo }]\n",
            "expected one of delta, in-order",
        ),
        ("  watches: [{ apiVersion: v1, kind: \"\" }]\n", "spec.watches[0]"),
        (
            "  watches: [{ apiVersion: v1, kind: Pod, labelSelector: { matchExpressions: \
             [{ key: a, operator: Near }] } }]\n",
            "spec.watches[0].labelSelector",
        ),
    ] {
        let error = spec(text).unwrap_err();
        assert!(error.contains(named), "{text} gave {error}");
    }
}

#[test]
fn other_documents_and_bad_names_are_refused() {
    let document = |kind: &str, name: &str| {
        HandlerSpec::from_yaml(&format!(
            "apiVersion: informerd.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\n\
             spec: {{ module: {{ path: a.wasm }} }}\n"
        ))
    };
    assert!(document("Handler", "a-1").is_ok());
    assert!(document("Deployment", "a").unwrap_err().contains("Deployment"));
    for name in ["\"\"", "A", "-a", "a.b", "../a"] {
        assert!(document("Handler", name).unwrap_err().contains("metadata.name"), "{name}");
    }
}
