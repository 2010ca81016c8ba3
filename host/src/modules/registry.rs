//! Pulls from a registry, as the distribution specification has it: manifests and blobs, each verified
//! against its digest, behind whatever login the registry asks for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_auth::{ChallengeRef, parse_challenges};
use reqwest::{Client, Response, Url};
use serde::Deserialize;

use super::artifact::MANIFEST_TYPES;
use super::credentials::Credentials;
use super::digest::Digest;
use super::error::{Problem, with_causes};
use super::http::{check_status, get, read_body};
use super::policy::{FetchPolicy, host_of};
use super::source::{OciReference, Version, shown};

/// One repository, for the time of one fetch.
pub(super) struct Repository<'a> {
    client: &'a Client,
    policy: &'a FetchPolicy,
    reference: &'a OciReference,
    manifest_max: usize,
    credentials: Option<Credentials>,
    /// What the registry wants to see, once it has said so.
    authorization: Option<HeaderValue>,
}

/// A manifest as it is stored.
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) json: Vec<u8>,
}

/// What the place answers that gives out tokens.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Repository<'a> {
    /// The one that the reference names. Nothing is contacted yet.
    pub(super) fn new(
        client: &'a Client,
        policy: &'a FetchPolicy,
        reference: &'a OciReference,
        manifest_max: usize,
        credentials: Option<Credentials>,
    ) -> Self {
        Self { client, policy, reference, manifest_max, credentials, authorization: None }
    }

    /// The manifest of a version; none if it is not there.
    pub(super) async fn manifest(
        &mut self,
        version: &Version,
    ) -> Result<Option<Manifest>, Problem> {
        let path = match version {
            Version::Tag(tag) => format!("manifests/{tag}"),
            Version::Digest(digest) => format!("manifests/{digest}"),
        };
        let response = self.get(&path, MANIFEST_TYPES).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        check_status(&response)?;
        let (json, digest) = read_body(response, self.manifest_max).await?;
        match version {
            Version::Digest(asked) if *asked != digest => Err(not_what_was_asked(*asked, digest)),
            _ => Ok(Some(Manifest { digest, json })),
        }
    }

    /// The artifacts that refer to a manifest, as an index; none if the registry cannot tell.
    pub(super) async fn referrers(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, Problem> {
        let response = self.get(&format!("referrers/{digest}"), MANIFEST_TYPES).await?;
        if response.status() != StatusCode::OK {
            return Ok(None);
        }
        Ok(Some(read_body(response, self.manifest_max).await?.0))
    }

    /// A blob of at most `max` bytes.
    pub(super) async fn blob(&mut self, digest: Digest, max: usize) -> Result<Vec<u8>, Problem> {
        let response = self.get(&format!("blobs/{digest}"), "*/*").await?;
        check_status(&response)?;
        let (blob, found) = read_body(response, max).await?;
        if found != digest {
            return Err(not_what_was_asked(digest, found));
        }
        Ok(blob)
    }

    /// Asks once, and once more with what the registry wants to see.
    async fn get(&mut self, path: &str, accept: &'static str) -> Result<Response, Problem> {
        let registry = match &*self.reference.registry {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            registry => registry,
        };
        let scheme =
            if self.policy.is_plain_http(&self.reference.registry) { "http" } else { "https" };
        let url = format!("{scheme}://{registry}/v2/{}/{path}", self.reference.repository);
        let url: Url = url
            .parse()
            .map_err(|error| Problem::permanent(format!("no url of a registry: {url}: {error}")))?;
        let response = self.send(&url, accept).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.authorization = Some(self.authorize(response.headers()).await?);
        self.send(&url, accept).await
    }

    async fn send(&self, url: &Url, accept: &'static str) -> Result<Response, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        get(self.client, url.clone(), headers).await
    }

    /// Answers the challenge of a 401.
    async fn authorize(&self, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
        for value in headers.get_all(header::WWW_AUTHENTICATE) {
            let challenges = value.to_str().ok().and_then(|value| parse_challenges(value).ok());
            for challenge in challenges.unwrap_or_default() {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return self.token(&challenge).await;
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    return match &self.credentials {
                        Some(Credentials::Basic { user, password }) => Ok(basic(user, password)?),
                        _ => Err(Problem::temporary(NEEDS_LOGIN)),
                    };
                }
            }
        }
        Err(Problem::permanent("the registry asks for a login of a kind that is not known here"))
    }

    /// Gets a token for pulling, with credentials if there are any.
    async fn token(&self, challenge: &ChallengeRef<'_>) -> Result<HeaderValue, Problem> {
        let parameter = |name: &str| {
            let mut parameters = challenge.params.iter();
            parameters
                .find(|(it, _)| it.eq_ignore_ascii_case(name))
                .map(|(_, it)| it.to_unescaped())
        };
        let realm = parameter("realm").unwrap_or_default();
        let mut url: Url = realm
            .parse()
            .map_err(|_| Problem::permanent("the registry's login names no url for tokens"))?;
        if url.scheme() != "https" && !self.policy.is_plain_http(&host_of(&url)) {
            return Err(Problem::permanent(format!(
                "the registry sends to {} for a token, which is not encrypted",
                shown(&url)
            )));
        }
        let pull = || format!("repository:{}:pull", self.reference.repository);
        let scope = parameter("scope").unwrap_or_else(pull);
        let mut query = vec![("scope", &*scope)];
        let service = parameter("service");
        query.extend(service.as_deref().map(|service| ("service", service)));
        let answer = match &self.credentials {
            Some(Credentials::IdentityToken(token)) => {
                query.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "informerd"),
                    ("refresh_token", token),
                ]);
                let body =
                    form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
                let post = self.client.post(url).body(body);
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                let sent = post.header(header::CONTENT_TYPE, form).send().await;
                sent.map_err(|error| Problem::temporary(with_causes(&error.without_url())))
            }
            credentials => {
                url.query_pairs_mut().extend_pairs(query);
                let mut headers = HeaderMap::new();
                if let Some(Credentials::Basic { user, password }) = credentials {
                    headers.insert(header::AUTHORIZATION, basic(user, password)?);
                }
                get(self.client, url, headers).await
            }
        };
        let about = |problem: Problem| problem.about("the registry's login");
        let answer = answer.map_err(about)?;
        check_status(&answer).map_err(about)?;
        let (body, _) = read_body(answer, TOKEN_MAX).await.map_err(about)?;
        let no_token = || Problem::permanent("the registry's login gives no token");
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let token = answer.token.or(answer.access_token).ok_or_else(no_token)?;
        secret_header(&format!("Bearer {token}"))
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Problem> {
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

/// A header that no log shows.
fn secret_header(text: &str) -> Result<HeaderValue, Problem> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| Problem::permanent("the registry's token is no text for a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn not_what_was_asked(asked: Digest, found: Digest) -> Problem {
    Problem::permanent(format!("the registry sent {found} when it was asked for {asked}"))
}

const NEEDS_LOGIN: &str = "the registry asks for a user and a password: give \
    spec.module.imagePullSecret, or log the host in (docker config)";

const TOKEN_MAX: usize = 64 << 10;
