//! Bounded HTTP: encrypted unless the operator says otherwise, few redirects, and no body is read past
//! its limit.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};

use super::digest::{Digest, Hasher};
use super::error::{Problem, with_causes};
use super::fetch::FetchLimits;
use super::policy::{FetchPolicy, host_of};
use super::source::shown;

/// Makes the client of all fetches. Nothing is contacted yet.
pub(super) fn client(policy: &Arc<FetchPolicy>, limits: &FetchLimits) -> Result<Client, Problem> {
    let named =
        |error: reqwest::Error| Problem::permanent(format!("no TLS: {}", with_causes(&error)));
    let certificates: Vec<Certificate> = policy
        .certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<_, _>>()
        .map_err(named)?;
    let mut headers = HeaderMap::new();
    // A compressed body could grow past every limit; one that comes all the same is refused.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Client::builder()
        .user_agent(concat!("informerd/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .tls_certs_merge(certificates)
        .redirect(redirects(policy.clone()))
        .connect_timeout(limits.connect)
        .build()
        .map_err(named)
}

/// Credentials stay behind when a redirect leads to another host: reqwest sees to that.
fn redirects(policy: Arc<FetchPolicy>) -> Policy {
    Policy::custom(move |attempt| {
        let to = attempt.url();
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error(format!("it redirects more than {REDIRECTS_MAX} times"));
        }
        if to.scheme() == "https" || policy.is_plain_http(&host_of(to)) {
            return attempt.follow();
        }
        let problem = format!("it redirects to {}, which is not encrypted", shown(to));
        attempt.error(problem)
    })
}

/// Asks for a url; gives the answer whatever its status is.
pub(super) async fn get(
    client: &Client,
    url: Url,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    client.get(url).headers(headers).send().await.map_err(problem)
}

/// What the status means when it is not 200.
pub(super) fn check_status(response: &Response) -> Result<(), Problem> {
    let status = response.status();
    Err(match status {
        StatusCode::OK => return Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::temporary(format!(
            "access is denied ({status}): give credentials that may read it (for a registry, \
             spec.module.imagePullSecret or the host's docker config)"
        )),
        StatusCode::NOT_FOUND => Problem::temporary(format!("it is not there ({status})")),
        _ if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) =>
        {
            Problem::temporary(format!("the server answers {status}"))
        }
        _ => Problem::permanent(format!("the server answers {status}")),
    })
}

/// Reads a body of at most `max` bytes, and hashes it on the way. What is longer is refused as soon as
/// that is known.
pub(super) async fn read_body(
    mut response: Response,
    max: usize,
) -> Result<(Vec<u8>, Digest), Problem> {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    if let Some(encoding) = encoding.filter(|it| *it != "identity") {
        return Err(Problem::permanent(format!(
            "it comes compressed ({encoding:?}), and was asked for as it is"
        )));
    }
    let too_long = || Problem::permanent(format!("it is longer than {max} bytes"));
    let said = response.content_length().map(usize::try_from);
    if said.is_some_and(|said| said.is_err() || said.is_ok_and(|said| said > max)) {
        return Err(too_long());
    }
    let (mut body, mut hasher) = (Vec::new(), Hasher::new());
    while let Some(chunk) = response.chunk().await.map_err(problem)? {
        if chunk.len() > max - body.len() {
            return Err(too_long());
        }
        hasher.update(&chunk);
        body.extend_from_slice(&chunk);
    }
    Ok((body, hasher.finish()))
}

/// Without the url, which may hold what grants access.
fn problem(error: reqwest::Error) -> Problem {
    let error = error.without_url();
    let is_retryable = !error.is_redirect() && !error.is_builder();
    let text = match (error.is_connect(), error.is_timeout()) {
        (_, true) => "the server does not answer in time".to_owned(),
        (true, false) => {
            let causes = with_causes(&error);
            let hint = match causes.contains("InvalidContentType") {
                true => {
                    ": it does not speak TLS; plainHttp in the file of --module-policy allows that"
                }
                false => "",
            };
            format!("the server cannot be reached: {causes}{hint}")
        }
        (false, false) => with_causes(&error),
    };
    Problem { text, is_retryable }
}

const REDIRECTS_MAX: usize = 5;
