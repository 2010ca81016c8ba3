//! A client of an API server between which and the server somebody stands who answers some requests in the server's
//! place, or keeps them for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::watch;
use tower::service_fn;

/// What becomes of the requests of some sort.
#[derive(Clone)]
pub struct Faults {
    method: Method,
    /// What the path ends with.
    path: &'static str,
    shared: Arc<Mutex<Shared>>,
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Shared {
    answers: VecDeque<StatusCode>,
    asked: Vec<Instant>,
}

impl Faults {
    /// The next requests are answered so; those after them reach the server.
    pub fn answering(
        method: Method,
        path: &'static str,
        answers: impl IntoIterator<Item = StatusCode>,
    ) -> Self {
        let shared = Shared { answers: answers.into_iter().collect(), asked: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        Self { method, path, shared, held: watch::Sender::new(false) }
    }

    /// They do not reach the server before [`Faults::release`].
    pub fn holding(method: Method, path: &'static str) -> Self {
        let this = Self::answering(method, path, []);
        this.held.send_replace(true);
        this
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// When they came.
    pub fn asked(&self) -> Vec<Instant> {
        self.shared().asked.clone()
    }

    /// A client of the same server, all whose requests come by here.
    pub fn before(&self, server: Client) -> Client {
        let this = self.clone();
        let namespace = server.default_namespace().to_owned();
        let service = service_fn(move |request: Request<Body>| {
            let (this, server) = (this.clone(), server.clone());
            async move {
                let is_met =
                    *request.method() == this.method && request.uri().path().ends_with(this.path);
                let answer = if is_met { this.meet().await } else { None };
                match answer {
                    Some(answer) => Ok(answer),
                    None => server.send(request).await,
                }
            }
        });
        Client::new(service, namespace)
    }

    /// What a request is answered in the server's place, if it is.
    async fn meet(&self) -> Option<Response<Body>> {
        let code = {
            let mut shared = self.shared();
            shared.asked.push(Instant::now());
            shared.answers.pop_front()
        };
        // The sender is in `self`.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let code = code?;
        let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "as the test says", "reason": "", "code": code.as_u16() });
        let body = Body::from(status.to_string().into_bytes());
        Some(Response::builder().status(code).body(body).expect("a good answer"))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
