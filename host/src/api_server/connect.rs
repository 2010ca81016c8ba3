//! A client for the API server: from a kubeconfig, or from inside a cluster.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::with_sources;

/// Why there is no client. None of these goes away by waiting.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is missing, unreadable, or no kubeconfig.
    #[error("kubeconfig {}: {}", file.display(), kubeconfig_problem(.error))]
    Kubeconfig {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        error: KubeconfigError,
    },
    /// Neither a kubeconfig nor a cluster around.
    #[error(
        "no cluster: {} (give --kubeconfig FILE, set KUBECONFIG, or run in a pod with a service \
         account)",
        with_sources(.0)
    )]
    NoCluster(kube::config::InferConfigError),
    /// The named context is not in the usual kubeconfig.
    #[error("context {context:?}: {}", kubeconfig_problem(.error))]
    Context {
        /// As it was asked for.
        context: String,
        /// What is wrong with it.
        error: KubeconfigError,
    },
    /// The configuration cannot be used: a bad certificate, an unsupported proxy.
    #[error("the API server's address or credentials cannot be used: {}", with_sources(.0))]
    Client(kube::Error),
}

/// Makes a client. With neither argument: `KUBECONFIG`, `~/.kube/config`, or the pod's service
/// account. The server is not contacted yet.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Client, ConnectError> {
    let options =
        KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match (kubeconfig, context) {
        (Some(file), _) => {
            let named = |error| ConnectError::Kubeconfig { file: file.to_owned(), error };
            let kubeconfig = Kubeconfig::read_from(file).map_err(named)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(named)?
        }
        (None, Some(context)) => {
            let named = |error| ConnectError::Context { context: context.to_owned(), error };
            Config::from_kubeconfig(&options).await.map_err(named)?
        }
        (None, None) => Config::infer().await.map_err(ConnectError::NoCluster)?,
    };
    tracing::info!(server = %config.cluster_url, "the API server that is followed");
    // The reflector decides when to try again; a second opinion below it would hide what it is for.
    config.default_retry = false;
    Client::try_from(config).map_err(ConnectError::Client)
}

/// What is wrong with a kubeconfig, without quoting it: there are credentials in it.
fn kubeconfig_problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => error.without_snippet().to_string(),
        error => with_sources(error),
    }
}
