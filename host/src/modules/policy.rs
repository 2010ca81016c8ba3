//! What the operator allows modules to come from, and what they must be signed with: the file of
//! `--module-policy`.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::error::Problem;
use super::signature::{Identities, Identity, PublicKey, Signers};
use super::source::{Location, is_host, shown};

/// What modules may come from, and what must be verified. The default allows every https server and
/// registry, and asks for no signature.
#[derive(Debug, Default)]
pub struct FetchPolicy {
    /// None: all of them.
    allowed_hosts: Option<Vec<String>>,
    /// Hosts that are reached without TLS.
    plain_http: Vec<String>,
    /// Trusted beside the system's.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// None: the usual places.
    pub(super) docker_config: Option<PathBuf>,
    pub(super) signatures: SignatureMode,
    pub(super) signers: Signers,
}

/// What is done about signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SignatureMode {
    /// They are not looked at.
    #[default]
    Off,
    /// A module without a good one is loaded, with a warning.
    Warn,
    /// A module without a good one is refused.
    Required,
}

/// Why a policy cannot be used. It names the field and the way out.
#[derive(Debug, thiserror::Error)]
#[error("module policy {}: {problem} (--module-policy)", file.display())]
pub struct PolicyError {
    /// The policy's file.
    pub file: PathBuf,
    /// What is wrong in it.
    pub problem: String,
}

/// The policy as it stands in the file. Paths in it start at the file's folder.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    allowed_hosts: Option<Vec<String>>,
    #[serde(default)]
    plain_http: Vec<String>,
    ca_file: Option<PathBuf>,
    docker_config: Option<PathBuf>,
    signatures: Option<Signatures>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signatures {
    mode: SignatureMode,
    #[serde(default)]
    keys: Vec<PathBuf>,
    #[serde(default)]
    identities: Vec<Identity>,
    trusted_root: Option<PathBuf>,
}

impl FetchPolicy {
    /// Reads the file, and the files that it names.
    pub fn from_file(file: &Path) -> Result<Self, PolicyError> {
        let named = |problem| PolicyError { file: file.to_owned(), problem };
        let text = fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        Self::read(&text, file.parent().unwrap_or(Path::new(""))).map_err(named)
    }

    fn read(text: &str, folder: &Path) -> Result<Self, String> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
        if (document.api_version.as_str(), document.kind.as_str()) != (API_VERSION, KIND) {
            let (version, kind) = (document.api_version, document.kind);
            return Err(format!("this is {version} {kind}, and it must be {API_VERSION} {KIND}"));
        }
        let allowed = document.allowed_hosts.as_deref().unwrap_or_default();
        for (field, hosts) in [("allowedHosts", allowed), ("plainHttp", &document.plain_http)] {
            if let Some(other) = hosts.iter().find(|host| !is_host(host)) {
                return Err(format!(
                    "{field}: {other:?} must be a host or host:port, without a scheme"
                ));
            }
        }
        let certificates = match &document.ca_file {
            Some(file) => read_certificates(&folder.join(file))?,
            None => Vec::new(),
        };
        let docker_config = document.docker_config.map(|file| folder.join(file));
        if let Some(file) = docker_config.as_ref().filter(|file| !file.is_file()) {
            return Err(format!("dockerConfig: there is no file {}", file.display()));
        }
        let signatures = document.signatures.unwrap_or_default();
        let mode = signatures.mode;
        let signers = signatures.signers(folder)?;
        Ok(Self {
            allowed_hosts: document.allowed_hosts,
            plain_http: document.plain_http,
            certificates,
            docker_config,
            signatures: mode,
            signers,
        })
    }

    /// Whether a host is reached without TLS, because the operator said so.
    pub(super) fn is_plain_http(&self, host: &str) -> bool {
        self.plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(host))
    }

    /// Whether the operator lets modules come from there at all. Files are the directory's concern.
    pub(super) fn check(&self, location: &Location) -> Result<(), Problem> {
        let host = match location {
            Location::Path(_) => return Ok(()),
            Location::Url { url, .. } => host_of(url),
            Location::Oci(reference) => reference.registry.clone(),
        };
        match location {
            Location::Url { url, .. } if url.scheme() == "http" && !self.is_plain_http(&host) => {
                return Err(Problem::permanent(format!(
                    "spec.module.url {} is not encrypted: use https://, or list {host} under \
                     plainHttp in the file of --module-policy",
                    shown(url)
                )));
            }
            _ => {}
        }
        let Some(allowed) = &self.allowed_hosts else { return Ok(()) };
        if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&host)) {
            return Ok(());
        }
        Err(Problem::permanent(format!(
            "spec.module.url: {host} is not among the allowedHosts ({}) in the file of \
             --module-policy",
            allowed.join(", ")
        )))
    }
}

impl Signatures {
    fn signers(self, folder: &Path) -> Result<Signers, String> {
        let Self { mode, keys, identities, trusted_root } = self;
        if mode != SignatureMode::Off && keys.is_empty() && identities.is_empty() {
            return Err(
                "signatures: name in keys the cosign.pub files that count, or in identities \
                        who may sign, or set mode to off"
                    .to_owned(),
            );
        }
        let keys = keys.iter().map(|key| read_key(&folder.join(key))).collect::<Result<_, _>>()?;
        let identities = match (trusted_root, identities.is_empty()) {
            (None, true) => None,
            (Some(file), false) => Some(read_identities(&folder.join(file), identities)?),
            (None, false) => {
                return Err(
                    "signatures.trustedRoot is missing, with which identities are verified: \
                            `cosign trusted-root create` writes it"
                        .to_owned(),
                );
            }
            (Some(_), true) => {
                return Err(
                    "signatures.identities is empty: anybody may have a certificate of the \
                            trustedRoot, so name whose signatures count"
                        .to_owned(),
                );
            }
        };
        Ok(Signers { keys, identities })
    }
}

/// Host, and the port if it is not the scheme's own: as it stands in a policy.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |problem: String| format!("caFile {}: {problem}", file.display());
    let pem = fs::read(file).map_err(|error| named(error.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| named(error.to_string()))?;
    if certificates.is_empty() {
        return Err(named("there is no PEM certificate in it".to_owned()));
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PublicKey, String> {
    let named = |problem: String| format!("signatures.keys {}: {problem}", file.display());
    let pem = fs::read(file).map_err(|error| named(error.to_string()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    PublicKey::from_pem(&name, &pem).map_err(named)
}

fn read_identities(root: &Path, identities: Vec<Identity>) -> Result<Identities, String> {
    let named = |problem: String| format!("signatures.trustedRoot {}: {problem}", root.display());
    let json = fs::read_to_string(root).map_err(|error| named(error.to_string()))?;
    Identities::new(&json, identities).map_err(named)
}

const API_VERSION: &str = "informerd.dev/v1alpha1";
const KIND: &str = "ModulePolicy";

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: informerd.dev/v1alpha1\nkind: ModulePolicy\n";
    const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sources/cosign");

    fn policy(yaml: &str) -> Result<FetchPolicy, String> {
        FetchPolicy::read(&format!("{HEAD}{yaml}"), Path::new(KEYS))
    }

    fn url(text: &str) -> Location {
        Location::Url { url: text.parse().unwrap(), sha256: super::super::Digest::of(b"") }
    }

    #[test]
    fn a_full_policy_is_read() {
        let policy = policy(
            "allowedHosts: [ghcr.io, \"LocalHost:5000\"]\nplainHttp: [localhost:5000]\n\
             signatures: { mode: required, keys: [cosign.pub] }\n",
        )
        .unwrap();
        assert_eq!(policy.signatures, SignatureMode::Required);
        assert_eq!(policy.signers.to_string(), "cosign.pub");
        assert!(policy.check(&url("http://localhost:5000/a")).is_ok());
        assert!(policy.check(&url("https://ghcr.io/a")).is_ok());
        for (refused, named) in [
            ("http://ghcr.io/a", "under plainHttp"),
            ("https://ghcr.io:444/a", "allowedHosts (ghcr.io, LocalHost:5000)"),
            ("https://evil.example/a", "evil.example"),
        ] {
            let problem = policy.check(&url(refused)).unwrap_err();
            assert!(problem.text.contains(named) && !problem.is_retryable, "{problem:?}");
        }
    }

    #[test]
    fn the_least_policy_allows_what_the_default_does() {
        for policy in [policy("").unwrap(), FetchPolicy::default()] {
            assert!(policy.check(&url("https://h.example/a")).is_ok());
            assert!(policy.check(&url("http://127.0.0.1:1/a")).is_err());
            assert_eq!(policy.signatures, SignatureMode::Off);
        }
    }

    #[test]
    fn errors_name_the_field_and_the_way_out() {
        for (yaml, named) in [
            ("plainHTTP: []\n", "plainHTTP"),
            ("plainHttp: [\"http://localhost:5000\"]\n", "without a scheme"),
            ("allowedHosts: [\"a b\"]\n", "allowedHosts"),
            ("allowedHosts: [\"h/path\"]\n", "allowedHosts"),
            ("caFile: missing.pem\n", "missing.pem: "),
            ("caFile: cosign.pub\n", "no PEM certificate"),
            ("dockerConfig: missing.json\n", "dockerConfig"),
            ("signatures: { mode: required }\n", "name in keys the cosign.pub files that count"),
            ("signatures: { mode: always }\n", "expected one of off, warn, required"),
            ("signatures: { keys: [cosign.pub] }\n", "mode"),
            ("signatures: { mode: off, keyless: {} }\n", "keyless"),
            (
                "signatures: { mode: warn, identities: [{ issuer: a, subject: b }] }\n",
                "signatures.trustedRoot is missing",
            ),
            (
                "signatures: { mode: warn, keys: [cosign.pub], trustedRoot: trusted_root.json }\n",
                "signatures.identities is empty",
            ),
            ("keyless: {}\n", "keyless"),
            ("signatures: { mode: warn, keys: [README.md] }\n", "README.md: there is no"),
        ] {
            let error = policy(yaml).unwrap_err();
            assert!(error.contains(named), "{yaml} gave {error}");
        }
        for (identity, root, named) in [
            ("issuer: a", "trusted_root.json", "needs a `subject` or a `subjectRegExp`"),
            ("subject: a", "trusted_root.json", "issuer"),
            ("issuer: a, subject: b, subjectRegExp: c", "trusted_root.json", "needs a `subject`"),
            ("issuer: a, subjectRegExp: \"(\"", "trusted_root.json", "subjectRegExp: "),
            ("issuer: a, subjectRegExp: \"b)|(c\"", "trusted_root.json", "subjectRegExp: "),
            ("issuer: a, subjectRegExp: \"\"", "trusted_root.json", "must not be empty"),
            ("issuer: \"\", subject: a", "trusted_root.json", "must not be empty"),
            ("issuer: a, email: b", "trusted_root.json", "email"),
            ("issuer: a, subject: b", "missing.json", "signatures.trustedRoot"),
            ("issuer: a, subject: b", "cosign.pub", "cosign.pub: it is no TrustedRoot"),
        ] {
            let yaml = format!(
                "signatures: {{ mode: required, identities: [{{ {identity} }}], trustedRoot: {root} }}\n"
            );
            let error = policy(&yaml).unwrap_err();
            assert!(error.contains(named), "{yaml} gave {error}");
        }
        let other = FetchPolicy::read("apiVersion: v1\nkind: Policy\n", Path::new(""));
        assert!(other.unwrap_err().contains("informerd.dev/v1alpha1 ModulePolicy"));
        let missing = FetchPolicy::from_file(Path::new("/nowhere/policy.yaml")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/policy.yaml"), "{missing}");
    }
}
