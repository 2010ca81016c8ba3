//! The admin API of a running host as an operator uses it: the binary's commands on its socket.

/// What hostile and clumsy clients get, and that nobody else notices.
mod bounds;
/// Over TCP, with tokens that a real cluster reviews.
mod remote;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use artifacts::{NO_OP, RECORDER, REFUSES_CONFIG, TRAP};
use serde_json::Value;

use crate::command_line::{Folders, config_map, text};
use tests::binary;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_handler_is_paused_resumed_and_listened_to_and_each_change_is_in_the_audit() {
    let folders = Folders::new();
    let admin = folders.with_trap();
    folders.write_manifest("a.yaml", &config_map("a", "1"));
    let mut running = folders.dev(&["--log-format", "json"]);
    running.wait_for(|line| line["message"] == "OnSynced");

    let list = admin.ok(&["handlers", "list"]);
    let mut lines = list.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header[..3], ["NAME", "STATE", "SYNCED"], "{list}");
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["trap", "Running", "true", "1"], "{list}");
    let described = admin.ok(&["handlers", "describe", "trap"]);
    for words in
        ["trap.yaml of the handlers directory", "Watches:          v1 ConfigMap", "Digest: "]
    {
        assert!(described.contains(words), "{words} is not in\n{described}");
    }

    admin.ok(&["handlers", "pause", "trap"]);
    assert!(admin.ok(&["handlers", "list"]).contains("Paused"));
    folders.write_manifest("b.yaml", &config_map("b", "1"));
    admin.eventually("it is kept", |it| it.handler("trap")["pending"] == 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(admin.handler("trap")["events"], 1, "a paused handler is not called");
    assert!(!admin.ok(&["handlers", "logs", "trap"]).contains("added b"));

    let mut follower = admin.command(&["handlers", "logs", "trap", "--follow", "--tail", "1"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let mut followed = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(followed.next().unwrap().unwrap().contains("added a"), "the tail comes first");
    admin.ok(&["handlers", "resume", "trap"]);
    let line = followed.next().unwrap().unwrap();
    assert!(line.contains(" info added b"), "{line}");
    follower.kill().unwrap();
    follower.wait().unwrap();

    let mut audit = Vec::new();
    while audit.len() < 2 {
        audit.push(running.wait_for(|line| line["target"] == "audit"));
    }
    for (line, action) in audit.iter().zip(["pause", "resume"]) {
        let uid = fs::metadata(&admin.socket).map(|it| std::os::unix::fs::MetadataExt::uid(&it));
        assert_eq!(line["who"], format!("uid {}", uid.unwrap()), "{line}");
        assert_eq!((&line["action"], &line["handler"]), (&action.into(), &"trap".into()));
        assert_eq!(line["outcome"], "ok", "{line}");
    }
    let (_, rest) = running.terminate();
    assert!(!rest.contains("\"audit\""), "what only reads is not in the audit: {rest}");
}

#[test]
fn dead_letters_are_listed_retried_and_purged() {
    let folders = Folders::new();
    let admin = folders.with_trap();
    for name in ["trap-a", "trap-b", "fine"] {
        folders.write_manifest(&format!("{name}.yaml"), &config_map(name, "1"));
    }
    let _running = folders.dev(&["--log-format", "json"]);
    admin.eventually("both fail for good", |it| it.dead_letters() == ["trap-a", "trap-b"]);
    let list = admin.ok(&["dead-letters", "list", "trap"]);
    assert!(list.contains("default/trap-a") && list.contains("asked to trap by trap-a"), "{list}");

    let errors = admin.handler("trap")["errors"].as_u64().unwrap();
    let said = admin.ok(&["dead-letters", "retry", "trap", "default/trap-a"]);
    assert_eq!(said, "1 dead letter retried\n");
    admin.eventually("it was tried again", |it| {
        it.handler("trap")["errors"].as_u64().unwrap() > errors
            && it.dead_letters() == ["trap-a", "trap-b"]
    });

    let said = admin.fails(&["dead-letters", "purge", "trap", "default/fine"]);
    assert!(said.contains("has no dead letter default/fine"), "{said}");
    assert_eq!(
        admin.ok(&["dead-letters", "purge", "trap", "default/trap-b"]),
        "1 dead letter purged\n"
    );
    assert_eq!(admin.dead_letters(), ["trap-a"]);
    assert_eq!(admin.ok(&["dead-letters", "purge", "trap", "--all"]), "1 dead letter purged\n");
    assert_eq!(admin.ok(&["dead-letters", "list"]), "there are no dead letters\n");
    let said = admin.fails(&["dead-letters", "purge", "trap"]);
    assert!(said.contains("--all") || said.contains("KEY"), "all of them is said aloud: {said}");
}

#[test]
fn a_handler_is_loaded_from_a_file_replaced_and_unloaded() {
    let folders = Folders::new();
    let admin = folders.with_trap();
    folders.write_manifest("a.yaml", &config_map("a", "1"));
    let mut running = folders.dev(&["--log-format", "json"]);
    running.wait_for(|line| line["message"] == "OnSynced");

    let elsewhere = folders.0.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let file = |name: &str, handler: &str, wasm: &str, more: &str| {
        fs::copy(wasm, elsewhere.join(format!("{name}.wasm"))).unwrap();
        let path = elsewhere.join(format!("{name}.yaml"));
        fs::write(&path, spec(handler, &format!("{name}.wasm"), more)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let recorder = file("recorder", "extra", RECORDER, "");
    let said = admin.ok(&["handlers", "load", &recorder]);
    assert!(said.starts_with("handler extra runs\n") && said.contains("not kept"), "{said}");
    admin.eventually("it is told of what is there", |it| {
        it.ok(&["handlers", "logs", "extra"]).contains("default/a")
    });
    assert_eq!(admin.handler("extra")["source"]["kind"], "operator");

    // The same name again, from another file: it takes over.
    let digest = admin.handler("extra")["digest"].clone();
    let no_op = file("no_op", "extra", NO_OP, "");
    let said = admin.ok(&["handlers", "load", &no_op]);
    assert!(said.contains("in the place of the one before"), "{said}");
    let handler = admin.handler("extra");
    assert!(handler["generation"] == 2 && handler["digest"] != digest, "{handler}");

    // One that does not start: the one before goes on, and the reason is told.
    let refuses = file("refuses", "extra", REFUSES_CONFIG, "");
    let said = admin.fails(&["handlers", "load", &refuses]);
    assert!(said.contains("no configuration is good enough"), "{said}");
    let handler = admin.handler("extra");
    assert_eq!(handler["state"]["name"], "Running", "{handler}");
    assert!(admin.ok(&["handlers", "describe", "extra"]).contains("Next generation:"));

    // What something else describes is left to that.
    let taken = file("taken", "trap", NO_OP, "");
    let said = admin.fails(&["handlers", "load", &taken]);
    assert!(said.contains("handlers/trap.yaml") && said.contains("another name"), "{said}");
    let said = admin.fails(&["handlers", "unload", "trap"]);
    assert!(said.contains("handlers/trap.yaml") && said.contains("delete that file"), "{said}");

    for (file, problem) in [
        (elsewhere.join("missing.yaml"), "missing.yaml"),
        (elsewhere.clone(), "it is no file"),
        (file_of(&elsewhere, "bad.yaml", "kind: Pod"), "bad.yaml"),
        (file_of(&elsewhere, "what.txt", ""), "neither a handler spec"),
    ] {
        let said = admin.fails(&["handlers", "load", file.to_str().unwrap()]);
        assert!(said.contains(problem), "{said:?} without {problem:?}");
    }

    assert_eq!(admin.ok(&["handlers", "unload", "extra"]), "handler extra unloaded\n");
    let said = admin.fails(&["handlers", "describe", "extra"]);
    assert!(said.contains("there is no handler extra; there are: trap"), "{said}");
    let said = admin.fails(&["handlers", "pause", "trp"]);
    assert!(said.contains("closest: trap"), "{said}");
    let refused = running.wait_for(|line| line["target"] == "audit" && line["handler"] == "trp");
    assert_eq!(refused["action"], "pause");
    assert!(refused["outcome"].as_str().unwrap().contains("there is no handler trp"), "{refused}");
}

#[test]
fn informers_and_their_caches_are_looked_into() {
    let folders = Folders::new();
    let admin = folders.with_trap();
    folders.write_manifest("a.yaml", &config_map("a", "1"));
    let mut running = folders.dev(&["--log-format", "json"]);
    running.wait_for(|line| line["message"] == "OnSynced");

    let list = admin.ok(&["informers", "list"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["v1", "ConfigMap", "watch", "true", "1"], "{list}");
    for kind in ["configmaps", "ConfigMap", "v1/configmap"] {
        let object = admin.ok(&["cache", "get", kind, "default/a"]);
        let object: Value = serde_json::from_str(&object).unwrap();
        assert_eq!((&object["kind"], &object["data"]["a"]), (&"ConfigMap".into(), &"1".into()));
    }
    let yaml = admin.ok(&["cache", "get", "configmaps", "default/a", "-o", "yaml"]);
    assert!(yaml.contains("kind: ConfigMap\n"), "{yaml}");
    for (arguments, problem) in [
        (["configmaps", "default/b"], "ConfigMap default/b is not in the cache (of v1 ConfigMap)"),
        (["configmaps", "a"], "NAMESPACE/NAME"),
        (["pods", "default/a"], "no informer watches pods; there are those of v1/ConfigMap"),
    ] {
        let said = admin.fails(&["cache", "get", arguments[0], arguments[1]]);
        assert!(said.contains(problem), "{said:?} without {problem:?}");
    }
}

#[test]
fn a_command_without_a_host_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let admin = Admin { socket: socket.clone() };
    let said = admin.fails(&["handlers", "list"]);
    for words in ["no informerd is running", socket.to_str().unwrap(), "--admin-socket"] {
        assert!(said.contains(words), "{said:?} without {words:?}");
    }
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let said = admin.fails(&["informers", "list"]);
    assert!(said.contains("has ended") && said.contains(socket.to_str().unwrap()), "{said}");
    let said = admin.fails(&["handlers", "list", "--admin-url", "http://127.0.0.1:1"]);
    assert!(said.contains("http://127.0.0.1:1") && said.contains("--admin-url"), "{said}");
    for url in ["http://192.0.2.1:1", "192.0.2.1:1", "http://localhost.example:1"] {
        let said = admin.fails(&["handlers", "list", "--admin-url", url]);
        assert!(said.contains("in the clear"), "{said}");
    }
}

#[test]
fn the_socket_is_private_goes_with_its_host_and_is_no_other_hosts() {
    let folders = Folders::new();
    let admin = folders.admin();
    let socket = admin.socket.to_str().unwrap().to_owned();
    let at_it = ["--log-format", "json", "--admin-socket", &socket];
    let running = folders.dev(&at_it);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&admin.socket), mode(admin.socket.parent().unwrap())), (0o600, 0o700));

    let second = Command::new(binary())
        .args(["dev", "--http", "127.0.0.1:0", "--admin-socket", &socket])
        .arg("--handlers")
        .arg(folders.0.path().join("handlers"))
        .arg("--manifests")
        .arg(folders.0.path().join("manifests"))
        .env_clear()
        .output()
        .unwrap();
    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another informerd listens there") && said.contains(&socket), "{said}");
    admin.ok(&["handlers", "list"]);

    // Killed, it leaves its socket behind; the next host takes its place.
    drop(running);
    assert!(admin.socket.exists());
    let running = folders.dev(&at_it);
    assert_eq!(admin.ok(&["handlers", "list"]), "there are no handlers\n");
    assert_eq!(running.terminate().0, Some(0));
    assert!(!admin.socket.exists(), "a host that ends takes its socket along");
}

#[test]
fn a_module_that_the_host_died_of_is_not_started_again() {
    let folders = Folders::new();
    let admin = folders.admin();
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/broken/start_traps.wat");
    let text = fs::read_to_string(text).unwrap();
    let spins = text.replace("(func $start unreachable)", "(func $start (loop (br 0)))");
    assert_ne!(text, spins);
    let module = folders.0.path().join("spins.wasm");
    fs::write(&module, wat::parse_str(spins).unwrap()).unwrap();
    folders.add_handler("deadly", module.to_str().unwrap());
    let cache = folders.0.path().join("cache");
    let arguments = ["--log-format", "json", "--cache-dir", cache.to_str().unwrap()];
    let mut running = folders.dev(&arguments);
    // It may take a second of CPU time to start, and is noted as long as that.
    admin.eventually("it is being started", |_| {
        fs::read_dir(cache.join("starting")).is_ok_and(|mut notes| notes.next().is_some())
    });
    running.child.kill().unwrap();
    running.child.wait().unwrap();

    let mut running = folders.dev(&arguments);
    let line = running.wait_for(|line| line["message"] == "handler not loaded");
    assert_eq!(line["problem"], "the host died while it was starting this module");
    assert_eq!(admin.handler("deadly")["state"]["name"], "Quarantined");
    // It is started again, and is as bad as before.
    let said = admin.fails(&["handlers", "reload", "deadly"]);
    assert!(said.contains("more than its 1s of CPU time"), "{said}");
}

/// Commands to the host behind one socket.
pub(crate) struct Admin {
    pub(crate) socket: PathBuf,
}

impl Folders {
    /// Commands to the host of these folders.
    pub(crate) fn admin(&self) -> Admin {
        Admin { socket: self.0.path().join("informerd/admin.sock") }
    }

    /// With a handler that traps on config maps that want it to.
    fn with_trap(&self) -> Admin {
        self.add_handler("trap", TRAP);
        let handlers = self.0.path().join("handlers");
        fs::write(handlers.join("trap.yaml"), spec("trap", "trap.wasm", RETRY_ONCE)).unwrap();
        self.admin()
    }
}

impl Admin {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().env("INFORMERD_ADMIN_SOCKET", &self.socket);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it prints when it does what it is asked to.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it does not.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
        said
    }

    fn handler(&self, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["handlers", "describe", name, "-o", "json"])).unwrap()
    }

    /// The names of all dead letters, sorted.
    fn dead_letters(&self) -> Vec<String> {
        let list = self.ok(&["dead-letters", "list", "-o", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let keys = list["items"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap());
        let mut names: Vec<_> = keys.map(|it| it.trim_start_matches("default/").into()).collect();
        names.sort();
        names
    }

    fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < MINUTE, "not within {MINUTE:?}: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn spec(name: &str, module: &str, more: &str) -> String {
    format!(
        "apiVersion: informerd.dev/v1alpha1\nkind: Handler\nmetadata: {{ name: {name} }}\nspec:\n  \
         module: {{ path: {module} }}\n  watches: [{{ apiVersion: v1, kind: ConfigMap }}]\n{more}"
    )
}

fn file_of(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

const RETRY_ONCE: &str = "  delivery: { maxRetries: 1, backoff: 10ms }\n";
