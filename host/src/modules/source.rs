//! Where a module comes from: what a handler spec says under `spec.module`.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use super::digest::Digest;

/// Where a module comes from, and what it is verified with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Document")]
pub struct ModuleSource {
    /// Where the bytes are.
    pub location: Location,
    /// What `cosign sign-blob` wrote for a file or what is at a url: base64, or the JSON of a bundle. An
    /// artifact's signatures are in its registry.
    pub signature: Option<String>,
    /// The name of a Secret of the type `kubernetes.io/dockerconfigjson`, for a registry.
    pub image_pull_secret: Option<String>,
}

/// Where a module's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a file.
    Path(PathBuf),
    /// Behind a url.
    Url {
        /// `https`; or `http`, which only an operator can allow.
        url: Url,
        /// What must be there.
        sha256: Digest,
    },
    /// In a registry.
    Oci(OciReference),
}

/// An artifact in a registry: `oci://REGISTRY/REPOSITORY:TAG`, or with `@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    /// A host, and its port if it has another one than 443.
    pub registry: String,
    /// A path of names.
    pub repository: String,
    /// What it says about the version.
    pub version: Version,
}

/// Which manifest of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Whatever the tag points at.
    Tag(String),
    /// Always the same.
    Digest(Digest),
}

/// `spec.module` as it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    path: Option<PathBuf>,
    url: Option<String>,
    sha256: Option<String>,
    signature: Option<String>,
    image_pull_secret: Option<String>,
}

impl ModuleSource {
    /// A file, without a signature.
    pub fn file(path: PathBuf) -> Self {
        Self { location: Location::Path(path), signature: None, image_pull_secret: None }
    }

    /// If it is a file, which.
    pub fn path(&self) -> Option<&Path> {
        match &self.location {
            Location::Path(path) => Some(path),
            Location::Url { .. } | Location::Oci(_) => None,
        }
    }
}

impl TryFrom<Document> for ModuleSource {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let Document { path, url, sha256, signature, image_pull_secret } = document;
        let location = match (path, url) {
            (None, None) => {
                return Err("spec.module names no module: give it a `path` or a `url`".to_owned());
            }
            (Some(_), Some(_)) => {
                return Err(
                    "spec.module.path and spec.module.url are both there: keep one".to_owned()
                );
            }
            (Some(path), None) => Location::Path(path),
            (None, Some(url)) => location_of_url(&url, sha256.as_deref())?,
        };
        let is_oci = matches!(location, Location::Oci(_));
        if sha256.is_some() && !matches!(location, Location::Url { .. }) {
            return Err("spec.module.sha256 is for an https url: remove it, and pin what is in a \
                        registry as oci://REGISTRY/REPOSITORY@sha256:…"
                .to_owned());
        }
        if signature.is_some() && is_oci {
            return Err(
                "spec.module.signature is for a path or an https url: remove it; what is in a \
                        registry is signed there, with `cosign sign`"
                    .to_owned(),
            );
        }
        match &image_pull_secret {
            Some(_) if !is_oci => {
                return Err("spec.module.imagePullSecret is for an oci url: remove it".to_owned());
            }
            Some(name) if !is_secret_name(name) => {
                return Err(format!("spec.module.imagePullSecret {name:?} is no name of a Secret"));
            }
            _ => {}
        }
        Ok(Self { location, signature, image_pull_secret })
    }
}

fn location_of_url(text: &str, sha256: Option<&str>) -> Result<Location, String> {
    if text.len() > URL_MAX {
        return Err(format!("spec.module.url must be at most {URL_MAX} bytes long"));
    }
    if let Some(reference) = text.strip_prefix("oci://") {
        return OciReference::parse(reference)
            .map(Location::Oci)
            .map_err(|problem| format!("spec.module.url {text}: {problem}"));
    }
    let url = Url::parse(text).map_err(|error| format!("spec.module.url {text:?}: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("spec.module.url must not hold a user or password: put what needs them in a \
                    registry, and name spec.module.imagePullSecret"
            .to_owned());
    }
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!(
            "spec.module.url {text}: {}:// is not fetched: use https:// or oci://",
            url.scheme()
        ));
    }
    let Some(sha256) = sha256 else {
        return Err(format!(
            "spec.module.sha256 is missing: give what `sha256sum` prints for the module at {}",
            shown(&url)
        ));
    };
    let digits = sha256.strip_prefix("sha256:").unwrap_or(sha256);
    let sha256 = Digest::from_hex(digits).ok_or_else(|| {
        format!(
            "spec.module.sha256 {sha256:?} must be 64 hexadecimal digits, as `sha256sum` prints"
        )
    })?;
    Ok(Location::Url { url, sha256 })
}

impl OciReference {
    /// Reads what follows `oci://`. A registry and a version must be named: neither is made up.
    fn parse(text: &str) -> Result<Self, String> {
        let form = "use oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:…";
        let (registry, rest) =
            text.split_once('/').ok_or_else(|| format!("it names no repository: {form}"))?;
        if !is_host(registry) {
            return Err(format!("{registry:?} is no registry's host or host:port: {form}"));
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (repository, tag) = match named.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (named, None),
        };
        if !is_repository(repository) {
            return Err(format!(
                "the repository {repository:?} must be lower-case names with `/` between them"
            ));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!(
                "the tag {tag:?} must be at most 128 letters, digits, `_`, `.` and `-`"
            ));
        }
        let version = match (digest, tag) {
            // A tag beside a digest is for people.
            (Some(digest), _) => Version::Digest(digest),
            (None, Some(tag)) => Version::Tag(tag.to_owned()),
            (None, None) => return Err(format!("it names no version: {form}")),
        };
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), version })
    }

    /// The same repository at a digest: where a tag led.
    pub(super) fn at(&self, digest: Digest) -> Self {
        Self { version: Version::Digest(digest), ..self.clone() }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "oci://{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(formatter, ":{tag}"),
            Version::Digest(digest) => write!(formatter, "@{digest}"),
        }
    }
}

impl fmt::Display for Location {
    /// For people and logs: without the url's query, which may be what grants access.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(formatter),
            Self::Url { url, .. } => formatter.write_str(&shown(url)),
            Self::Oci(reference) => reference.fmt(formatter),
        }
    }
}

/// A url without its query.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

/// Whether it is a host, or host:port. An IPv6 address stands in brackets.
pub(super) fn is_host(text: &str) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    text.bytes().all(is_host)
        && Url::parse(&format!("https://{text}/")).is_ok_and(|url| url.path() == "/")
}

fn is_repository(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 255
        && text.split('/').all(|name| {
            name.bytes().all(|byte| is_inner(byte) || b"-._".contains(&byte))
                && name.bytes().next().is_some_and(is_inner)
                && name.bytes().last().is_some_and(is_inner)
        })
}

fn is_tag(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_first)
        && text.bytes().all(|byte| is_first(byte) || b"-.".contains(&byte))
}

/// A DNS subdomain, as Kubernetes has it.
fn is_secret_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.split('.').all(|label| {
            label.bytes().all(|byte| is_inner(byte) || byte == b'-')
                && label.bytes().next().is_some_and(is_inner)
                && label.bytes().last().is_some_and(is_inner)
        })
}

const URL_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn source(yaml: &str) -> Result<ModuleSource, String> {
        serde_saphyr::from_str(yaml)
            .map_err(|error: serde_saphyr::Error| error.without_snippet().to_string())
    }

    #[test]
    fn each_form_is_read() {
        let path = source("path: a.wasm").unwrap();
        assert_eq!(path, ModuleSource::file("a.wasm".into()));
        let url = source(&format!("url: https://h.example/a.wasm?token=1\nsha256: {SHA}")).unwrap();
        assert_eq!(url.location.to_string(), "https://h.example/a.wasm");
        let Location::Url { sha256, .. } = url.location else { panic!() };
        assert_eq!(sha256, Digest::of(b""));
        for (text, shown) in [
            ("ghcr.io/org/a:v1", "oci://ghcr.io/org/a:v1"),
            ("localhost:5000/a/b-c/d_e:v1.2", "oci://localhost:5000/a/b-c/d_e:v1.2"),
            ("[::1]:5000/a:v1", "oci://[::1]:5000/a:v1"),
            (&format!("h.example/a@sha256:{SHA}"), &format!("oci://h.example/a@sha256:{SHA}")),
            (&format!("h.example/a:v1@sha256:{SHA}"), &format!("oci://h.example/a@sha256:{SHA}")),
        ] {
            let source =
                source(&format!("url: \"oci://{text}\"\nimagePullSecret: pull.me")).unwrap();
            assert_eq!(source.location.to_string(), shown);
            assert_eq!(source.image_pull_secret.as_deref(), Some("pull.me"));
        }
    }

    #[test]
    fn errors_name_the_field_and_the_way_out() {
        let sha = format!("sha256: {SHA}");
        for (text, named) in [
            ("{}".to_owned(), "give it a `path` or a `url`"),
            (format!("path: a\nurl: https://h/a\n{sha}"), "spec.module.path and spec.module.url"),
            ("url: https://h/a".to_owned(), "spec.module.sha256 is missing: give what `sha256sum`"),
            ("url: https://h/a\nsha256: abc".to_owned(), "spec.module.sha256 \"abc\" must be 64"),
            (format!("url: ftp://h/a\n{sha}"), "spec.module.url ftp://h/a: ftp:// is not fetched"),
            (format!("url: h/a.wasm\n{sha}"), "spec.module.url \"h/a.wasm\""),
            (format!("url: https://me:pw@h/a\n{sha}"), "spec.module.url must not hold a user"),
            (format!("path: a\n{sha}"), "spec.module.sha256 is for an https url"),
            (format!("url: oci://h.io/a:v1\n{sha}"), "oci://REGISTRY/REPOSITORY@sha256:"),
            ("url: oci://h.io/a:v1\nsignature: MEUC".to_owned(), "spec.module.signature"),
            ("path: a\nimagePullSecret: b".to_owned(), "spec.module.imagePullSecret"),
            ("url: oci://h.io/a:v1\nimagePullSecret: A/b".to_owned(), "no name of a Secret"),
            ("path: a\nchecksum: b".to_owned(), "checksum"),
            ("url: oci://a:v1".to_owned(), "names no repository"),
            ("url: oci://h.io/a".to_owned(), "names no version"),
            ("url: oci://h.io/A:v1".to_owned(), "lower-case"),
            ("url: oci://h.io/../a:v1".to_owned(), "lower-case"),
            ("url: oci://h.io/a:v 1".to_owned(), "the tag"),
            ("url: oci://h.io/a@md5:00".to_owned(), "no other digest"),
            ("url: oci://me@h.io/a:v1".to_owned(), "no registry's host"),
            (format!("url: https://h/{}\n{sha}", "a".repeat(URL_MAX)), "at most 2048"),
        ] {
            let error = source(&text).unwrap_err();
            assert!(error.contains(named), "{text} gave {error}");
        }
    }
}
