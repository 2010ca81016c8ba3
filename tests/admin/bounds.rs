//! Clients that open thousands of connections, send byte by byte, too much or half of it, or do not read.
//! They get little, and the handlers go on.

use std::path::Path;
use std::time::{Duration, Instant};

use artifacts::RECORDER;
use host::admin::{AdminServer, AdminSettings};
use host::handlers::HandlerState;
use tempfile::TempDir;
use tests::{Dev, TestHost, deliveries_of, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);
const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_are_bounded_and_the_handlers_go_on() {
    let dev = Dev::start().await;
    let (host, admin, folder) = served(&dev).await;
    assert_eq!(host.load("beside-a-flood", RECORDER, MAPS).await, HandlerState::Running);
    let path = socket(&folder);
    let mut most = 0;
    for wave in 0..20 {
        let mut open = Vec::new();
        for _ in 0..500 {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            // Enough to be waited for; a connection that is closed already says so.
            let _ = stream.write_all(b"GET /v1/handlers HTTP/1.1\r\nHost: a").await;
            open.push(stream);
        }
        let name = format!("map-{wave}");
        dev.apply(&name, "1");
        let told = || deliveries_of("beside-a-flood").iter().any(|it| it.key.ends_with(&name));
        let start = Instant::now();
        eventually("the handler is told", MINUTE, told).await;
        assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
        let mut held = 0;
        for stream in &mut open {
            held += usize::from(!is_closed(stream).await);
        }
        most = most.max(held);
    }
    assert!((1..=64).contains(&most), "{most} connections were held at a time");
    // The last of them have gone, and whoever asks properly is answered.
    let answered = async {
        while !ask(&path, "GET /v1/handlers HTTP/1.1\r\nHost: a\r\n\r\n").await.contains(" 200 ") {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(MINUTE, answered).await.expect("it serves again");
    admin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_or_sends_too_much_is_cut_off() {
    let dev = Dev::start().await;
    let (_host, admin, folder) = served(&dev).await;
    let path = socket(&folder);

    // Byte by byte, and never a whole header.
    let slow = async {
        let start = Instant::now();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        for byte in
            b"GET /v1/handlers HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter().cycle()
        {
            if stream.write_all(&[*byte]).await.is_err() || is_closed(&mut stream).await {
                break;
            }
            sleep(Duration::from_millis(200)).await;
            assert!(start.elapsed() < Duration::from_secs(20), "it is not cut off");
        }
        assert!(start.elapsed() > Duration::from_secs(3), "slow is not too slow at once");
    };
    // A body that never comes.
    let half = async {
        let start = Instant::now();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let head = "POST /v1/handlers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                    Content-Length: 100\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(MINUTE, stream.read_to_end(&mut answer)).await.expect("it is cut off");
        assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    };
    let too_much = async {
        let header =
            format!("GET /v1/handlers HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
        assert!(!ask(&path, &header).await.contains(" 200 "));
        let body = format!(
            "POST /v1/handlers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{{\"file\":\"{}\"}}",
            (1 << 20) + 11,
            "x".repeat(1 << 20)
        );
        let answer = ask(&path, &body).await;
        assert!(answer.is_empty() || answer.contains(" 413 "), "{answer}");
        assert!(ask(&path, "\u{0}\u{1}garbage\r\n\r\n").await.contains(" 400 "));
        for (request, status) in [
            ("GET /v2/handlers", " 404 "),
            ("PUT /v1/handlers", " 405 "),
            ("GET /v1/handlers/%FF", " 400 "),
            ("GET /v1/handlers/a%2Fb", " 404 "),
            ("POST /v1/handlers", " 415 "),
            ("GET /v1/cache", " 400 "),
        ] {
            let answer = ask(&path, &format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert!(answer.contains(status), "{request}: {answer}");
        }
    };
    tokio::join!(slow, half, too_much);
    admin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_bounded_and_others_are_served_beside_them() {
    let dev = Dev::start().await;
    let (host, admin, folder) = served(&dev).await;
    assert_eq!(host.load("followed", RECORDER, MAPS).await, HandlerState::Running);
    let path = socket(&folder);
    let follow = "GET /v1/handlers/followed/log?follow=true HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut following = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(follow.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        refused += usize::from(head.ends_with(b"429"));
        following.push(stream);
    }
    assert_eq!(refused, 4, "sixteen may follow");
    // None of them reads on; what is said meanwhile is said to others all the same.
    for n in 0..300 {
        dev.apply("a", &n.to_string());
    }
    let last = || deliveries_of("followed").len() > 1 && host.status("followed").pending == 0;
    eventually("the handler is told", MINUTE, last).await;
    let tail = "GET /v1/handlers/followed/log?tail=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(ask(&path, tail).await.contains("default/a"));
    drop(following);
    let again = async {
        loop {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(follow.as_bytes()).await.unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            if head.ends_with(b"200") {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(MINUTE, again).await.expect("who has left makes room");
    admin.stop().await;
}

async fn served(dev: &Dev) -> (TestHost, AdminServer, TempDir) {
    let host = dev.host().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = AdminSettings { socket: Some(socket(&folder)), tcp: None };
    let admin = AdminServer::start(&host.host, dev.client(), settings).await.unwrap();
    (host, admin, folder)
}

fn socket(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("admin.sock")
}

/// All of the answer; nothing if the connection is closed.
async fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(MINUTE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// By the other end, which has sent nothing.
async fn is_closed(stream: &mut UnixStream) -> bool {
    let mut byte = [0];
    match timeout(Duration::from_millis(1), stream.read(&mut byte)).await {
        Ok(Ok(count)) => count == 0,
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}
