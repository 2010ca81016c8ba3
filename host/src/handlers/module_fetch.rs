//! The module of one handler: fetched until it is there, or it is clear that it will not be.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::sleep;

use super::definition::HandlerDefinition;
use super::registry::Surroundings;
use crate::modules::{DockerConfig, FetchedModule};

/// Fetches a module, with the image pull secret that its spec names. What may go away by itself is
/// tried again with backoff, after telling `waits` what it is; the error does not.
pub(super) async fn fetch_module(
    at: &Surroundings,
    definition: &HandlerDefinition,
    waits: impl Fn(String),
) -> Result<FetchedModule, String> {
    let source = definition.module()?;
    let namespace = definition.namespace_of_pull_secrets().unwrap_or(at.client.default_namespace());
    let mut wait = RETRY_MIN;
    loop {
        let pull_secret = match &source.image_pull_secret {
            None => Ok(None),
            // Read each time: it may be why the last try failed.
            Some(name) => pull_secret(&at.client, namespace, name).await.map(Some),
        };
        let problem = match pull_secret {
            Err(problem) => problem,
            Ok(pull_secret) => match at.modules.fetch(&source, pull_secret.as_ref()).await {
                Ok(fetched) => {
                    let FetchedModule { digest, origin, signed_by, .. } = &fetched;
                    let handler = &*definition.name;
                    tracing::info!(handler, %digest, origin, signed_by, "module fetched");
                    return Ok(fetched);
                }
                Err(error) if !error.is_retryable => return Err(error.to_string()),
                Err(error) => error.to_string(),
            },
        };
        waits(problem);
        sleep(wait.mul_f32(0.8 + 0.4 * fastrand::f32())).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn pull_secret(client: &Client, namespace: &str, name: &str) -> Result<DockerConfig, String> {
    let named = |problem: String| {
        format!("spec.module.imagePullSecret {name:?} in the namespace {namespace}: {problem}")
    };
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(name).await.map_err(|error| named(error.to_string()))?;
    let secret = secret.ok_or_else(|| named("there is no such Secret".to_owned()))?;
    let json = secret.data.as_ref().and_then(|data| data.get(KEY)).ok_or_else(|| {
        named(format!(
            "it has no {KEY}: `kubectl create secret docker-registry` makes one that has"
        ))
    })?;
    DockerConfig::from_secret(&json.0).map_err(|error| named(error.to_string()))
}

const KEY: &str = ".dockerconfigjson";

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
