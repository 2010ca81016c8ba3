//! Modules from https servers and registries, signed and not: what is fetched, and what is refused.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use host::modules::{
    Digest, DockerConfig, FetchError, FetchLimits, FetchPolicy, FetchedModule, ModuleFetcher,
    ModuleSource,
};
use serde_json::{Value, json};
use tests::{HttpsServer, Reply};

/// From https servers.
mod https;
/// From a real registry, and from one that lies.
mod registries;
/// With signatures that the real cosign made.
mod signatures;

/// A policy with this in it, made from a file as an operator writes it. Files that it names are at
/// `folder`.
fn policy(folder: &Path, yaml: &str) -> FetchPolicy {
    let file = folder.join("policy.yaml");
    let head = "apiVersion: informerd.dev/v1alpha1\nkind: ModulePolicy\n";
    fs::write(&file, format!("{head}{yaml}")).unwrap();
    FetchPolicy::from_file(&file).unwrap()
}

/// Of few bytes, so that going beyond them takes no time.
const LIMITS: FetchLimits = FetchLimits {
    module: 100_000,
    manifest: 10_000,
    connect: Duration::from_secs(30),
    total: Duration::from_secs(60),
    concurrent: 4,
};

fn fetcher(policy: FetchPolicy) -> ModuleFetcher {
    ModuleFetcher::with_limits(policy, LIMITS)
}

/// What stands under `spec.module`.
fn source(module: Value) -> ModuleSource {
    serde_json::from_value(module).unwrap()
}

/// Asserts that a fetch fails, and whether it is worth another try.
fn refused(fetched: Result<FetchedModule, FetchError>, named: &str, is_retryable: bool) {
    let error = fetched.expect_err(named);
    assert!(error.to_string().contains(named), "{error}, without {named:?}");
    assert_eq!(error.is_retryable, is_retryable, "{error}");
}
