//! Over TCP, with TLS and tokens that a real kube-apiserver reviews.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use artifacts::RECORDER;
use control_plane::ControlPlane;
use host::admin::{AdminServer, AdminSettings, TcpSettings};
use host::handlers::HandlerState;
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    Answer, Request, ScriptedServer, TestHost, apply, binary, config_map, config_maps, eventually,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::command_line::text;

const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap, namespaces: [default] }, \
     { apiVersion: v1, kind: Secret, namespaces: [default] }]\n  \
     grants: { read: [{ apiVersion: v1, kind: Secret, namespaces: [default] }] }\n";
const RBAC: &str = "rbac.authorization.k8s.io";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_do_what_its_roles_permit_and_nothing_else() {
    let mut control_plane = ControlPlane::start().await.unwrap();
    let client = control_plane.client().await.unwrap();
    apply(&config_maps(&client), &config_map("a", "1")).await;
    create(&client, "/api/v1/namespaces/default/secrets", json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "p": "w" }
    }))
    .await;
    let host = TestHost::start(client.clone()).await;
    assert_eq!(host.load("remote", RECORDER, MAPS).await, HandlerState::Running);
    host.synced("remote").await;

    // The API server's own pair is one for 127.0.0.1.
    let certificates = control_plane.kubeconfig_path().with_file_name("certificates");
    let (certificate, key) =
        (certificates.join("apiserver.crt"), certificates.join("apiserver.key"));
    let folder = tempfile::tempdir().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let tls = Some((certificate.clone(), key));
    let settings = AdminSettings {
        socket: Some(folder.path().join("admin.sock")),
        tcp: Some(TcpSettings { address, tls }),
    };
    let admin = AdminServer::start(&host.host, client.clone(), settings).await.unwrap();
    let remote = Remote {
        url: format!("https://{}", admin.address().unwrap()),
        certificate: certificate.to_str().unwrap().to_owned(),
        folder,
    };

    for name in ["viewer", "operator", "nobody"] {
        create(&client, "/api/v1/namespaces/default/serviceaccounts", account(name)).await;
    }
    permit(&client, "viewer", documented_role("informerd-viewer")).await;
    permit(&client, "operator", documented_role("informerd-operator")).await;
    let maps = [rule("informerd.dev", "handlers/cache", "get"), rule("", "configmaps", "get")];
    permit(&client, "viewer", role("maps", &maps)).await;
    let secrets = [rule("informerd.dev", "handlers", "create"), rule("", "secrets", "get")];
    permit(&client, "operator", role("secrets", &secrets)).await;
    for account in ["viewer", "operator", "nobody"] {
        remote.save(account, &token(&client, account).await);
    }
    remote.save("wrong", "eyJhbGciOiJub25lIn0.e30.");
    remote.save("garbage", "not a token");

    // Roles reach the API server's authorizer a moment after they are made.
    eventually("the roles are in force", MINUTE, || {
        let may = |who, command: &[&str]| remote.run(who, command).status.success();
        may("viewer", &["cache", "get", "configmap", "default/a"])
            && may("operator", &["cache", "get", "secret", "default/s"])
    })
    .await;
    assert!(remote.ok("viewer", &["informers", "list"]).contains("v1 ConfigMap in default"));
    assert!(remote.ok("viewer", &["dead-letters", "list"]).contains("no dead letters"));
    assert!(remote.ok("viewer", &["handlers", "list"]).contains("remote"));
    assert!(remote.ok("viewer", &["handlers", "logs", "remote"]).contains("default/a"));
    assert!(remote.ok("viewer", &["cache", "get", "configmap", "default/a"]).contains("\"1\""));
    for (who, command, problem) in [
        (
            "viewer",
            &["handlers", "pause", "remote"][..],
            "serviceaccount:default:viewer may not update handlers.informerd.dev remote",
        ),
        ("viewer", &["handlers", "unload", "remote"], "may not delete handlers"),
        (
            "viewer",
            &["dead-letters", "retry", "remote", "--all"],
            "may not update handlers.informerd.dev/deadletters",
        ),
        ("nobody", &["informers", "list"], "may not list handlers.informerd.dev/informers"),
        (
            "viewer",
            &["cache", "get", "secret", "default/s"],
            "may not get secrets s in the namespace default",
        ),
        ("nobody", &["handlers", "list"], "may not list handlers"),
        ("nobody", &["handlers", "describe", "no-such-handler"], "may not get handlers"),
        ("wrong", &["handlers", "list"], "does not accept this token"),
        ("garbage", &["handlers", "list"], "does not accept this token"),
    ] {
        let said = remote.fails(who, command);
        assert!(said.contains(problem), "{who} {command:?}: {said:?} without {problem:?}");
    }
    assert!(remote.ok("operator", &["cache", "get", "secret", "default/s"]).contains("\"dw==\""));
    remote.ok("operator", &["handlers", "pause", "remote"]);
    assert!(host.status("remote").paused);
    remote.ok("operator", &["handlers", "resume", "remote"]);
    let said = remote.fails("operator", &["handlers", "load", RECORDER]);
    assert!(said.contains("over the host's socket only"), "{said}");
    let said = remote.fails("operator", &["handlers", "describe", "remot"]);
    assert!(!said.contains("closest"), "other names are for those who may list them: {said}");
    let without = Command::new(binary())
        .args(["handlers", "list", "--admin-url", &remote.url, "--ca-file", &remote.certificate])
        .env_clear()
        .output()
        .unwrap();
    assert!(text(&without.stderr).contains("a bearer token is needed (--token-file)"));

    // Revoked before it was ever shown.
    create(&client, "/api/v1/namespaces/default/serviceaccounts", account("revoked")).await;
    remote.save("revoked", &token(&client, "revoked").await);
    let path = "/api/v1/namespaces/default/serviceaccounts/revoked";
    let delete = http::Request::delete(path).body(Vec::new()).unwrap();
    client.request::<Value>(delete).await.unwrap();
    let said = remote.fails("revoked", &["handlers", "list"]);
    assert!(said.contains("does not accept this token"), "{said}");

    // A host whose own account may not ask says what it lacks, until it is bound to that.
    let restricted = control_plane.restricted_kubeconfig_path();
    let restricted = host::api_server::connect(Some(restricted), None).await.unwrap();
    let answer = asked_on(restricted.clone()).await;
    assert!(answer.contains(" 503 ") && answer.contains("system:auth-delegator"), "{answer}");
    let user = json!({ "kind": "User", "name": "restricted", "apiGroup": RBAC });
    bind(&client, "delegator", "system:auth-delegator", user).await;
    let start = Instant::now();
    while !asked_on(restricted.clone()).await.contains("does not accept this token") {
        assert!(start.elapsed() < MINUTE, "the binding is not in force");
    }

    // Without the cluster nobody is let in, and the socket still works.
    control_plane.kill_apiserver();
    let said = remote.fails("viewer", &["handlers", "list"]);
    assert!(said.contains("denied, since the cluster does not answer"), "{said}");
    let local = super::Admin { socket: remote.folder.path().join("admin.sock") };
    assert!(local.ok(&["handlers", "list"]).contains("remote"));
    admin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_cross_no_network_in_the_clear() {
    let dev = tests::Dev::start().await;
    let host = dev.host().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = |address: &str, tls| AdminSettings {
        socket: Some(folder.path().join("admin.sock")),
        tcp: Some(TcpSettings { address: address.parse().unwrap(), tls }),
    };
    let missing = folder.path().join("missing.pem");
    for (settings, problems) in [
        (settings("0.0.0.0:0", None), ["--admin-address", "--admin-tls-cert"]),
        (settings("[::]:0", None), ["--admin-address", "--admin-tls-cert"]),
        (
            settings("127.0.0.1:0", Some((missing.clone(), missing))),
            ["missing.pem", "--admin-tls-cert"],
        ),
    ] {
        let started = AdminServer::start(&host.host, dev.client(), settings).await;
        let error = format!("{:#}", started.err().expect("it is refused"));
        for problem in problems {
            assert!(error.contains(problem), "{error}");
        }
    }
    // In the clear on loopback, on a server that reviews no tokens: denied, and said why.
    let admin = AdminServer::start(&host.host, dev.client(), settings("127.0.0.1:0", None)).await;
    let admin = admin.unwrap();
    let url = format!("http://{}", admin.address().unwrap());
    let token = folder.path().join("token");
    fs::write(&token, "a-token").unwrap();
    let output = Command::new(binary())
        .args(["handlers", "list", "--admin-url", &url, "--token-file", token.to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("denied, since the cluster does not answer a TokenReview"), "{said}");
    admin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_slow_or_talks_nonsense_lets_nobody_in() {
    let known = r#"{"status":{"authenticated":true,"user":{"username":"somebody"}}}"#;
    let review = |body: &str| (Request::List, Answer::ending(body));
    for (answers, status, problem) in [
        (vec![], 503, "does not answer a TokenReview"),
        (vec![(Request::List, Answer::html("<h1>a proxy</h1>"))], 503, "a TokenReview"),
        (vec![review("{}")], 401, "does not accept this token"),
        (vec![review(r#"{"status":{"authenticated":true}}"#)], 401, "does not accept this token"),
        (vec![review(known)], 503, "does not answer a SubjectAccessReview"),
        (vec![review(known), review("{}")], 403, "somebody may not list handlers"),
        (
            vec![review(known), review(r#"{"status":{"allowed":true,"denied":true}}"#)],
            403,
            "somebody may not list handlers",
        ),
        (vec![review(known), review(r#"{"status":{"allowed":true}}"#)], 200, "items"),
    ] {
        let server = ScriptedServer::start(answers).await;
        let answer = asked_on(server.client()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{problem}: {answer}");
        assert!(answer.contains(problem), "{answer} without {problem}");
        assert!(server.is_played() && !answer.contains("a-token"));
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    let answer = asked_on(client).await;
    assert!(answer.contains("did not answer a TokenReview within 5s"), "{answer}");
}

/// What a host on this cluster answers somebody who lists its handlers.
async fn asked_on(client: Client) -> String {
    let host = TestHost::start(client.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = AdminSettings {
        socket: Some(folder.path().join("admin.sock")),
        tcp: Some(TcpSettings { address: ([127, 0, 0, 1], 0).into(), tls: None }),
    };
    let admin = AdminServer::start(&host.host, client, settings).await.unwrap();
    let mut stream = TcpStream::connect(admin.address().unwrap()).await.unwrap();
    let request = b"GET /v1/handlers HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a-token\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    admin.stop().await;
    answer
}

/// Commands to a host over TCP.
struct Remote {
    url: String,
    certificate: String,
    folder: TempDir,
}

impl Remote {
    fn save(&self, name: &str, token: &str) {
        fs::write(self.folder.path().join(name), format!("{token}\n")).unwrap();
    }

    fn run(&self, who: &str, command: &[&str]) -> Output {
        Command::new(binary())
            .args(command)
            .args(["--admin-url", &self.url, "--ca-file", &self.certificate])
            .arg("--token-file")
            .arg(self.folder.path().join(who))
            .env_clear()
            .output()
            .unwrap()
    }

    fn ok(&self, who: &str, command: &[&str]) -> String {
        let output = self.run(who, command);
        assert!(output.status.success(), "{who} {command:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn fails(&self, who: &str, command: &[&str]) -> String {
        let output = self.run(who, command);
        assert_eq!(output.status.code(), Some(1), "{who} {command:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn account(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } })
}

/// A role as the page for operators has it.
fn documented_role(name: &str) -> Value {
    let blocks = include_str!("../../docs/admin.md").split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let mut roles = blocks.map(|yaml| serde_saphyr::from_str::<Value>(yaml).unwrap());
    roles.find(|role| role["metadata"]["name"] == name).unwrap()
}

fn rule(group: &str, resource: &str, verb: &str) -> Value {
    json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] })
}

fn role(name: &str, rules: &[Value]) -> Value {
    json!({ "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole",
        "metadata": { "name": name }, "rules": rules })
}

/// Makes a cluster role, and binds a service account to it.
async fn permit(client: &Client, account: &str, role: Value) {
    let name = role["metadata"]["name"].as_str().unwrap().to_owned();
    create(client, &format!("/apis/{RBAC}/v1/clusterroles"), role).await;
    let account = json!({ "kind": "ServiceAccount", "name": account, "namespace": "default" });
    bind(client, &name, &name, account).await;
}

async fn bind(client: &Client, name: &str, role: &str, subject: Value) {
    let binding = json!({ "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
        "subjects": [subject] });
    create(client, &format!("/apis/{RBAC}/v1/clusterrolebindings"), binding).await;
}

async fn token(client: &Client, account: &str) -> String {
    let path = format!("/api/v1/namespaces/default/serviceaccounts/{account}/token");
    let request =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = create(client, &path, request).await;
    answer["status"]["token"].as_str().unwrap().to_owned()
}

async fn create(client: &Client, path: &str, object: Value) -> Value {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())
        .unwrap();
    client.request(request).await.unwrap()
}
