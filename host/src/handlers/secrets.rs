//! A handler's configuration, with the values of the Secrets that its spec refers to.
//!
//! in:   a [`HandlerDefinition`], and the Secrets as the server has them now
//! out:  the configuration as JSON text. It goes to the guest and nowhere else: not to a log, a status or `Debug`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::definition::HandlerDefinition;
use super::generation::NotReady;
use super::spec::{CONFIG_MAX, SecretKeyRef};
use crate::access::Access;
use crate::api_server::with_sources;

type Data = BTreeMap<String, ByteString>;

/// What the handler's account must be allowed, so that it may be told the values.
pub(super) fn accesses(definition: &HandlerDefinition) -> Result<Vec<Access>, String> {
    let mut accesses = Vec::new();
    for secret in &definition.spec.secrets {
        let secret = &secret.secret_key_ref;
        let access = Access {
            verb: "get",
            group: String::new(),
            version: "v1".to_owned(),
            resource: "secrets".to_owned(),
            namespace: Some(definition.namespace_of(secret)?),
            name: Some(secret.name.clone()),
        };
        if !accesses.contains(&access) {
            accesses.push(access);
        }
    }
    Ok(accesses)
}

/// `spec.config` and the values of `spec.secrets`.
pub(super) async fn config(
    client: &Client,
    definition: &HandlerDefinition,
) -> Result<String, NotReady> {
    let spec = &definition.spec;
    if spec.secrets.is_empty() {
        return Ok(spec.config_json());
    }
    let mut config = match &spec.config {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    let mut read = BTreeMap::<(String, &str), Data>::new();
    for value in &spec.secrets {
        let SecretKeyRef { name, key, .. } = &value.secret_key_ref;
        let namespace =
            definition.namespace_of(&value.secret_key_ref).map_err(NotReady::Refused)?;
        let of = (namespace.clone(), &**name);
        let data = match read.get(&of) {
            Some(data) => data,
            None => {
                let data = data(client, &namespace, name).await?;
                read.entry(of).or_insert(data)
            }
        };
        let at = || format!("spec.secrets needs {key:?} of the Secret {name:?} in {namespace}");
        let lacking = |problem: &str| NotReady::NoSecret(format!("{}, {problem}", at()));
        let ByteString(bytes) = data.get(key).ok_or_else(|| lacking("which has no such key"))?;
        let text = str::from_utf8(bytes);
        let text =
            text.map_err(|_| lacking("which is no UTF-8 text: encode it, as base64 for example"))?;
        config.insert(value.name.clone(), Value::String(text.to_owned()));
    }
    let json = Value::Object(config).to_string();
    match json.len() > CONFIG_MAX {
        true => Err(NotReady::NoSecret(format!(
            "spec.config and what spec.secrets refers to must be at most {CONFIG_MAX} bytes as JSON"
        ))),
        false => Ok(json),
    }
}

async fn data(client: &Client, namespace: &str, name: &str) -> Result<Data, NotReady> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let at = || format!("spec.secrets needs the Secret {name:?} in {namespace}");
    let problem = match timeout(GET_TIMEOUT, secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => return Ok(secret.data.unwrap_or_default()),
        Ok(Ok(None)) => {
            return Err(NotReady::NoSecret(format!("{}, which is not there", at())));
        }
        // Would quote what it found.
        Ok(Err(kube::Error::SerdeError(_))) => "the server's answer is no Secret".to_owned(),
        Ok(Err(error)) => with_sources(&error),
        Err(_) => format!("no answer within {GET_TIMEOUT:?}"),
    };
    Err(NotReady::Unavailable(format!("{}: {problem}", at())))
}

/// How long the server may take for one Secret.
const GET_TIMEOUT: Duration = Duration::from_secs(10);
