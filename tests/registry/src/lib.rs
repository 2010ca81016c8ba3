//! A real registry on loopback: CNCF's distribution, built once from the Go module beside this crate and
//! run as a plain process.

mod push;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use control_plane::{Error, Process, build_once};
use tempfile::TempDir;

pub use push::{Pusher, sha256};

/// The folder of the Go module that pins and builds it.
const GO_MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/go");
const GO_MOD: &str = include_str!("../go/go.mod");

const PROGRAM: &str = "registry";
const MODULE: &str = "github.com/distribution/distribution/v3";

/// How a registry is reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate chain and private key in PEM; without them it is reached over plain HTTP.
    pub tls: Option<(String, String)>,
    /// Whether it asks for [`Registry::USER`] and [`Registry::PASSWORD`].
    pub asks_for_login: bool,
}

/// A running registry, with a storage of its own. Dies when it is dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Registry {
    /// Who may push and pull.
    pub const USER: &str = "puller";
    /// Their password.
    pub const PASSWORD: &str = "secret-of-the-puller";

    /// Starts one. Blocks until it listens; a first build takes minutes.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let binary = binary()?;
        let folder = tempfile::tempdir().map_err(io_error(Path::new("a temporary folder")))?;
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(io_error(&path)).map(|()| path)
        };
        let storage = folder.path().join("storage");
        // JSON is YAML: nothing in a path needs an escape of its own.
        let mut config = format!(
            "version: 0.1\nlog: {{ level: info }}\n\
             storage: {{ filesystem: {{ rootdirectory: {storage:?} }} }}\n"
        );
        if options.asks_for_login {
            let file = write("htpasswd", &format!("{}:{PASSWORD_HASH}\n", Self::USER))?;
            config += &format!("auth: {{ htpasswd: {{ realm: test, path: {file:?} }} }}\n");
        }
        config += "http:\n  addr: 127.0.0.1:0\n  secret: of-one-test\n";
        if let Some((certificate, key)) = &options.tls {
            let (certificate, key) = (write("tls.crt", certificate)?, write("tls.key", key)?);
            config += &format!("  tls: {{ certificate: {certificate:?}, key: {key:?} }}\n");
        }
        let config = write("config.yml", &config)?;
        let arguments = [Path::new("serve"), &config];
        let log = folder.path().join("registry.log");
        let mut process = Process::start(PROGRAM, &binary, arguments, log.clone())?;
        let begin = Instant::now();
        loop {
            if let Some(port) = port(&fs::read_to_string(&log).unwrap_or_default()) {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                return Ok(Self { address, _process: process, _folder: folder });
            }
            process.check_alive()?;
            if begin.elapsed() > READY_MAX {
                let (seconds, tail) = (READY_MAX.as_secs(), process.log_tail());
                let answer = "it has not listened yet".to_owned();
                return Err(Error::NotReady { program: PROGRAM, seconds, answer, tail });
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Where the program is; built if it is not there yet.
fn binary() -> Result<PathBuf, Error> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().nth(2).unwrap_or(package);
    let binary = workspace.join(format!("target/registry/{}/{PROGRAM}", version()));
    let package = format!("{MODULE}/cmd/registry");
    build_once(Path::new(GO_MODULE), PROGRAM, &package, &binary)?;
    Ok(binary)
}

/// The version that `go.mod` requires.
fn version() -> &'static str {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().strip_prefix(MODULE)?.split_whitespace().next())
        .find(|word| word.starts_with('v'))
        .unwrap_or("unknown")
}

/// The port that its log tells once it listens.
fn port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening on 127.0.0.1:")?;
    let digits = rest.find(|it: char| !it.is_ascii_digit())?;
    rest[..digits].parse().ok()
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action: "write", path: path.to_path_buf(), source }
}

/// bcrypt of [`Registry::PASSWORD`], of the least cost: it is asked for at every request.
const PASSWORD_HASH: &str = "$2a$04$SSV3ZrA1qS8FL1j5e7S7eO8oAxsDISe35ZMtN8KToM6Q33J9Sqa9q";

const READY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_mod_pins_it() {
        assert!(version().starts_with("v3."), "{}", version());
    }

    #[test]
    fn the_port_is_told_by_the_log() {
        assert_eq!(port("msg=\"listening on 127.0.0.1:4711\" go"), Some(4711));
        assert_eq!(port("msg=\"listening on 127.0.0.1:47"), None, "it is still being written");
    }
}
