use registry::{Options, Pusher, Registry, sha256};

use super::*;

const MODULE: &[u8] = b"\0asm, more or less";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_found_by_tag_and_digest_in_every_layout() {
    let registry = started(Options::default()).await;
    let address = registry.address();
    let pusher = Pusher::new(reqwest::Client::new(), format!("http://{address}/v2/org/a"), None);
    let folder = tempfile::tempdir().unwrap();
    let fetcher = fetcher(policy(folder.path(), &format!("plainHttp: [\"{address}\"]\n")));
    let fetch = async |reference: &str| {
        fetcher.fetch(&source(json!({ "url": format!("oci://{address}/{reference}") })), None).await
    };
    refused(fetch("org/a:v1").await, "is not in the registry", true);
    let strict = super::fetcher(FetchPolicy::default());
    let unlisted = source(json!({ "url": format!("oci://{address}/org/a:v1") }));
    refused(strict.fetch(&unlisted, None).await, "plainHttp", true);

    let old = "application/vnd.wasm.content.layer.v1+wasm";
    let older = "application/vnd.module.wasm.content.layer.v1+wasm";
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    for (tag, layers) in [
        ("v1", &["application/wasm"][..]),
        ("old", &[old]),
        ("older", &[older]),
        ("with-text", &["text/plain", "application/wasm"]),
    ] {
        let digest = push(&pusher, tag, layers).await;
        let fetched = fetch(&format!("org/a:{tag}")).await.unwrap();
        assert_eq!((&*fetched.bytes, fetched.digest), (MODULE, Digest::of(MODULE)), "{tag}");
        assert_eq!(fetched.origin, format!("oci://{address}/org/a@{digest}"));
        assert_eq!(fetch(&format!("org/a@{digest}")).await.unwrap(), fetched);
        assert_eq!(fetch(&format!("org/a:nothing@{digest}")).await.unwrap(), fetched);
    }
    for (tag, layers, named) in [
        ("image", &[tar, tar][..], tar),
        ("empty", &[], "it has none"),
        ("two", &["application/wasm", "application/wasm"], "more than one layer of it is wasm"),
    ] {
        push(&pusher, tag, layers).await;
        refused(fetch(&format!("org/a:{tag}")).await, named, false);
    }
    let (one, two) = (push(&pusher, "one", &[old]).await, push(&pusher, "two", &[older]).await);
    let entry = |digest: &str, arch: &str| {
        let size = manifest(&[if arch == "amd64" { old } else { older }]).len();
        json!({ "mediaType": MANIFEST, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": arch } })
    };
    let entries = json!([entry(&one, "amd64"), entry(&two, "arm64")]);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    pusher.manifest("index", INDEX, index.to_string().as_bytes()).await;
    refused(fetch("org/a:index").await, &format!("{two} (linux/arm64)"), false);

    let big = vec![0; 100_001];
    pusher.blob(&big).await;
    let manifest = manifest_of(&[("application/wasm", &big)]);
    pusher.manifest("big", MANIFEST, manifest.as_bytes()).await;
    refused(fetch("org/a:big").await, "100001 bytes long, more than 100000", false);
    let annotated = manifest_of(&[(&"x".repeat(20_000), MODULE)]);
    pusher.manifest("annotated", MANIFEST, annotated.as_bytes()).await;
    refused(fetch("org/a:annotated").await, "longer than 10000 bytes", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_tls_and_a_login_is_shown_the_credentials() {
    let (certificate, key) = tests::certificate();
    let tls = Some((certificate.pem(), key.serialize_pem()));
    let registry = started(Options { tls, asks_for_login: true }).await;
    let address = registry.address();
    let ca = reqwest::Certificate::from_pem(certificate.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let login = (Registry::USER, Registry::PASSWORD);
    let pusher = Pusher::new(client, format!("https://{address}/v2/a"), Some(login));
    push(&pusher, "v1", &["application/wasm"]).await;

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    let config = |password: &str| {
        let entry = json!({ "username": Registry::USER, "password": password });
        json!({ "auths": { address.to_string(): entry } }).to_string()
    };
    let with_config = |json: &str| {
        fs::write(folder.path().join("config.json"), json).unwrap();
        fetcher(policy(folder.path(), "caFile: ca.pem\ndockerConfig: config.json\n"))
    };
    let (good, bad) = (config(Registry::PASSWORD), config("guess"));
    let source = source(json!({ "url": format!("oci://{address}/a:v1") }));
    let fetched = with_config(&good).fetch(&source, None).await.unwrap();
    assert_eq!(fetched.bytes, MODULE);
    // The secret comes first, and what it lacks is the host's.
    let secret = |json: &str| DockerConfig::from_secret(json.as_bytes()).unwrap();
    assert!(with_config(&bad).fetch(&source, Some(&secret(&good))).await.is_ok());
    assert!(with_config(&good).fetch(&source, Some(&secret("{}"))).await.is_ok());
    refused(with_config(&bad).fetch(&source, None).await, "access is denied (401", true);
    let refused_secret = with_config(&good).fetch(&source, Some(&secret(&bad))).await;
    refused(refused_secret, "access is denied (401", true);
    let nobody = with_config("{}");
    refused(nobody.fetch(&source, None).await, "asks for a user and a password", true);
    let broken = with_config("{ \"auths\": 1 }");
    refused(broken.fetch(&source, None).await, "no docker config.json", true);
    let distrusting = fetcher(FetchPolicy::default());
    refused(distrusting.fetch(&source, None).await, "certificate", true);
}

/// A scripted registry: what a real one never does.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lies_or_leads_elsewhere_gets_no_further() {
    let (server, storage) = (HttpsServer::start_plain().await, HttpsServer::start_plain().await);
    let address = server.address();
    let manifest = manifest(&["application/wasm"]);
    let (digest, layer) = (sha256(manifest.as_bytes()), sha256(MODULE));
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("plainHttp: [\"{address}\", \"{}\"]\n", storage.address());
    let fetcher = fetcher(policy(folder.path(), &yaml));
    let fetch = async |reference: &str| {
        fetcher.fetch(&source(json!({ "url": format!("oci://{address}/{reference}") })), None).await
    };

    // It gives out a token for pulling, and does without credentials.
    let challenge = format!(
        "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://{address}/token\",\
         service=\"test\",scope=\"repository:a:pull\""
    );
    let behind_token = |reply: Reply| {
        let otherwise = Box::new(Reply::head(&challenge));
        Reply::If("authorization: Bearer good\r\n", Box::new(reply), otherwise)
    };
    let token = "/token?scope=repository%3Aa%3Apull&service=test";
    server.reply(token, Reply::ok(br#"{ "token": "good" }"#));
    server.reply("/v2/a/manifests/v1", behind_token(Reply::ok(manifest.as_bytes())));
    let elsewhere = format!("307 Temporary Redirect\nLocation: http://{}/blob", storage.address());
    server.reply(&format!("/v2/a/blobs/{layer}"), behind_token(Reply::head(&elsewhere)));
    storage.reply("/blob", Reply::ok(MODULE));
    let fetched = fetch("a:v1").await.unwrap();
    assert_eq!((fetched.bytes, fetched.signed_by), (MODULE.to_vec(), None));
    let asked = storage.asked();
    assert!(asked.len() == 1 && !asked[0].contains("authorization"), "{asked:?}");
    assert_eq!(server.asked().iter().filter(|head| head.contains("/token")).count(), 1);

    storage.reply("/blob", Reply::ok(b"other"));
    refused(fetch("a:v1").await, "the registry sent sha256:", false);
    server.reply(&format!("/v2/a/manifests/{digest}"), behind_token(Reply::ok(b"{}")));
    refused(fetch(&format!("a@{digest}")).await, "the registry sent sha256:", false);
    server.reply("/v2/a/manifests/v1", Reply::Endless("HTTP/1.1 200 OK\r\n\r\n"));
    refused(fetch("a:v1").await, "longer than 10000 bytes", false);

    for (path, answer, named, is_retryable) in [
        ("bad-token", r#"{ "token": "bad" }"#, "access is denied (401", true),
        ("no-token", "{}", "gives no token", false),
        ("odd-token", "{ \"token\": \"a\\nb\" }", "no text for a header", false),
    ] {
        let challenge = challenge.replace("/token\"", &format!("/{path}\""));
        let token = token.replace("/token", &format!("/{path}"));
        server.reply(&token, Reply::ok(answer.as_bytes()));
        server.reply("/v2/a/manifests/v2", Reply::head(&challenge));
        refused(fetch("a:v2").await, named, is_retryable);
    }
    let outside = challenge.replace(&address.to_string(), "tokens.example");
    server.reply("/v2/a/manifests/v2", Reply::head(&outside));
    refused(fetch("a:v2").await, "http://tokens.example/token for a token", false);
    server
        .reply("/v2/a/manifests/v2", Reply::head("401 Unauthorized\nWWW-Authenticate: Negotiate"));
    refused(fetch("a:v2").await, "a login of a kind that is not known", false);
}

/// A registry that runs. A first build takes minutes.
pub(super) async fn started(options: Options) -> Registry {
    tokio::task::spawn_blocking(move || Registry::start(&options).unwrap()).await.unwrap()
}

/// Pushes an artifact whose layers are of these types; the wasm is `MODULE`. Gives its digest.
async fn push(pusher: &Pusher, tag: &str, layers: &[&str]) -> String {
    for blob in [b"{}", MODULE, b"text"] {
        pusher.blob(blob).await;
    }
    pusher.manifest(tag, MANIFEST, manifest(layers).as_bytes()).await
}

fn manifest(layers: &[&str]) -> String {
    let content = |media_type: &str| if media_type.contains("wasm") { MODULE } else { b"text" };
    let layers: Vec<_> = layers.iter().map(|it| (*it, content(it))).collect();
    manifest_of(&layers)
}

fn manifest_of(layers: &[(&str, &[u8])]) -> String {
    let descriptor = |media_type: &str, content: &[u8]| json!({ "mediaType": media_type, "digest": sha256(content), "size": content.len() });
    let layers: Vec<_> = layers.iter().map(|(kind, content)| descriptor(kind, content)).collect();
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, b"{}"),
        "layers": layers })
    .to_string()
}
