//! One fetch, from source to verified bytes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::artifact::wasm_layer;
use super::credentials::DockerConfig;
use super::digest::Digest;
use super::error::{FetchError, Problem};
use super::http::{check_status, client, get, read_body};
use super::policy::{FetchPolicy, SignatureMode};
use super::registry::Repository;
use super::signature;
use super::source::{Location, ModuleSource, OciReference};

/// Fetches modules, a few at once. One per host.
pub struct ModuleFetcher {
    policy: Arc<FetchPolicy>,
    limits: FetchLimits,
    /// Made when it is needed: whoever has nothing but files needs no certificates.
    client: OnceCell<Client>,
    running: Semaphore,
}

/// A module that may be loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedModule {
    /// The wasm: these bytes were verified, and nothing is read again.
    pub bytes: Vec<u8>,
    /// Of `bytes`.
    pub digest: Digest,
    /// Where it is from, for people: of an artifact the manifest's digest, whatever tag led there.
    pub origin: String,
    /// The key or identity by which it is signed; none where the policy does not ask.
    pub signed_by: Option<String>,
}

/// How much and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes of a module.
    pub module: usize,
    /// Bytes of a registry's manifest.
    pub manifest: usize,
    /// To reach a server.
    pub connect: Duration,
    /// Of a whole fetch, from when it is its turn.
    pub total: Duration,
    /// Fetches at once.
    pub concurrent: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            module: MODULE_BYTES_MAX,
            manifest: 4 << 20,
            connect: Duration::from_secs(10),
            total: Duration::from_secs(120),
            concurrent: 4,
        }
    }
}

impl ModuleFetcher {
    /// With the limits of [`FetchLimits::default`].
    pub fn new(policy: FetchPolicy) -> Self {
        Self::with_limits(policy, FetchLimits::default())
    }

    /// With other limits.
    pub fn with_limits(policy: FetchPolicy, limits: FetchLimits) -> Self {
        let (policy, running) = (Arc::new(policy), Semaphore::new(limits.concurrent));
        Self { policy, limits, client: OnceCell::new(), running }
    }

    /// Fetches and verifies a module: once, without a retry. `pull_secret` comes before the host's own
    /// docker config. Waits for its turn if others are being fetched.
    pub async fn fetch(
        &self,
        source: &ModuleSource,
        pull_secret: Option<&DockerConfig>,
    ) -> Result<FetchedModule, FetchError> {
        let named = |problem: Problem| problem.from(&source.location);
        self.policy.check(&source.location).map_err(named)?;
        let Ok(_turn) = self.running.acquire().await else {
            return Err(named(Problem::temporary("the host is stopping")));
        };
        let fetched = timeout(self.limits.total, self.fetch_now(source, pull_secret)).await;
        let total = self.limits.total;
        let too_slow = |_| Problem::temporary(format!("not there within {total:?}"));
        fetched.map_err(too_slow).flatten().map_err(named)
    }

    async fn fetch_now(
        &self,
        source: &ModuleSource,
        pull_secret: Option<&DockerConfig>,
    ) -> Result<FetchedModule, Problem> {
        let origin = source.location.to_string();
        let (bytes, digest) = match &source.location {
            Location::Oci(reference) => return self.pull(reference, pull_secret).await,
            Location::Path(path) => read_file(path, self.limits.module).await?,
            Location::Url { url, sha256 } => {
                let client = self.client().await?;
                let response = get(client, url.clone(), http::HeaderMap::new()).await?;
                check_status(&response)?;
                let (bytes, digest) = read_body(response, self.limits.module).await?;
                if digest != *sha256 {
                    return Err(Problem::permanent(format!(
                        "its sha256 is {}, and spec.module.sha256 says {}",
                        digest.hex(),
                        sha256.hex()
                    )));
                }
                (bytes, digest)
            }
        };
        let signed_by = self.verdict(&origin, || {
            signature::of_blob(&bytes, digest, source.signature.as_deref(), &self.policy.signers)
        })?;
        Ok(FetchedModule { bytes, digest, origin, signed_by })
    }

    /// A tag is resolved once: signature and layers are those of the manifest that was found then.
    async fn pull(
        &self,
        reference: &OciReference,
        pull_secret: Option<&DockerConfig>,
    ) -> Result<FetchedModule, Problem> {
        let credentials = self.credentials(reference, pull_secret).await?;
        let client = self.client().await?;
        let max = self.limits.manifest;
        let mut repository = Repository::new(client, &self.policy, reference, max, credentials);
        let manifest = repository.manifest(&reference.version).await?;
        let manifest = manifest.ok_or_else(|| Problem::temporary("it is not in the registry"))?;
        let layer = wasm_layer(&manifest.json).map_err(Problem::permanent)?;
        if layer.size > self.limits.module as u64 {
            return Err(Problem::permanent(format!(
                "its module is {} bytes long, more than {}",
                layer.size, self.limits.module
            )));
        }
        let digest = layer.digest().map_err(Problem::permanent)?;
        let origin = reference.at(manifest.digest).to_string();
        let signed_by = match self.policy.signatures {
            SignatureMode::Off => None,
            _ => {
                let signers = &self.policy.signers;
                let found = signature::of_artifact(&mut repository, manifest.digest, signers).await;
                self.verdict(&origin, || found)?
            }
        };
        let bytes = repository.blob(digest, self.limits.module).await?;
        Ok(FetchedModule { bytes, digest, origin, signed_by })
    }

    /// What the policy makes of a signature, or of there being none.
    fn verdict(
        &self,
        origin: &str,
        signed_by: impl FnOnce() -> Result<String, Problem>,
    ) -> Result<Option<String>, Problem> {
        match self.policy.signatures {
            SignatureMode::Off => Ok(None),
            SignatureMode::Required => signed_by().map(Some),
            SignatureMode::Warn => Ok(signed_by().map_or_else(
                |problem| {
                    tracing::warn!(module = origin, problem = problem.text, "no good signature");
                    None
                },
                Some,
            )),
        }
    }

    async fn credentials(
        &self,
        reference: &OciReference,
        pull_secret: Option<&DockerConfig>,
    ) -> Result<Option<super::credentials::Credentials>, Problem> {
        // A config or a helper that is broken may be mended at any time.
        let named = |error: super::DockerConfigError| Problem::temporary(error.to_string());
        if let Some(secret) = pull_secret
            && let Some(credentials) = secret.credentials(reference).await.map_err(named)?
        {
            return Ok(Some(credentials));
        }
        let config = DockerConfig::of_user(self.policy.docker_config.as_deref()).await;
        config.map_err(named)?.credentials(reference).await.map_err(named)
    }

    async fn client(&self) -> Result<&Client, Problem> {
        self.client.get_or_try_init(async || client(&self.policy, &self.limits)).await
    }
}

/// Reads at most `max` bytes of a file, whatever its size was said to be.
async fn read_file(path: &Path, max: usize) -> Result<(Vec<u8>, Digest), Problem> {
    // Whoever watches the folder knows when it is worth another try.
    let named = |error: std::io::Error| Problem::permanent(error.to_string());
    // Opening a pipe would wait for its writer for ever.
    if !tokio::fs::metadata(path).await.map_err(named)?.is_file() {
        return Err(Problem::permanent("it is not a file"));
    }
    let file = File::open(path).await.map_err(named)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).await.map_err(named)?;
    if bytes.len() > max {
        return Err(Problem::permanent(format!("it is longer than {max} bytes")));
    }
    let digest = Digest::of(&bytes);
    Ok((bytes, digest))
}

impl std::fmt::Debug for FetchedModule {
    /// Without the bytes.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FetchedModule")
            .field("bytes", &self.bytes.len())
            .field("digest", &self.digest)
            .field("origin", &self.origin)
            .field("signed_by", &self.signed_by)
            .finish()
    }
}

/// Larger modules are not read, wherever they are. A Python runtime is 18 MB, the largest that was tried.
pub(crate) const MODULE_BYTES_MAX: usize = 32 << 20;
