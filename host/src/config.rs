//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::admin::Output;
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
    /// Tell of a running host's handlers; load, unload, pause, resume and reload them; read their logs.
    Handlers(OfHost<HandlersCommand>),
    /// Tell of the objects that handlers failed on for good; retry or purge them.
    DeadLetters(OfHost<DeadLettersCommand>),
    /// Tell how a running host's informers stand.
    Informers(OfHost<InformersCommand>),
    /// Look into the caches of a running host's informers.
    Cache(OfHost<CacheCommand>),
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
    /// Where the admin API is on TCP, for whom the cluster's roles permit it [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_address: Option<SocketAddr>,
    /// Its certificate chain (PEM); not needed on loopback
    #[arg(long, value_name = "FILE", requires_all = ["admin_address", "admin_tls_key"])]
    pub admin_tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "admin_tls_cert")]
    pub admin_tls_key: Option<PathBuf>,
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
    /// What modules may come from, and what they must be signed with (docs/module-signatures.md)
    #[arg(long, value_name = "FILE")]
    pub module_policy: Option<PathBuf>,
    /// The most that a handler spec may ask for: a YAML file with `limits`, as in a spec
    #[arg(long, value_name = "FILE")]
    pub limit_ceilings: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9797")]
    pub http: SocketAddr,
    /// Where `informerd handlers` and the like reach this host [default:
    /// $XDG_RUNTIME_DIR/informerd/admin.sock, or /run/informerd/admin.sock]
    #[arg(long, value_name = "PATH", env = ADMIN_SOCKET)]
    pub admin_socket: Option<PathBuf>,
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

/// A command to a running host.
#[derive(Debug, Args)]
pub struct OfHost<C: Subcommand> {
    /// Which host.
    #[command(flatten)]
    pub at: AdminArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: C,
}

/// Which running host.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The host's socket [default: $XDG_RUNTIME_DIR/informerd/admin.sock, or
    /// /run/informerd/admin.sock]
    #[arg(long, global = true, value_name = "PATH", env = ADMIN_SOCKET)]
    pub admin_socket: Option<PathBuf>,
    /// The host's address instead: https://HOST:PORT
    #[arg(long, global = true, value_name = "URL")]
    pub admin_url: Option<String>,
    /// Who asks: a file with a bearer token, for --admin-url
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whom to trust besides the system's authorities (PEM), for --admin-url
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Every command to a running host.
#[derive(Debug)]
pub enum AdminCommand {
    /// `informerd handlers`.
    Handlers(HandlersCommand),
    /// `informerd dead-letters`.
    DeadLetters(DeadLettersCommand),
    /// `informerd informers`.
    Informers(InformersCommand),
    /// `informerd cache`.
    Cache(CacheCommand),
}

/// About handlers.
#[derive(Debug, Subcommand)]
pub enum HandlersCommand {
    /// How each handler stands
    List {
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// All that is known of a handler, and why it does not run
    Describe {
        /// The handler's name; of a custom resource NAMESPACE/NAME
        name: String,
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Load a handler from a spec or a module, until the host ends
    Load {
        /// A handler spec (.yaml) or a module (.wasm)
        file: PathBuf,
    },
    /// Remove a handler that was loaded by this command
    Unload {
        /// The handler's name
        name: String,
    },
    /// Make no calls until it is resumed; what happens in between is kept, states of one object merged
    Pause {
        /// The handler's name
        name: String,
    },
    /// Go on where it was paused
    Resume {
        /// The handler's name
        name: String,
    },
    /// Load it again now, also out of quarantine
    Reload {
        /// The handler's name
        name: String,
    },
    /// What its guest said
    Logs {
        /// The handler's name
        name: String,
        /// Go on with what it says from now on
        #[arg(long, short)]
        follow: bool,
        /// The last so many lines [default: all that are kept]
        #[arg(long, value_name = "LINES")]
        tail: Option<usize>,
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// About dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// What failed for good, and why
    List {
        /// Of this handler only
        handler: Option<String>,
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Deliver again what failed for good, in its newest state
    Retry(WhichDeadLetters),
    /// Forget what failed for good
    Purge(WhichDeadLetters),
}

/// One, or all of a handler.
#[derive(Debug, Args)]
pub struct WhichDeadLetters {
    /// The handler's name
    pub handler: String,
    /// The object: NAMESPACE/NAME, or NAME of a cluster-scoped one
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub key: Option<String>,
    /// All of the handler's dead letters
    #[arg(long)]
    pub all: bool,
}

/// About informers.
#[derive(Debug, Subcommand)]
pub enum InformersCommand {
    /// How each informer stands
    List {
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// About caches.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// An object as the cache has it: the server's JSON without managedFields
    Get {
        /// Its kind: Pod, pods, deployments.apps, apps/v1/Deployment
        kind: String,
        /// NAMESPACE/NAME, or NAME of a cluster-scoped one
        key: String,
        /// How to print it; a table is JSON here
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// The environment variable that names the admin socket, to host and commands alike.
const ADMIN_SOCKET: &str = "INFORMERD_ADMIN_SOCKET";
