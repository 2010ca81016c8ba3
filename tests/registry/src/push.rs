//! Pushes to a registry, as the distribution specification has it: each blob in two requests, then the
//! manifest.

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::{Body, Client, RequestBuilder, header};

/// One repository of a registry, to be filled.
pub struct Pusher {
    client: Client,
    /// `http://127.0.0.1:PORT/v2/NAME`.
    url: String,
    login: Option<(String, String)>,
}

impl Pusher {
    /// For the repository at `url`, `SCHEME://HOST/v2/NAME`.
    pub fn new(client: Client, url: String, login: Option<(&str, &str)>) -> Self {
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Self { client, url, login }
    }

    /// Pushes a blob; gives its digest. Panics if it is refused.
    pub async fn blob(&self, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let begun = self.send(self.client.post(format!("{}/blobs/uploads/", self.url))).await;
        let location = begun.headers()[header::LOCATION].to_str().expect("a url").to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let upload = self.client.put(format!("{location}{separator}digest={digest}"));
        self.send(upload.body(Body::from(bytes.to_vec()))).await;
        digest
    }

    /// Pushes a manifest, at a tag or its digest; gives its digest. Panics if it is refused.
    pub async fn manifest(&self, reference: &str, media_type: &str, json: &[u8]) -> String {
        let put = self.client.put(format!("{}/manifests/{reference}", self.url));
        let put = put.header(header::CONTENT_TYPE, media_type.to_owned());
        self.send(put.body(Body::from(json.to_vec()))).await;
        sha256(json)
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Response {
        let request = match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let response = request.send().await.expect("the registry answers");
        let (status, url) = (response.status(), response.url().clone());
        if !status.is_success() {
            panic!("{url}: {status}: {}", response.text().await.unwrap_or_default());
        }
        response
    }
}

/// As it stands in manifests.
pub fn sha256(bytes: &[u8]) -> String {
    let digits = digest(&SHA256, bytes);
    let digits: String = digits.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
