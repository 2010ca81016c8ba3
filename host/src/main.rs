//! Arguments → client → host → exit code.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use dev_api_server::{ApiServer, ManifestsDir, Settings};
use host::admin::{AdminServer, AdminSettings, TcpSettings, run_command};
use host::api_server::connect;
use host::config::{
    AdminCommand, CacheArgs, Cli, Command, CompileModuleArgs, DevArgs, HostArgs, InspectArgs,
    NewArgs, OfHost, RunArgs,
};
use host::guest::{
    ChildLimits, Compiler, CompilerSettings, GuestEngine, GuestLimits, compile_module,
};
use host::handlers::{HANDLER_CRD, ResourcePolicy, read_ceilings};
use host::host::Host;
use host::modules::{FetchPolicy, ModuleFetcher};
use host::output::{Terminal, summary};
use kube::Client;
use tikv_jemalloc_ctl::background_thread;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::CompileModule(CompileModuleArgs { cpu_seconds, address_space }) = command {
        // Without the threads of the others.
        return compile_module(&ChildLimits { cpu_seconds, address_space });
    }
    let runtime =
        Builder::new_multi_thread().worker_threads(pipeline_threads()).enable_all().build();
    let done = runtime.context("cannot start threads").and_then(|runtime| {
        let done = runtime.block_on(async {
            // First of all, so that a signal during start-up is not lost.
            let mut stop = StopSignal::register()?;
            match command {
                Command::Run(args) => run(args, &mut stop).await,
                Command::Dev(args) => dev(args, &mut stop).await,
                Command::Inspect(args) => inspect(args).await,
                Command::New(args) => new(&args),
                Command::Crd => print(HANDLER_CRD),
                Command::Handlers(OfHost { at, command }) => {
                    run_command(&at, AdminCommand::Handlers(command)).await
                }
                Command::DeadLetters(OfHost { at, command }) => {
                    run_command(&at, AdminCommand::DeadLetters(command)).await
                }
                Command::Informers(OfHost { at, command }) => {
                    run_command(&at, AdminCommand::Informers(command)).await
                }
                Command::Cache(OfHost { at, command }) => {
                    run_command(&at, AdminCommand::Cache(command)).await
                }
                // Has ended above.
                Command::CompileModule(_) => Ok(()),
            }
        });
        // Whatever blocks must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Threads for everything but guests. The stages of a pipeline on one thread hand over what they have without waking
/// anybody, which would cost as much as all that they do with it; and one thread reads some 50,000
/// events in a second.
fn pipeline_threads() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(PROCESSORS_PER_THREAD)
}

/// The others are for the guests.
const PROCESSORS_PER_THREAD: usize = 4;

async fn run(args: RunArgs, stop: &mut StopSignal) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    terminal.start_log(args.host.log_format, &args.host.log)?;
    let client = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let tls = args.admin_tls_cert.zip(args.admin_tls_key);
    let tcp = args.admin_address.map(|address| TcpSettings { address, tls });
    serve(client, &args.host, tcp, &terminal, stop).await
}

async fn dev(args: DevArgs, stop: &mut StopSignal) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    terminal.start_log(args.host.log_format, &args.host.log)?;
    let server = ApiServer::bind(args.api_address, Settings::default())
        .await
        .with_context(|| format!("cannot listen on {} (--api-address)", args.api_address))?;
    if args.host.resources.handler_resources {
        let kind = serde_saphyr::from_str(HANDLER_CRD).context("deploy/crd.yaml")?;
        let storage = server.storage();
        storage.apply(kind).map_err(|status| anyhow::anyhow!("deploy/crd.yaml: {status}"))?;
    }
    let manifests = ManifestsDir::open(server.storage(), &args.manifests)
        .await
        .with_context(|| format!("cannot read {} (--manifests)", args.manifests.display()))?;
    let url = server.url();
    tracing::info!(url, "embedded API server; `kubectl --server URL` reaches it");
    let mut config = kube::Config::new(url.parse().context("the embedded server's own address")?);
    config.default_retry = false;
    serve(Client::try_from(config)?, &args.host, None, &terminal, stop).await?;
    manifests.close().await;
    server.shutdown().await;
    Ok(())
}

/// Fails if the module cannot be used.
async fn inspect(args: InspectArgs) -> anyhow::Result<()> {
    let inspection = host::inspect::inspect(&compiler(&args.cache)?, &args.module).await?;
    let text = match args.json {
        true => serde_json::to_string(&inspection)? + "\n",
        false => inspection.to_string(),
    };
    print(&text)?;
    match inspection.problem {
        None => Ok(()),
        Some(problem) => Err(anyhow::anyhow!("{}: {problem}", args.module.display())),
    }
}

fn compiler(args: &CacheArgs) -> anyhow::Result<Compiler> {
    let mut settings = CompilerSettings::default();
    if let Some(folder) = &args.cache_dir {
        settings.cache = Some(folder.clone());
    }
    Ok(Compiler::new(GuestEngine::new().map_err(anyhow::Error::msg)?, settings))
}

fn new(args: &NewArgs) -> anyhow::Result<()> {
    let folder = host::scaffold::new_project(Path::new(""), &args.lang, &args.name)?;
    let folder = folder.display();
    print(&format!("made {folder}: how to build and run it is in {folder}/README.md\n"))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// SIGTERM or SIGINT.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn register() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs until it is told to stop.
async fn serve(
    client: Client,
    args: &HostArgs,
    tcp: Option<TcpSettings>,
    terminal: &Terminal,
    stop: &mut StopSignal,
) -> anyhow::Result<()> {
    // Gives memory back to the system while nobody allocates any. Not in the child that compiles, which has one thread.
    if let Err(error) = background_thread::write(true) {
        tracing::warn!(%error, "memory that is not needed is given back later");
    }
    let resources = &args.resources;
    let resource_policy = resources.handler_resources.then(|| {
        let cluster_wide = resources.cluster_wide_namespaces.iter().cloned();
        ResourcePolicy::new(resources.module_dir.as_deref(), cluster_wide)
    });
    let resource_policy = resource_policy.transpose()?;
    let policy = args.module_policy.as_deref().map(FetchPolicy::from_file).transpose()?;
    let modules = ModuleFetcher::new(policy.unwrap_or_default());
    let compiler = compiler(&args.cache)?;
    let ceilings = args.limit_ceilings.as_deref().map(read_ceilings).transpose()?;
    let ceilings = ceilings.unwrap_or(GuestLimits::MAX);
    let host = Host::start(client.clone(), compiler.clone(), modules, args.http, ceilings).await?;
    if let Some(folder) = compiler.cache_folder()
        && let Err(error) = host.handlers().remember_in(&folder.join("starting"))
    {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "a module that the host dies of will be started again");
    }
    tracing::info!(address = %host.http_address(), "/healthz, /readyz and /metrics");
    let settings = AdminSettings { socket: args.admin_socket.clone(), tcp };
    let admin = AdminServer::start(&host, client, settings).await?;
    if let Some(socket) = admin.socket() {
        tracing::info!(socket = %socket.display(), "`informerd handlers` and the like");
    }
    if let Some(admin_address) = admin.address() {
        tracing::info!(%admin_address, "the admin API, for whom the cluster's roles permit it");
    }
    if let Some(directory) = &args.handlers {
        host.follow_directory(directory).await?;
    }
    if let Some(policy) = resource_policy {
        host.follow_resources(policy);
    }
    tokio::select! {
        () = async {
            terminal.show_progress(host.handlers()).await;
            std::future::pending::<()>().await;
        } => {}
        () = stop.received() => {}
    }
    tracing::info!("stopping: running calls and what is queued may end");
    let informers = host.handlers().informers();
    admin.stop().await;
    host.stop().await;
    let summary = summary(host.handlers(), &informers);
    // Nobody may be there to read it.
    let _ = std::io::stderr().write_all(summary.as_bytes());
    Ok(())
}
