//! What is measured: informerd and its peers, each started afresh and asked how far it is.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use client_go::Program;
use serde::{Deserialize, Serialize};

use crate::http_client::Connection;
use crate::kube_peer::{DELIVERED, RELISTED, SYNCED};
use crate::process::{Process, Usage};
use crate::recording::unseen;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// The handler `no_op`.
    Informerd,
    /// The handler `no_op`, which reads one value by its JSON pointer in each call.
    InformerdRead,
    /// Any kind, as informerd watches any kind.
    ClientGoDynamic,
    /// The kind known when the program is compiled.
    ClientGoTypedJson,
    /// The same, in the encoding that controllers for the kinds of Kubernetes itself can ask for.
    ClientGoTypedProtobuf,
    /// No more than metadata, which the others have, too.
    ClientGoMetadata,
    /// Any kind.
    KubeRsDynamic,
    /// The kind known when the program is compiled.
    KubeRsTyped,
    /// The same, with the memory advice of kube's documentation.
    KubeRsTypedTrimmed,
    /// The same, by watch-list like informerd.
    KubeRsTypedStreaming,
    /// No more than metadata.
    KubeRsMetadata,
}

/// How informerd is run.
#[derive(Clone, Debug)]
pub(crate) struct InformerdOptions {
    pub(crate) binary: PathBuf,
    /// `delivery.buffer` of the handler spec, if it is not to be the default.
    pub(crate) buffer: Option<usize>,
}

/// A subject that runs.
pub(crate) struct RunningSubject {
    process: Process,
    progress: Progress,
}

enum Progress {
    /// informerd's address of metrics; nobody listens before it is ready.
    Metrics { address: SocketAddr, connection: Option<Connection> },
    /// What the peer has said.
    Lines { pods: usize, updates: usize, counts: Counts },
}

/// How far a subject is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// The initial list is handled.
    pub(crate) synced: bool,
    /// Notifications handled, those of the initial list included.
    pub(crate) delivered: u64,
    /// Notifications that became part of another one.
    pub(crate) merged: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
}

impl Subject {
    /// For tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Informerd => "informerd, `no_op`",
            Self::InformerdRead => "informerd, `no_op` reads `/status/phase`",
            Self::ClientGoDynamic => "client-go informer, dynamic",
            Self::ClientGoTypedJson => "client-go informer, `Pod`, JSON",
            Self::ClientGoTypedProtobuf => "client-go informer, `Pod`, protobuf",
            Self::ClientGoMetadata => "client-go informer, metadata, protobuf",
            Self::KubeRsDynamic => "kube-rs reflector, `DynamicObject`",
            Self::KubeRsTyped => "kube-rs reflector, `Pod`",
            Self::KubeRsTypedTrimmed => "kube-rs reflector, `Pod`, managedFields cleared",
            Self::KubeRsTypedStreaming => "kube-rs reflector, `Pod`, `streaming_lists()`",
            Self::KubeRsMetadata => "kube-rs reflector, `PartialObjectMeta<Pod>`",
        }
    }

    /// For programs, and as `--subject` takes it.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn is_client_go(self) -> bool {
        matches!(
            self,
            Self::ClientGoDynamic
                | Self::ClientGoTypedJson
                | Self::ClientGoTypedProtobuf
                | Self::ClientGoMetadata
        )
    }

    /// Whether it asks for something else than whole objects as JSON.
    pub(crate) fn needs_encodings(self) -> bool {
        matches!(self, Self::ClientGoTypedProtobuf | Self::ClientGoMetadata | Self::KubeRsMetadata)
    }

    pub(crate) fn is_informerd(self) -> bool {
        matches!(self, Self::Informerd | Self::InformerdRead)
    }

    /// Starts it on the replay server. `folder` is its own; a peer is told what will come.
    pub(crate) fn start(
        self,
        options: &InformerdOptions,
        server: SocketAddr,
        folder: &Path,
        (pods, updates): (usize, usize),
    ) -> anyhow::Result<RunningSubject> {
        if self.is_informerd() {
            return self.start_informerd(options, server, folder);
        }
        let mut command = match self.client_go_mode() {
            Some(mode) => {
                let mut command = Command::new(Program::Informer.path()?);
                command.args(["--mode", mode, "--unseen", &unseen(pods).to_string()]);
                command
            }
            None => self.kube_peer()?,
        };
        command.arg("--kubeconfig").arg(write_kubeconfig(folder, server)?);
        command.args(["--pods", &pods.to_string(), "--updates", &updates.to_string()]);
        Ok(RunningSubject {
            process: Process::start("the peer", command)?,
            progress: Progress::Lines { pods, updates, counts: Counts::default() },
        })
    }

    fn client_go_mode(self) -> Option<&'static str> {
        match self {
            Self::ClientGoDynamic => Some("dynamic"),
            Self::ClientGoTypedJson => Some("typed-json"),
            Self::ClientGoTypedProtobuf => Some("typed-protobuf"),
            Self::ClientGoMetadata => Some("metadata"),
            _ => None,
        }
    }

    fn kube_peer(self) -> anyhow::Result<Command> {
        let objects_as = match self {
            Self::KubeRsDynamic => "dynamic-object",
            Self::KubeRsMetadata => "metadata",
            _ => "pod",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["kube-peer", "--objects-as", objects_as]);
        if self == Self::KubeRsTypedTrimmed {
            command.arg("--without-managed-fields");
        }
        if self == Self::KubeRsTypedStreaming {
            command.arg("--streaming-list");
        }
        Ok(command)
    }

    fn start_informerd(
        self,
        options: &InformerdOptions,
        server: SocketAddr,
        folder: &Path,
    ) -> anyhow::Result<RunningSubject> {
        let handlers = folder.join("handlers");
        fs::create_dir(&handlers)?;
        fs::copy(artifacts::NO_OP, handlers.join("no_op.wasm")).context("guests/no_op")?;
        fs::write(handlers.join("no_op.yaml"), self.handler_spec(options.buffer))?;
        let (process, address) = spawn_informerd(&options.binary, server, folder)?;
        Ok(RunningSubject { process, progress: Progress::Metrics { address, connection: None } })
    }

    fn handler_spec(self, buffer: Option<usize>) -> String {
        let mut spec = HANDLER_SPEC.to_owned();
        if self == Self::InformerdRead {
            spec += "  config: { read: /status/phase }\n";
        }
        if let Some(buffer) = buffer {
            spec += &format!("  delivery: {{ buffer: {buffer} }}\n");
        }
        spec
    }
}

impl RunningSubject {
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        self.process.usage()
    }

    pub(crate) fn forget_peak_rss(&self) -> anyhow::Result<()> {
        self.process.forget_peak_rss()
    }

    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        self.process.check_alive()
    }

    /// Takes a moment, so that asking in a loop costs the subject little.
    pub(crate) fn counts(&mut self) -> anyhow::Result<Counts> {
        match &mut self.progress {
            Progress::Metrics { address, connection } => {
                std::thread::sleep(POLL_PERIOD);
                self.process.check_alive()?;
                let connection = match connection {
                    Some(connection) => connection,
                    None => connection.insert(Connection::open(*address)?),
                };
                Counts::of_metrics(&connection.request("GET", "/metrics")?)
            }
            Progress::Lines { pods, updates, counts } => {
                match self.process.line(POLL_PERIOD)?.as_deref() {
                    Some(SYNCED) => {
                        counts.synced = true;
                        counts.delivered += *pods as u64;
                    }
                    Some(DELIVERED) => counts.delivered += *updates as u64,
                    Some(RELISTED) => counts.delivered += unseen(*pods) as u64,
                    Some(other) => anyhow::bail!("the peer says {other:?}"),
                    None => {}
                }
                Ok(*counts)
            }
        }
    }
}

impl Counts {
    fn of_metrics(text: &str) -> anyhow::Result<Self> {
        let value = |name: &str| -> anyhow::Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
            let value = line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value);
            let value = value.with_context(|| format!("informerd has no metric {name}"))?;
            Ok(value.parse()?)
        };
        Ok(Self {
            synced: value("informerd_handler_synced")? == 1,
            delivered: value("informerd_handler_delivered_total")?,
            merged: value("informerd_handler_merged_total")?,
            failed: value("informerd_handler_failed_total")?,
        })
    }
}

/// informerd with the handlers in `folder`/handlers; and the address of its metrics, where nobody listens
/// before it is ready.
pub(crate) fn spawn_informerd(
    binary: &Path,
    server: SocketAddr,
    folder: &Path,
) -> anyhow::Result<(Process, SocketAddr)> {
    // It names no port on its own, so it gets one that was free a moment ago.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut command = Command::new(binary);
    command.arg("run").arg("--kubeconfig").arg(write_kubeconfig(folder, server)?);
    command.arg("--handlers").arg(folder.join("handlers"));
    command.arg("--admin-socket").arg(folder.join("admin.sock"));
    command.args(["--http", &address.to_string(), "--log", "warn"]);
    Ok((Process::start("informerd", command)?, address))
}

fn write_kubeconfig(folder: &Path, server: SocketAddr) -> anyhow::Result<PathBuf> {
    let kubeconfig = folder.join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG.replace("ADDRESS", &server.to_string()))?;
    Ok(kubeconfig)
}

const KUBECONFIG: &str = r#"{
  "apiVersion": "v1", "kind": "Config", "current-context": "replay",
  "clusters": [{ "name": "replay", "cluster": { "server": "http://ADDRESS" } }],
  "users": [{ "name": "nobody", "user": {} }],
  "contexts": [{ "name": "replay", "context": { "cluster": "replay", "user": "nobody" } }]
}
"#;

const HANDLER_SPEC: &str = "\
apiVersion: informerd.dev/v1alpha1
kind: Handler
metadata: { name: no-op }
spec:
  module: { path: no_op.wasm }
";

/// How exact times are, and how often a subject pays for being asked.
const POLL_PERIOD: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read() {
        let metrics = "# TYPE informerd_handler_delivered counter\n\
                       informerd_handler_delivered_total{handler=\"no-op\"} 17\n\
                       informerd_handler_merged_total{handler=\"no-op\"} 3\n\
                       informerd_handler_failed_total{handler=\"no-op\"} 0\n\
                       informerd_handler_synced{handler=\"no-op\"} 1\n";
        let counts = Counts::of_metrics(metrics).unwrap();
        assert_eq!((counts.synced, counts.delivered, counts.merged), (true, 17, 3));
        assert!(Counts::of_metrics("").is_err());
    }
}
