use std::net::TcpListener;

use super::*;

const MODULE: &[u8] = b"\0asm, more or less";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_is_what_the_sha256_says() {
    let server = HttpsServer::start().await;
    let fetcher = trusting(&server);
    server.reply("/a.wasm?token=secret", Reply::ok(MODULE));
    server.reply(
        "/moved.wasm",
        redirect(&format!("https://{}/a.wasm?token=secret", server.address())),
    );
    let sha256 = Digest::of(MODULE);
    let at = |path: &str| json!({ "url": format!("https://{}{path}", server.address()), "sha256": sha256.hex() });
    let fetched = fetcher.fetch(&source(at("/a.wasm?token=secret")), None).await.unwrap();
    assert_eq!((&*fetched.bytes, fetched.digest), (MODULE, sha256));
    assert_eq!(fetched.origin, format!("https://{}/a.wasm", server.address()));
    assert_eq!(fetched.signed_by, None);
    assert_eq!(fetcher.fetch(&source(at("/moved.wasm")), None).await.unwrap().bytes, MODULE);
    let asked = server.asked();
    assert!(asked.iter().all(|head| head.contains("accept-encoding: identity")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_be_wrong_is_told_apart_and_bounded() {
    let (server, plain) = (HttpsServer::start().await, HttpsServer::start_plain().await);
    plain.reply("/a.wasm", Reply::ok(MODULE));
    let fetcher = trusting(&server);
    let length = |length: u64, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        Reply::Bytes([head.as_bytes(), body].concat())
    };
    let open = "HTTP/1.1 200 OK\r\n\r\n";
    // What `gzip` makes of 20 MB of zeros is longer; its head is enough to try.
    let gzip =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0";
    let to_plain = redirect(&format!("http://{}/a.wasm", plain.address()));
    let (permanent, temporary) = (false, true);
    for (path, reply, named, is_retryable) in [
        ("/other", Reply::ok(b"other"), "its sha256 is", permanent),
        ("/unencrypted", to_plain, "which is not encrypted", permanent),
        ("/loop", redirect("/loop"), "redirects more than 5 times", permanent),
        ("/endless", Reply::Endless(open), "longer than 100000 bytes", permanent),
        ("/long", length(100_001, b""), "longer than 100000 bytes", permanent),
        ("/huge", length(1 << 40, b""), "longer than 100000 bytes", permanent),
        ("/cut", length(50, MODULE), "/cut: ", temporary),
        ("/short", length(5, MODULE), "its sha256 is", permanent),
        ("/gzip", Reply::Bytes(gzip.to_vec()), "compressed (\"gzip\")", permanent),
        ("/no-http", Reply::Bytes(b"SSH-2.0-x\r\n\r\n".to_vec()), "/no-http: ", temporary),
        ("/missing", Reply::head("404 Not Found"), "404", temporary),
        ("/broken", Reply::head("500 Internal Server Error"), "500", temporary),
        ("/busy", Reply::head("429 Too Many Requests"), "429", temporary),
        ("/forbidden", Reply::head("403 Forbidden"), "give credentials", temporary),
        ("/bad", Reply::head("400 Bad Request"), "400", permanent),
    ] {
        server.reply(path, reply);
        let url = format!("https://{}{path}", server.address());
        let source = source(json!({ "url": url, "sha256": Digest::of(MODULE).hex() }));
        let begin = Instant::now();
        refused(fetcher.fetch(&source, None).await, named, is_retryable);
        assert!(begin.elapsed() < Duration::from_secs(20), "{path} took {:?}", begin.elapsed());
    }
    assert_eq!(plain.asked().len(), 0, "nothing was asked for without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_in_time_and_lets_the_next_one_begin() {
    let server = HttpsServer::start_plain().await;
    server.reply("/slow", Reply::Slow("HTTP/1.1 200 OK\r\n\r\n"));
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(folder.path(), &format!("plainHttp: [\"{}\"]\n", server.address()));
    let limits = FetchLimits { total: Duration::from_secs(1), concurrent: 1, ..LIMITS };
    let fetcher = ModuleFetcher::with_limits(policy, limits);
    let url = format!("http://{}/slow", server.address());
    let source = source(json!({ "url": url, "sha256": Digest::of(MODULE).hex() }));
    let begin = Instant::now();
    let (first, second) = tokio::join!(fetcher.fetch(&source, None), fetcher.fetch(&source, None));
    refused(first, "not there within 1s", true);
    refused(second, "not there within 1s", true);
    assert!(begin.elapsed() >= Duration::from_secs(2), "one after the other");
    assert!(begin.elapsed() < Duration::from_secs(30), "it took {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_must_be_trusted_there_and_encrypted_unless_the_operator_says_otherwise() {
    let (server, plain) = (HttpsServer::start().await, HttpsServer::start_plain().await);
    server.reply("/a.wasm", Reply::ok(MODULE));
    plain.reply("/a.wasm", Reply::ok(MODULE));
    let at = |scheme: &str, server: &HttpsServer| {
        let url = format!("{scheme}://{}/a.wasm", server.address());
        source(json!({ "url": url, "sha256": Digest::of(MODULE).hex() }))
    };
    let default = fetcher(FetchPolicy::default());
    refused(default.fetch(&at("https", &server), None).await, "certificate", true);
    refused(default.fetch(&at("http", &plain), None).await, "under plainHttp", false);
    assert_eq!(plain.asked().len(), 0);
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = plain.address();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("plainHttp: &hosts [\"{address}\", \"{gone}\"]\nallowedHosts: *hosts\n");
    let allowing = fetcher(policy(folder.path(), &yaml));
    assert_eq!(allowing.fetch(&at("http", &plain), None).await.unwrap().bytes, MODULE);
    refused(allowing.fetch(&at("https", &server), None).await, "among the allowedHosts", false);
    let url = format!("http://{gone}/a.wasm");
    let unreachable = source(json!({ "url": url, "sha256": Digest::of(MODULE).hex() }));
    refused(allowing.fetch(&unreachable, None).await, "cannot be reached", true);
}

/// Fetches at the server, and trusts it.
fn trusting(server: &HttpsServer) -> ModuleFetcher {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), &server.certificate).unwrap();
    fetcher(policy(folder.path(), "caFile: ca.pem\n"))
}

fn redirect(to: &str) -> Reply {
    Reply::head(&format!("302 Found\nLocation: {to}"))
}
