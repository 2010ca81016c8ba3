//! Arguments → client → host → exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use dev_api_server::{ApiServer, ManifestsDir, Settings};
use host::api_server::connect;
use host::config::{Cli, Command, DevArgs, HostArgs, RunArgs};
use host::host::Host;
use host::output::{Terminal, summary};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(args).await,
        Command::Dev(args) => dev(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    terminal.start_log(args.host.log_format, &args.host.log)?;
    let client = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    serve(client, &args.host, &terminal).await
}

async fn dev(args: DevArgs) -> anyhow::Result<()> {
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
    let config = kube::Config::new(url.parse().context("the embedded server's own address")?);
    serve(Client::try_from(config)?, &args.host, &terminal).await?;
    manifests.close().await;
    server.shutdown().await;
    Ok(())
}

/// Runs until SIGTERM or SIGINT.
async fn serve(client: Client, args: &HostArgs, terminal: &Terminal) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let host = Host::start(client, args.http).await?;
    tracing::info!(address = %host.http_address(), "/healthz, /readyz and /metrics");
    host.load_directory(&args.handlers)?;
    tokio::select! {
        () = async {
            terminal.show_progress(host.handlers()).await;
            std::future::pending::<()>().await;
        } => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: running calls and what is queued may end");
    let informers = host.handlers().informers();
    host.stop().await;
    eprint!("{}", summary(host.handlers(), &informers));
    Ok(())
}
