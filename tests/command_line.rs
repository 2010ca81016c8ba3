//! The binary as a user runs it: arguments, signals, output, health.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use artifacts::{CONFIG_MAP_DIFF, POD_OWNERS, SPIN};
use serde_json::Value;
use tempfile::TempDir;
use tests::{binary, compile_cache};

#[test]
fn help_names_every_command_and_option() {
    let help = text(&informerd(&["--help"]).stdout);
    assert!(["run", "dev", "inspect"].iter().all(|it| help.contains(it)), "{help}");
    let help = text(&informerd(&["run", "--help"]).stdout);
    for option in [
        "--handlers",
        "--kubeconfig",
        "--context",
        "--http",
        "--log-format",
        "--log",
        "--cache-dir",
        "--handler-resources",
        "--module-dir",
        "--cluster-wide-namespaces",
    ] {
        assert!(help.contains(option), "{help}");
    }
}

#[test]
fn what_cannot_work_ends_at_once_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, "users: [{ name: a, user: { token: s3cret } }]\nclusters: 7\n").unwrap();
    let handlers = folder.path().to_str().unwrap();
    let garbage = garbage.to_str().unwrap();
    let with_kubeconfig =
        |file| vec!["run", "--handlers", handlers, "--http", "127.0.0.1:0", "--kubeconfig", file];
    for (arguments, expected) in [
        (with_kubeconfig("/nowhere/config"), &["kubeconfig /nowhere/config"][..]),
        (with_kubeconfig(garbage), &["kubeconfig", "garbage"]),
        (vec!["run", "--handlers", handlers], &["no cluster", "--kubeconfig", "KUBECONFIG"]),
        (vec!["run"], &["--handlers"]),
        (vec!["run", "--handlers", handlers, "--module-dir", handlers], &["--handler-resources"]),
        (
            vec![
                "dev",
                "--handler-resources",
                "--manifests",
                handlers,
                "--module-dir",
                "/nowhere",
                "--http",
                "127.0.0.1:0",
            ],
            &["/nowhere", "--module-dir"],
        ),
        (
            vec!["dev", "--handlers", "/nowhere", "--manifests", handlers, "--http", "127.0.0.1:0"],
            &["/nowhere", "--handlers"],
        ),
        (
            vec!["dev", "--handlers", handlers, "--manifests", "/nowhere"],
            &["/nowhere", "--manifests"],
        ),
        (
            vec!["dev", "--handlers", handlers, "--manifests", handlers, "--log", "a=b=c"],
            &["--log"],
        ),
    ] {
        let output = informerd(&arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        for words in expected {
            assert!(said.contains(words), "{arguments:?}: {said:?} without {words:?}");
        }
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("s3cret"), "a credential is quoted: {said}");
    }
}

/// Without a handlers directory: the module and its custom resource come from elsewhere.
#[test]
fn a_custom_resource_among_the_manifests_is_a_handler() {
    let crd = text(&informerd(&["crd"]).stdout);
    assert!(crd.contains("kind: CustomResourceDefinition"), "{crd}");
    let folders = Folders::new();
    folders.add_handler("config_map_diff", CONFIG_MAP_DIFF);
    folders.write_manifest("a.yaml", &config_map("a", "1"));
    folders.write_manifest(
        "handler.yaml",
        "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: { name: diff }\nspec:\n  \
         module: { path: config_map_diff.wasm }\n  \
         watches: [{ apiVersion: v1, kind: ConfigMap }]\n",
    );
    let mut running = folders.start(&[
        "--handler-resources",
        "--module-dir",
        folders.handlers(),
        "--log-format",
        "json",
    ]);
    let line = running.wait_for(|line| line["message"] == "OnAdd");
    assert_eq!(line["handler"], "default/diff");
    fs::remove_file(folders.0.path().join("manifests/handler.yaml")).unwrap();
    let line = running.wait_for(|line| line["message"] == "handler removed");
    assert_eq!(line["handler"], "default/diff");
    let (code, _) = running.terminate();
    assert_eq!(code, Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folders = Folders::new();
    let output = informerd(&[
        "dev",
        "--handlers",
        folders.handlers(),
        "--manifests",
        folders.manifests(),
        "--http",
        &address,
    ]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains(&address) && said.contains("--http"), "{said}");
}

#[test]
fn it_tells_each_notification_in_json_serves_health_and_stops_on_sigterm() {
    let folders = Folders::new();
    folders.add_handler("config_map_diff", CONFIG_MAP_DIFF);
    folders.write_manifest("a.yaml", &config_map("a", "1"));
    let mut running = folders.dev(&["--log-format", "json"]);
    let line = running.wait_for(|line| line["message"] == "OnAdd");
    assert_eq!(line["handler"], "config-map-diff");
    assert_eq!((&line["resource"], &line["key"]), (&"configmaps".into(), &"default/a".into()));
    assert_eq!((&line["result"], &line["initial"]), (&"ok".into(), &true.into()));
    running.wait_for(|line| line["message"] == "OnSynced");

    folders.write_manifest("a.yaml", &config_map("a", "2"));
    let line = running.wait_for(|line| line["message"] == "OnUpdate");
    assert!(line["old_rv"].as_str() < line["rv"].as_str(), "{line}");
    fs::remove_file(folders.0.path().join("manifests/a.yaml")).unwrap();
    running.wait_for(|line| line["message"] == "OnDelete");

    assert_eq!(running.get("/healthz"), (200, "ok\n".to_owned()));
    let (status, body) = running.get("/readyz");
    assert_eq!(status, 200);
    assert!(body.contains("handler config-map-diff: synced"), "{body}");
    let delivered = "informerd_handler_delivered_total{handler=\"config-map-diff\"} 3";
    let start = Instant::now();
    // It is counted a moment after it is logged.
    let metrics = loop {
        let (_, metrics) = running.get("/metrics");
        if metrics.contains(delivered) || start.elapsed() > Duration::from_secs(60) {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    for line in [
        delivered,
        "informerd_informer_objects{resource=\"v1 ConfigMap\"} 0",
        "informerd_informer_lists_total{resource=\"v1 ConfigMap\"} 1",
        "informerd_modules_compiled_total ",
        // The update and the deletion.
        "informerd_handler_delivery_wait_seconds_count{handler=\"config-map-diff\"} 2",
        "informerd_handler_delivery_wait_seconds_bucket{le=\"+Inf\",handler=\"config-map-diff\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let (code, rest) = running.terminate();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("handler config-map-diff: 3 delivered, 0 failed"), "{rest}");
    assert!(rest.contains("informer v1 ConfigMap: 0 objects"), "{rest}");
}

#[test]
fn a_call_that_hangs_does_not_keep_the_host_from_stopping_in_time() {
    let folders = Folders::new();
    folders.add_handler("spin", SPIN);
    let spec = "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: { name: spin }\nspec:\n  \
                module: { path: spin.wasm }\n  watches: [{ apiVersion: v1, kind: ConfigMap }]\n  \
                limits: { cpuPerCall: 10s }\n";
    fs::write(folders.0.path().join("handlers/spin.yaml"), spec).unwrap();
    folders.write_manifest("a.yaml", &config_map("spin-a", "1"));
    let mut running = folders.dev(&["--log-format", "json"]);
    running.wait_for(|line| line["message"] == "handler loaded");
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    let (code, rest) = running.terminate();
    assert_eq!(code, Some(0), "{rest}");
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
    assert!(rest.contains("1 not delivered"), "{rest}");
}

#[test]
fn inspect_tells_what_a_module_is_and_needs() {
    let output = informerd(&["inspect", POD_OWNERS]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let bytes = fs::metadata(POD_OWNERS).unwrap().len();
    for line in [
        &format!("{POD_OWNERS}, {bytes} bytes"),
        "contract  informerd:handler 0.1.0 (here: 0.1.0)",
        "informerd:handler/cache@0.1.0: get, list-by-index, release",
        "exports   informerd:handler/handler@0.1.0: ",
        "watches   v1 Pod",
        "needs     spec.grants.read: ",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }

    let output = informerd(&["inspect", "--json", SPIN]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["contract"], &json["problem"]), (&"0.1.0".into(), &Value::Null));
    assert!(json["needs"][0].as_str().unwrap().starts_with("spec.watches"), "{json}");
    assert_eq!(json["exports"][0]["functions"].as_array().unwrap().len(), 6);
}

#[test]
fn inspect_fails_where_a_module_cannot_be_used_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |name: &str| {
        let text = fs::read(format!("{}/../guests/broken/{name}.wat", env!("CARGO_MANIFEST_DIR")));
        let path = folder.path().join(name);
        fs::write(&path, wat::parse_bytes(&text.unwrap()).unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (module, problem) in [
        (broken("other_world"), "missing exports informerd:handler/handler@0.1.0#watches"),
        (broken("start_traps"), "failed to start: in its instantiation it trapped"),
    ] {
        let output = informerd(&["inspect", "--json", &module]);
        assert_eq!(output.status.code(), Some(1));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json["problem"].as_str().unwrap().contains(problem), "{json}");
        assert_eq!(json["exports"].as_array().unwrap().len(), 1, "it is told all the same");
        let said = text(&output.stderr);
        assert!(said.contains(&module) && said.contains(problem), "{said}");
    }
    let output = informerd(&["inspect", "/nowhere/a.wasm"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("/nowhere/a.wasm"));
}

/// A handlers and a manifests folder.
pub(crate) struct Folders(pub(crate) TempDir);

impl Folders {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("handlers")).unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        Self(folder)
    }

    fn handlers(&self) -> &str {
        Box::leak(self.0.path().join("handlers").to_string_lossy().into())
    }

    fn manifests(&self) -> &str {
        Box::leak(self.0.path().join("manifests").to_string_lossy().into())
    }

    pub(crate) fn add_handler(&self, name: &str, wasm: &str) {
        fs::copy(wasm, self.0.path().join(format!("handlers/{name}.wasm"))).unwrap();
    }

    /// As an editor does: written beside, then renamed.
    pub(crate) fn write_manifest(&self, name: &str, text: &str) {
        let temporary = self.0.path().join("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.0.path().join("manifests").join(name)).unwrap();
    }

    pub(crate) fn dev(&self, more: &[&str]) -> Running {
        self.start(&[&["--handlers", self.handlers()], more].concat())
    }

    /// `dev` with these options, and where its objects are.
    fn start(&self, more: &[&str]) -> Running {
        let mut child = Command::new(binary())
            .args(["dev", "--manifests", self.manifests()])
            .args(["--http", "127.0.0.1:0"])
            .args(more)
            .env_clear()
            .env("INFORMERD_CACHE_DIR", compile_cache())
            // Where its admin socket is.
            .env("XDG_RUNTIME_DIR", self.0.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut running = Running { child, stderr, http: String::new() };
        let line = running.wait_for(|line| line.get("address").is_some());
        running.http = line["address"].as_str().unwrap().to_owned();
        running.wait_for(|line| line.get("socket").is_some());
        running
    }
}

pub(crate) struct Running {
    pub(crate) child: Child,
    stderr: BufReader<ChildStderr>,
    http: String,
}

impl Running {
    /// Reads on to the first line that fits; the test's own time limit is the deadline.
    pub(crate) fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended before");
            let value: Value = serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("every line is JSON, and this is not: {line}"));
            if fits(&value) {
                return value;
            }
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect(&self.http).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// SIGTERM; the exit code and what was still said.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ a: \"{value}\" }}\n"
    )
}

fn informerd(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env_clear()
        .env("INFORMERD_CACHE_DIR", compile_cache())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
