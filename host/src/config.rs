//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::output::LogFormat;
use crate::scaffold::languages;

/// Runs Kubernetes informers once, and your WebAssembly handlers on them.
#[derive(Debug, Parser)]
#[command(name = "informerd", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run handlers on a cluster.
    Run(RunArgs),
    /// Run handlers on this machine alone, on an embedded API server filled from manifests.
    Dev(DevArgs),
    /// Tell what a module imports, exports, watches and needs, or why it cannot be used.
    Inspect(InspectArgs),
    /// Make a project in which to write a handler, in a folder of its name.
    New(NewArgs),
}

/// How to reach the cluster, and the rest.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Options of both commands.
    #[command(flatten)]
    pub host: HostArgs,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Where the objects come from, and the rest.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Options of both commands.
    #[command(flatten)]
    pub host: HostArgs,
    /// A folder of manifests (.yaml, .json); editing them changes the objects
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
    /// Where the embedded API server listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub api_address: SocketAddr,
}

/// Which module, and how to tell.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The module (.wasm)
    pub module: PathBuf,
    /// Tell it as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to make.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The language to write it in
    #[arg(long, value_name = "LANGUAGE", value_parser = PossibleValuesParser::new(languages()))]
    pub lang: String,
    /// The handler's name, for example pod-greeter
    pub name: String,
}

/// Options of both commands.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// The folder of handler modules (.wasm) and handler specs (.yaml)
    #[arg(long, value_name = "DIR")]
    pub handlers: PathBuf,
    /// The most that a handler spec may ask for: a YAML file with `limits`, as in a spec
    #[arg(long, value_name = "FILE")]
    pub limit_ceilings: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9797")]
    pub http: SocketAddr,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or `guest=debug,info` and the like
    #[arg(long, value_name = "FILTER", default_value = "info", env = "INFORMERD_LOG")]
    pub log: String,
}
