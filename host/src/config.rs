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
    /// Print the CustomResourceDefinition of handlers, for `kubectl apply -f -`.
    Crd,
    /// Compile the module on standard input, within limits: what the other commands start for each.
    #[command(hide = true)]
    CompileModule(CompileModuleArgs),
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
    /// Where compiled modules are kept.
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Where compiled modules are kept.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// The folder that keeps compiled modules; only its owner may be able to write it
    /// [default: informerd in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", env = "INFORMERD_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// What the child that compiles is held to.
#[derive(Debug, Args)]
pub struct CompileModuleArgs {
    /// CPU time in seconds
    #[arg(long)]
    pub cpu_seconds: u64,
    /// Address space in bytes
    #[arg(long)]
    pub address_space: u64,
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

/// Handlers that are custom resources.
#[derive(Debug, Args)]
pub struct ResourceArgs {
    /// Run the handlers that the cluster has as custom resources, too (`informerd crd`)
    #[arg(long)]
    pub handler_resources: bool,
    /// The folder to which spec.module.path of a custom resource is relative [default: none, and no
    /// modules by path]
    #[arg(long, value_name = "DIR", requires = "handler_resources")]
    pub module_dir: Option<PathBuf>,
    /// Namespaces whose custom resources may watch and read whatever their specs name; the others' see
    /// only their own namespace
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', requires = "handler_resources")]
    pub cluster_wide_namespaces: Vec<String>,
}

/// Options of both commands.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// The folder of handler modules (.wasm) and handler specs (.yaml); may be left out with
    /// --handler-resources
    #[arg(long, value_name = "DIR", required_unless_present = "handler_resources")]
    pub handlers: Option<PathBuf>,
    /// Custom resources are handlers.
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Where /healthz, /readyz and /metrics are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9797")]
    pub http: SocketAddr,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or `guest=debug,info` and the like
    #[arg(long, value_name = "FILTER", default_value = "info", env = "INFORMERD_LOG")]
    pub log: String,
    /// Where compiled modules are kept.
    #[command(flatten)]
    pub cache: CacheArgs,
}
