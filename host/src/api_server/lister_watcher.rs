//! [`ListerWatcher`] over [`kube::Client`]: paths, queries, bytes and statuses.

use std::future::ready;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use informer::{
    ListOptions, ListPage, ListerWatcher, ListerWatcherError, WatchEvent, WatchOptions,
};
use kube::Client;
use kube::api::DynamicObject;
use kube::client::Body;
use tokio::task::spawn_blocking;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::io::StreamReader;

use super::resource::WatchedResource;
use super::{decode, with_sources};

/// Lists and watches one resource of an API server.
pub struct ApiListerWatcher {
    client: Client,
    resource: WatchedResource,
}

impl ApiListerWatcher {
    /// The client must not retry by itself: the reflector does.
    pub fn new(client: Client, resource: WatchedResource) -> Self {
        Self { client, resource }
    }

    fn request(&self, query: &[(&str, &str)]) -> Result<Request<Body>, ListerWatcherError> {
        use kube::Resource;
        let WatchedResource { kind, namespace, label_selector, field_selector, .. } =
            &self.resource;
        let mut uri = DynamicObject::url_path(kind, namespace.as_deref());
        let selectors = [("labelSelector", label_selector), ("fieldSelector", field_selector)];
        let selectors = selectors.iter().map(|(name, selector)| (*name, selector.as_str()));
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query.iter().copied().chain(selectors).filter(|(_, it)| !it.is_empty()));
        uri.push('?');
        uri.push_str(&pairs.finish());
        Request::get(uri)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| ListerWatcherError::Unavailable(error.to_string()))
    }

    async fn send(&self, query: &[(&str, &str)]) -> Result<Response<Body>, ListerWatcherError> {
        let response = self.client.send(self.request(query)?).await.map_err(request_error)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = Limited::new(response.into_body(), STATUS_BODY_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(decode::status_error(status, retry_after, &body))
    }
}

impl ListerWatcher for ApiListerWatcher {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        let limit = options.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let continue_token = options.continue_token.as_deref().unwrap_or_default();
        let response = self
            .send(&[
                ("resourceVersion", &options.resource_version),
                ("limit", &limit),
                ("continue", continue_token),
            ])
            .await?;
        let body = Limited::new(response.into_body(), LIST_BODY_MAX).collect().await;
        let body = body.map_err(|error| {
            ListerWatcherError::Unavailable(match error.downcast_ref::<LengthLimitError>() {
                Some(_) => format!("a page of the list is larger than {LIST_BODY_MAX} bytes"),
                None => format!("the list was cut off: {error}"),
            })
        })?;
        let (body, kind) = (body.to_bytes(), self.resource.kind.clone());
        // A second for each gigabyte: others need the thread meanwhile.
        let decoding = spawn_blocking(move || decode::list_page(&body, (&kind).into()));
        decoding.await.unwrap_or_else(|error| {
            Err(ListerWatcherError::Unavailable(format!("the list was not read: {error}")))
        })
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        let timeout = options.timeout_seconds.to_string();
        let initial_events: &[_] = match options.send_initial_events {
            true => &[("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")],
            false => &[],
        };
        let query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &timeout),
            ("resourceVersion", &options.resource_version),
        ];
        let response = self.send(&[&query, initial_events].concat()).await?;
        let body = response.into_body().into_data_stream().map_err(io::Error::other);
        let lines =
            FramedRead::with_capacity(StreamReader::new(body), Lines::default(), READ_BUFFER);
        // A connection that breaks ends the stream: the reflector resumes where it was.
        let events = lines.take_while(|line| {
            if let Err(FrameError::Io(error)) = line {
                tracing::debug!(%error, "the watch was cut off");
            }
            ready(!matches!(line, Err(FrameError::Io(_))))
        });
        let kind = self.resource.kind.clone();
        Ok(events
            .try_filter(|line| ready(!line.trim_ascii().is_empty()))
            .map(move |line| match line {
                Ok(line) => decode::watch_event(&line, (&kind).into()),
                Err(error) => Err(ListerWatcherError::Unavailable(error.to_string())),
            })
            .boxed())
    }
}

/// Splits a watch into its lines. A last line that the server did not finish is dropped: the event
/// comes again when the watch is resumed.
#[derive(Default)]
struct Lines {
    /// This much of the buffer holds no line end.
    scanned: usize,
}

#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("an event is larger than {FRAME_MAX} bytes")]
    TooLong,
}

impl Decoder for Lines {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        if let Some(end) = memchr::memchr(b'\n', &buffer[self.scanned..]) {
            let line = buffer.split_to(self.scanned + end).freeze();
            buffer.advance(1);
            self.scanned = 0;
            return Ok(Some(line));
        }
        self.scanned = buffer.len();
        if self.scanned > FRAME_MAX { Err(FrameError::TooLong) } else { Ok(None) }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let line = self.decode(buffer)?;
        if line.is_none() {
            buffer.clear();
            self.scanned = 0;
        }
        Ok(line)
    }
}

/// No answer came, so nothing is known to be lost: a watch goes on where it was.
///
/// client-go retries such a request by itself (HT-4, HT-5).
fn request_error(error: kube::Error) -> ListerWatcherError {
    let is_transport = matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_));
    let message = with_sources(&error);
    match is_transport {
        true => ListerWatcherError::NoConnection(message),
        false => ListerWatcherError::Unavailable(message),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A single object is at most a few MB in etcd; this leaves room for odd servers.
const FRAME_MAX: usize = 16 << 20;

/// A list from the watch cache comes unpaged: 150,000 pods of 7 KB are 1 GB.
const LIST_BODY_MAX: usize = 4 << 30;

const STATUS_BODY_MAX: usize = 64 << 10;

/// One read takes in about ten pods.
const READ_BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests;
