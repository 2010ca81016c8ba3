//! Arguments → client → host → exit code.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use dev_api_server::{ApiServer, ManifestsDir, Settings};
use host::api_server::connect;
use host::config::{Cli, Command, DevArgs, HostArgs, InspectArgs, NewArgs, RunArgs};
use host::guest::GuestLimits;
use host::handlers::read_ceilings;
use host::host::Host;
use host::output::{Terminal, summary};
use kube::Client;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let done = Runtime::new().context("cannot start threads").and_then(|runtime| {
        let done = runtime.block_on(async {
            // First of all, so that a signal during start-up is not lost.
            let mut stop = StopSignal::register()?;
            match command {
                Command::Run(args) => run(args, &mut stop).await,
                Command::Dev(args) => dev(args, &mut stop).await,
                Command::Inspect(args) => inspect(args).await,
                Command::New(args) => new(&args),
            }
        });
        // A compilation that is still going on must not keep the process.
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

async fn run(args: RunArgs, stop: &mut StopSignal) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    terminal.start_log(args.host.log_format, &args.host.log)?;
    let client = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    serve(client, &args.host, &terminal, stop).await
}

async fn dev(args: DevArgs, stop: &mut StopSignal) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    terminal.start_log(args.host.log_format, &args.host.log)?;
    let server = ApiServer::bind(args.api_address, Settings::default())
        .await
        .with_context(|| format!("cannot listen on {} (--api-address)", args.api_address))?;
    let manifests = ManifestsDir::open(server.storage(), &args.manifests)
        .await
        .with_context(|| format!("cannot read {} (--manifests)", args.manifests.display()))?;
    let url = server.url();
    tracing::info!(url, "embedded API server; `kubectl --server URL` reaches it");
    let mut config = kube::Config::new(url.parse().context("the embedded server's own address")?);
    config.default_retry = false;
    serve(Client::try_from(config)?, &args.host, &terminal, stop).await?;
    manifests.close().await;
    server.shutdown().await;
    Ok(())
}

/// Fails if the module cannot be used.
async fn inspect(args: InspectArgs) -> anyhow::Result<()> {
    let inspection = host::inspect::inspect(&args.module).await?;
    let text = match args.json {
        true => serde_json::to_string(&inspection)? + "\n",
        false => inspection.to_string(),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    match inspection.problem {
        None => Ok(()),
        Some(problem) => Err(anyhow::anyhow!("{}: {problem}", args.module.display())),
    }
}

fn new(args: &NewArgs) -> anyhow::Result<()> {
    let folder = host::scaffold::new_project(Path::new(""), &args.lang, &args.name)?;
    let folder = folder.display();
    let text = format!("made {folder}: how to build and run it is in {folder}/README.md\n");
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
    terminal: &Terminal,
    stop: &mut StopSignal,
) -> anyhow::Result<()> {
    let ceilings = match &args.limit_ceilings {
        Some(file) => read_ceilings(file)?,
        None => GuestLimits::MAX,
    };
    let host = Host::start(client, args.http, ceilings).await?;
    tracing::info!(address = %host.http_address(), "/healthz, /readyz and /metrics");
    host.load_directory(&args.handlers)?;
    tokio::select! {
        () = async {
            terminal.show_progress(host.handlers()).await;
            std::future::pending::<()>().await;
        } => {}
        () = stop.received() => {}
    }
    tracing::info!("stopping: running calls and what is queued may end");
    let informers = host.handlers().informers();
    host.stop().await;
    let summary = summary(host.handlers(), &informers);
    // Nobody may be there to read it.
    let _ = std::io::stderr().write_all(summary.as_bytes());
    Ok(())
}
