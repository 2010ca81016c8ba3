//! Credentials for registries: a docker config, as `docker login` writes it and image pull secrets hold
//! it.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::source::OciReference;

/// Credentials by registry.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    /// The suffix of a program by registry.
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    /// The suffix of the program for all others.
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    /// `user:password` in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Shown as they are, or exchanged for a token.
    Basic {
        /// The user's name.
        user: String,
        /// Their password, or a token in its place.
        password: String,
    },
    /// An OAuth2 refresh token.
    IdentityToken(String),
}

/// Why there are no credentials although there may be some. It never quotes the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DockerConfigError(String);

impl DockerConfig {
    /// Reads what is under `.dockerconfigjson` in a Secret of the type
    /// `kubernetes.io/dockerconfigjson`. Programs that it names are not run: whoever may write a Secret
    /// must not choose what runs here.
    pub fn from_secret(json: &[u8]) -> Result<Self, DockerConfigError> {
        let config: Self = parse(json)?;
        Ok(Self { cred_helpers: BTreeMap::new(), creds_store: None, ..config })
    }

    /// The one of whoever runs this process; empty if there is none.
    pub(super) async fn of_user(given: Option<&Path>) -> Result<Self, DockerConfigError> {
        let Some(file) = given.map(Path::to_owned).or_else(usual_file) else {
            return Ok(Self::default());
        };
        let named = |problem: String| {
            DockerConfigError(format!("the docker config {}: {problem}", file.display()))
        };
        match tokio::fs::read(&file).await {
            Ok(json) => parse(&json).map_err(|error| named(error.0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
                Ok(Self::default())
            }
            Err(error) => Err(named(error.to_string())),
        }
    }

    /// What it has for an artifact: of the most specific `host/path`, and from a helper before what is
    /// written down, as docker does.
    pub(super) async fn credentials(
        &self,
        reference: &OciReference,
    ) -> Result<Option<Credentials>, DockerConfigError> {
        let registry = &*reference.registry;
        let helper = self.cred_helpers.get(registry).or(self.creds_store.as_ref());
        if let Some(helper) = helper
            && let Some(credentials) =
                ask_helper(&program(helper)?, server_name(registry), HELPER_MAX).await?
        {
            return Ok(Some(credentials));
        }
        let repository = format!("{registry}/{}", reference.repository);
        let entry = self
            .auths
            .iter()
            .filter(|(key, _)| is_prefix(place(key), &repository))
            .max_by_key(|(key, _)| place(key).len());
        entry.map_or(Ok(None), |(key, entry)| {
            entry.credentials().map_err(|problem| {
                DockerConfigError(format!("the docker config's entry for {key}: {problem}"))
            })
        })
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials::IdentityToken(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let decoded =
                BASE64_STANDARD.decode(auth.trim()).ok().and_then(|it| String::from_utf8(it).ok());
            let decoded = decoded.ok_or("`auth` is not base64 of text")?;
            let (user, password) = decoded.split_once(':').ok_or("`auth` is not user:password")?;
            let (user, password) = (user.to_owned(), password.trim_end_matches('\0').to_owned());
            return Ok(Some(Credentials::Basic { user, password }));
        }
        match (&self.username, &self.password) {
            (Some(user), Some(password)) => {
                Ok(Some(Credentials::Basic { user: user.clone(), password: password.clone() }))
            }
            // Docker leaves an empty entry behind when a helper holds the credentials.
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for DockerConfig {
    /// Names the registries and no secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.auths.keys().chain(self.cred_helpers.keys())).finish()
    }
}

fn parse(json: &[u8]) -> Result<DockerConfig, DockerConfigError> {
    serde_json::from_slice(json).map_err(|error| {
        // Its own text quotes values, and there are passwords among them.
        let (line, column) = (error.line(), error.column());
        DockerConfigError(format!("no docker config.json: line {line}, column {column}"))
    })
}

/// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
fn usual_file() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// A key of `auths` as host and path: docker writes urls, too, and the version of the API.
fn place(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or(key.strip_suffix("/v2")).unwrap_or(key);
    match key {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        key => key,
    }
}

fn is_prefix(place: &str, repository: &str) -> bool {
    repository.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

/// The name under which helpers keep a registry's credentials.
fn server_name(registry: &str) -> &str {
    match registry {
        "docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    }
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

fn program(helper: &str) -> Result<String, DockerConfigError> {
    match helper.contains(['/', '\\']) {
        true => Err(DockerConfigError(format!("the credential helper {helper:?} is no name"))),
        false => Ok(format!("docker-credential-{helper}")),
    }
}

/// Runs a credential helper; none if it has nothing for that server.
async fn ask_helper(
    program: &str,
    server: &str,
    limit: Duration,
) -> Result<Option<Credentials>, DockerConfigError> {
    let named = |problem: String| DockerConfigError(format!("{program}: {problem}"));
    let answer = timeout(limit, run_helper(program, server)).await;
    let (is_ok, output) = answer
        .map_err(|_| named(format!("no answer within {limit:?}")))?
        .map_err(|error| named(error.to_string()))?;
    if output.len() > HELPER_OUTPUT_MAX {
        return Err(named(format!("it printed more than {HELPER_OUTPUT_MAX} bytes")));
    }
    if !is_ok {
        let said = String::from_utf8_lossy(&output);
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(named(format!("it failed: {}", said.trim()))),
        };
    }
    let Answer { username, secret } = serde_json::from_slice(&output)
        .map_err(|_| named("it printed no credentials".to_owned()))?;
    Ok(Some(match &*username {
        "<token>" => Credentials::IdentityToken(secret),
        _ => Credentials::Basic { user: username, password: secret },
    }))
}

async fn run_helper(program: &str, server: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read it says so by what it prints.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(HELPER_OUTPUT_MAX as u64 + 1).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

const HELPER_MAX: Duration = Duration::from_secs(10);
const HELPER_OUTPUT_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::modules::{Location, ModuleSource};

    fn reference(text: &str) -> OciReference {
        let source: ModuleSource =
            serde_saphyr::from_str(&format!("url: oci://{text}:v1")).unwrap();
        let Location::Oci(reference) = source.location else { panic!() };
        reference
    }

    async fn user_of(config: &DockerConfig, text: &str) -> Option<String> {
        match config.credentials(&reference(text)).await.unwrap()? {
            Credentials::Basic { user, password } => Some(format!("{user}/{password}")),
            Credentials::IdentityToken(token) => Some(format!("token {token}")),
        }
    }

    #[tokio::test]
    async fn the_most_specific_entry_counts() {
        // `me:pw:x` and `org:pw`.
        let config = DockerConfig::from_secret(
            br#"{ "auths": {
                "https://index.docker.io/v1/": { "auth": "bWU6cHc6eA==" },
                "h.example": { "username": "u", "password": "p", "email": "e" },
                "h.example/org": { "auth": "b3JnOnB3" },
                "t.example": { "identitytoken": "it", "auth": "" },
                "empty.example": {}
            }, "credsStore": "evil", "HttpHeaders": {} }"#,
        )
        .unwrap();
        for (text, user) in [
            ("docker.io/library/a", Some("me/pw:x")),
            ("h.example/other/a", Some("u/p")),
            ("h.example/org/a", Some("org/pw")),
            ("h.example/organic/a", Some("u/p")),
            ("t.example/a", Some("token it")),
            ("empty.example/a", None),
            ("h.example:5000/a", None),
        ] {
            assert_eq!(user_of(&config, text).await.as_deref(), user, "{text}");
        }
    }

    #[tokio::test]
    async fn errors_quote_no_secret() {
        for json in [r#"{ "auths": { "h.example": { "auth": 5432112345 } } }"#, "5432112345", "{"] {
            let error = DockerConfig::from_secret(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("line 1") && !error.contains("5432112345"), "{error}");
        }
        for auth in ["5432112345!", "aGVsbG8="] {
            let json = format!(r#"{{ "auths": {{ "h.example": {{ "auth": "{auth}" }} }} }}"#);
            let config = DockerConfig::from_secret(json.as_bytes()).unwrap();
            let Err(error) = config.credentials(&reference("h.example/a")).await else { panic!() };
            let error = error.to_string();
            assert!(error.contains("h.example: `auth` is not") && !error.contains(auth), "{error}");
            assert!(!format!("{config:?}").contains(auth));
        }
    }

    #[tokio::test]
    async fn a_helper_is_named_and_must_be_there() {
        for (helper, named) in [("../../bin/sh", "is no name"), ("is-not-installed", "os error 2")]
        {
            let json = format!(r#"{{ "credHelpers": {{ "h.example": "{helper}" }} }}"#);
            let config: DockerConfig = parse(json.as_bytes()).unwrap();
            let Err(error) = config.credentials(&reference("h.example/a")).await else { panic!() };
            assert!(error.to_string().contains(named), "{error}");
            let secret = DockerConfig::from_secret(json.as_bytes()).unwrap();
            assert_eq!(user_of(&secret, "h.example/a").await, None);
        }
    }

    #[tokio::test]
    async fn a_helper_is_asked_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-test");
        let ask = async |script: &str| {
            let limit = Duration::from_secs(if script.contains("sleep") { 1 } else { 60 });
            let text = folder.path().join("text");
            fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
            // Not written by this process: a program that is still open for writing, be it in a child
            // that another test is starting, cannot be run.
            let mut install = std::process::Command::new("install");
            assert!(
                install.args(["-m", "700"]).args([&text, &program]).status().unwrap().success()
            );
            match ask_helper(program.to_str().unwrap(), "h.example", limit).await {
                Ok(Some(Credentials::Basic { user, password })) => format!("{user}/{password}"),
                Ok(Some(Credentials::IdentityToken(token))) => format!("token {token}"),
                Ok(None) => "none".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        let good = r#"echo "{\"ServerURL\":\"x\",\"Username\":\"$1\",\"Secret\":\"$(cat)\"}""#;
        assert_eq!(ask(good).await, "get/h.example");
        assert_eq!(ask(&good.replace("$1", "<token>")).await, "token h.example");
        let not_found = "echo credentials not found in native keychain; exit 1";
        assert_eq!(ask(not_found).await, "none");
        for (script, named) in [
            ("echo locked; exit 1", "it failed: locked"),
            ("echo hello", "it printed no credentials"),
            ("exec yes", "more than 65536 bytes"),
            ("exec sleep 60", "no answer within 1s"),
        ] {
            let said = ask(script).await;
            assert!(said.contains(named), "{script} gave {said}");
        }
    }
}
