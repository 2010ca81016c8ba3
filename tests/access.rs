//! On a real kube-apiserver with RBAC: what the ServiceAccount of a handler may not do, the handler does not get.

use std::time::Duration;

use artifacts::RECORDER;
use control_plane::ControlPlane;
use host::access::AccessPeriods;
use host::handlers::HandlerState;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tests::{
    Dev, Event, Kind, TestHost, apply, audited, config_map, config_maps, deliveries_of, eventually,
    problems_of,
};
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// So that what takes a minute takes seconds.
const PERIODS: AccessPeriods = AccessPeriods {
    valid_for: Duration::from_millis(500),
    recheck: Duration::from_secs(1),
    kept_for: Duration::from_secs(2),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_gets_what_its_account_may_see_and_for_as_long() {
    let control_plane = ControlPlane::start().await.unwrap();
    let admin = control_plane.client().await.unwrap();
    apply(&config_maps(&admin), &config_map("first", "1")).await;
    let host = host(admin.clone()).await;
    let spec = "  serviceAccountName: default/reader\n  \
                watches: [{ apiVersion: v1, kind: ConfigMap, namespaces: [default] }]\n";
    host.begin_load("bound", RECORDER, spec);
    let problem = forbidden(&host, "bound").await;
    for named in ["default/reader", "list, watch configmaps in default", "resources: [configmaps]"]
    {
        assert!(problem.contains(named), "{problem} without {named}");
    }
    assert!(host.host.handlers().informers().is_empty(), "nothing is followed for it");
    assert!(host.host.handlers().is_ready(), "it does not keep the others from serving");
    let lines = audited("bound");
    assert_eq!(lines.len(), 2, "list and watch, each once: {lines:?}");
    for (line, verb) in lines.iter().zip(["list", "watch"]) {
        let field = |name| line.get(name).map(String::as_str);
        assert_eq!(field("account"), Some("system:serviceaccount:default:reader"));
        assert_eq!((field("verb"), field("resource")), (Some(verb), Some("configmaps")));
        assert_eq!((field("namespace"), field("decision")), (Some("default"), Some("denied")));
    }

    permit(&admin, "reader", &[list_and_watch("configmaps")]).await;
    runs(&host, "bound").await;
    host.synced("bound").await;
    let keys = |initial: bool| {
        let deliveries = deliveries_of("bound").into_iter();
        let adds = deliveries.filter(|it| it.event == Event::Add && it.initial == initial);
        adds.map(|it| it.key).collect::<Vec<_>>()
    };
    let first = "default/first".to_owned();
    assert_eq!((keys(true).contains(&first), keys(false)), (true, Vec::new()));
    // It stays so when it is looked at again.
    sleep(PERIODS.recheck * 3).await;
    assert_eq!(
        (host.status("bound").state, host.status("bound").generation),
        (HandlerState::Running, 1)
    );

    let bindings = rbac(&admin, "RoleBinding", "rolebindings");
    bindings.delete("reader", &DeleteParams::default()).await.unwrap();
    forbidden(&host, "bound").await;
    assert!(host.host.handlers().informers().is_empty(), "what nobody may see is not followed");
    assert_eq!(audited("bound").len(), 4, "the revocation is in the audit");
    let told = deliveries_of("bound").len();
    apply(&config_maps(&admin), &config_map("unseen", "1")).await;
    sleep(PERIODS.recheck * 2).await;
    assert_eq!(deliveries_of("bound").len(), told, "nothing more");
    assert_eq!(host.status("bound").counts.delivered, 1, "what it got is not forgotten");

    permit(&admin, "reader", &[list_and_watch("configmaps")]).await;
    runs(&host, "bound").await;
    host.synced("bound").await;
    assert_eq!(host.status("bound").generation, 2);
    assert!(keys(true).contains(&"default/unseen".to_owned()), "the initial list comes again");
    assert_eq!(keys(true).iter().filter(|key| **key == first).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_some_names_is_enough_for_these_and_without_an_answer_nothing_is_allowed() {
    let control_plane = ControlPlane::start().await.unwrap();
    let admin = control_plane.client().await.unwrap();
    for name in ["a", "b"] {
        apply(&config_maps(&admin), &config_map(name, "1")).await;
    }
    let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"],
        "verbs": ["get", "list", "watch"] });
    permit(&admin, "some", &[rule]).await;
    let host = host(admin.clone()).await;
    let spec = |selected: &str| {
        format!(
            "  serviceAccountName: default/some\n  watches: [{{ apiVersion: v1, kind: ConfigMap, \
             namespaces: [default], fieldSelector: metadata.name={selected} }}]\n"
        )
    };
    assert_eq!(host.load("named-a", RECORDER, &spec("a")).await, HandlerState::Running);
    host.begin_load("named-b", RECORDER, &spec("b"));
    host.synced("named-a").await;
    assert_eq!(deliveries_of("named-a")[0].key, "default/a");
    assert!(forbidden(&host, "named-b").await.contains("resourceNames: [b]"));

    // Granted names, read from the cache beside what is watched.
    let granted = |names: &str| {
        format!(
            "{}  grants: {{ read: [{{ apiVersion: v1, kind: ConfigMap, namespaces: [default], \
             names: [{names}] }}] }}\n",
            spec("a")
        )
    };
    let reader = artifacts::POD_OWNERS;
    assert_eq!(host.load("grant-a", reader, &granted("a")).await, HandlerState::Running);
    host.begin_load("grant-b", reader, &granted("a, b"));
    let problem = forbidden(&host, "grant-b").await;
    assert!(
        problem.contains("get, list, watch configmaps \"b\"") && !problem.contains("\"a\""),
        "{problem}"
    );

    // This host may do what the account may, and may not ask about others.
    let user =
        json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "restricted" }]);
    bind(&admin, "restricted", "some", user).await;
    let restricted = control_plane.restricted_kubeconfig_path();
    let restricted = host::api_server::connect(Some(restricted), None).await.unwrap();
    let host = TestHost::start(restricted).await;
    host.begin_load("unasked", RECORDER, &spec("a"));
    eventually("it waits", MINUTE, || {
        matches!(host.status("unasked").state, HandlerState::Unreachable(_))
    })
    .await;
    let HandlerState::Unreachable(problem) = host.status("unasked").state else { panic!() };
    assert!(problem.contains("subjectaccessreviews") && problem.contains("some"), "{problem}");
    assert!(host.host.handlers().informers().is_empty());
    assert_eq!(audited("unasked")[0]["decision"], "denied: not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_given_to_whom_they_are_granted_and_by_reference() {
    let control_plane = ControlPlane::start().await.unwrap();
    let admin = control_plane.client().await.unwrap();
    for name in ["a", "b"] {
        apply(&secrets(&admin), &secret(name, "x")).await;
        apply(&config_maps(&admin), &config_map(name, "1")).await;
    }
    let host = host(admin.clone()).await;
    let spec = |watch: &str, grant: &str| {
        format!(
            "  watches: [{{ apiVersion: v1, kind: Secret, namespaces: [default]{watch} }}]\n  \
             grants: {{ read: [{grant}] }}\n"
        )
    };
    let of_a = ", fieldSelector: metadata.name=a";
    for (name, watch, grant) in [
        ("ungranted", "", ""),
        ("other-kind", "", "{ apiVersion: v1, kind: ConfigMap }"),
        ("elsewhere", "", "{ apiVersion: v1, kind: Secret, namespaces: [other] }"),
        ("too-many", "", "{ apiVersion: v1, kind: Secret, names: [a] }"),
        ("other-name", of_a, "{ apiVersion: v1, kind: Secret, names: [b] }"),
    ] {
        let state = host.load(name, RECORDER, &spec(watch, grant)).await;
        let HandlerState::Failed(problem) = state else { panic!("{name}: {state:?}") };
        assert!(problem.contains("kind: Secret, namespaces: [default]"), "{name}: {problem}");
        assert!(problem.contains("`spec.grants.read`"), "{name}: {problem}");
    }
    assert!(host.host.handlers().informers().is_empty());
    for (name, watch, grant, expected) in [
        ("granted", "", "{ apiVersion: v1, kind: Secret, namespaces: [default] }", 2),
        ("granted-name", of_a, "{ apiVersion: v1, kind: Secret, names: [a] }", 1),
    ] {
        let state = host.load(name, RECORDER, &spec(watch, grant)).await;
        assert_eq!(state, HandlerState::Running, "{name}");
        host.synced(name).await;
        let adds = deliveries_of(name).into_iter().filter(|it| it.event == Event::Add).count();
        assert_eq!(adds, expected, "{name}");
    }

    // What the recorder fails at is in a Secret.
    let rules = |secrets: Value| {
        [
            list_and_watch("configmaps"),
            json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["get"] }),
        ]
    };
    permit(&admin, "refers", &rules(json!(["other"]))).await;
    let spec = "  serviceAccountName: default/refers\n  \
                watches: [{ apiVersion: v1, kind: ConfigMap, namespaces: [default] }]\n  \
                config: { fail: permanent }\n  \
                secrets: [{ name: failName, secretKeyRef: { namespace: default, name: s, key: token } }]\n";
    host.begin_load("refers", RECORDER, spec);
    let problem = forbidden(&host, "refers").await;
    assert!(problem.contains("may not get secrets \"s\" in default"), "{problem}");
    permit(&admin, "refers", &rules(json!(["s"]))).await;
    let waits = async |what: &str| {
        let says = || match host.status("refers").state {
            HandlerState::UnknownSecret(problem) => problem.contains(what),
            _ => false,
        };
        eventually(what, MINUTE, says).await;
    };
    waits("which is not there").await;
    assert!(host.host.handlers().is_ready(), "it does not keep the others from serving");
    apply(&secrets(&admin), &secret("s", "b")).await;
    runs(&host, "refers").await;
    host.synced("refers").await;
    let failed: Vec<_> = deliveries_of("refers").into_iter().filter(|it| !it.ok).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].key, "default/b", "the value came to the guest");

    // Changed, it counts from the next reload on, and what it is nobody tells.
    let mut changed = secret("s", "hunter2-and-more");
    changed.data["data"] = json!({ "binary": "/w==" });
    apply(&secrets(&admin), &changed).await;
    assert!(host.host.handlers().reload("refers"));
    eventually("it is loaded anew", MINUTE, || host.status("refers").generation == 2).await;
    let replaced = |key: &str| spec.replace("key: token", &format!("key: {key}"));
    host.begin_load("refers", RECORDER, &replaced("absent"));
    let says = |what: &'static str| {
        let host = &host;
        async move {
            let problem = || problems_of("refers").iter().any(|problem| problem.contains(what));
            eventually(what, MINUTE, problem).await;
            assert_eq!(
                host.status("refers").state,
                HandlerState::Running,
                "the one before goes on"
            );
        }
    };
    says("has no such key").await;
    host.begin_load("refers", RECORDER, &replaced("binary"));
    says("no UTF-8 text").await;
    let told = format!("{:?} {:?}", host.host.handlers().statuses(), problems_of("refers"));
    assert!(!told.contains("hunter2"), "{told}");
}

/// The embedded API server knows one user, and says so when it is asked about others.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_handler_runs_where_there_is_no_rbac() {
    let dev = Dev::start().await;
    dev.apply("a", "1");
    let host = dev.host().await;
    let spec =
        "  serviceAccountName: default/reader\n  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";
    assert_eq!(host.load("in-dev", RECORDER, spec).await, HandlerState::Running);
    host.synced("in-dev").await;
    assert_eq!(deliveries_of("in-dev").len(), 2);
}

async fn host(client: Client) -> TestHost {
    let host = TestHost::start(client).await;
    host.host.handlers().set_access_periods(PERIODS);
    host
}

/// Waits until a handler is forbidden; gives why.
async fn forbidden(host: &TestHost, name: &str) -> String {
    let problem = || match host.status(name).state {
        HandlerState::Forbidden(problem) => Some(problem),
        _ => None,
    };
    eventually(&format!("{name} is forbidden"), MINUTE, || problem().is_some()).await;
    problem().unwrap()
}

async fn runs(host: &TestHost, name: &str) {
    let runs = || host.status(name).state == HandlerState::Running;
    eventually(&format!("{name} runs"), MINUTE, runs).await;
}

/// Lets a ServiceAccount of the namespace `default` do this there. It need not exist.
async fn permit(client: &Client, account: &str, rules: &[Value]) {
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": account, "namespace": "default" }, "rules": rules });
    apply(&rbac(client, "Role", "roles"), &serde_json::from_value(role).unwrap()).await;
    let subject = json!([{ "kind": "ServiceAccount", "namespace": "default", "name": account }]);
    bind(client, account, account, subject).await;
}

fn list_and_watch(resource: &str) -> Value {
    json!({ "apiGroups": [""], "resources": [resource], "verbs": ["list", "watch"] })
}

async fn bind(client: &Client, name: &str, role: &str, subjects: Value) {
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": "default" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
        "subjects": subjects });
    let bindings = rbac(client, "RoleBinding", "rolebindings");
    apply(&bindings, &serde_json::from_value(binding).unwrap()).await;
}

fn rbac(client: &Client, kind: &str, plural: &str) -> Kind {
    let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn secrets(client: &Client) -> Kind {
    let gvk = GroupVersionKind::gvk("", "v1", "Secret");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "secrets");
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn secret(name: &str, token: &str) -> DynamicObject {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "token": token },
        "metadata": { "name": name, "namespace": "default" } });
    serde_json::from_value(secret).unwrap()
}
