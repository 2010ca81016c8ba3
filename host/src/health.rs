//! Health, readiness and metrics over HTTP, on loopback unless told otherwise.
//!
//! `/healthz`: the process answers. `/readyz`: all handlers are known, and every one that can run has handled its
//! initial lists; the body says how each stands. `/metrics`: Prometheus' text format.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::handlers::{HandlerRegistry, HandlerState};
use crate::metrics;

/// The running endpoint; dropping it ends it.
pub(crate) struct HealthServer {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl HealthServer {
    /// Port 0 takes a free one.
    pub(crate) async fn start(
        address: SocketAddr,
        handlers: Arc<HandlerRegistry>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} (choose another with --http)"))?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(prometheus))
            .with_state(handlers);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = serve(listener, router).await {
                tracing::error!(%error, "health, readiness and metrics are not served any more");
            }
        });
        Ok(Self { address, _task: task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn readyz(State(handlers): State<Arc<HandlerRegistry>>) -> impl IntoResponse {
    let mut body = String::new();
    for (source, state) in handlers.sources_to_come() {
        let _ = writeln!(body, "{source}: {}", shown(&state, false));
    }
    for status in handlers.statuses() {
        let state = shown(&status.state, status.has_synced);
        let next = status.replacement.as_ref().and_then(HandlerState::problem);
        let next = next.map(|problem| format!("; the next generation is not: {problem}"));
        let next = next.unwrap_or_default();
        let _ = writeln!(body, "handler {}: {state}{next}", status.name);
    }
    for (resource, informer) in handlers.informers() {
        let status = informer.status().borrow().clone();
        let state = match &status.failure {
            Some(failure) => format!("{} fails: {}", failure.phase, failure.error),
            None => format!("{} of {} objects", status.phase, informer.lister().len()),
        };
        let _ = writeln!(body, "informer {resource}: {state}");
    }
    let (code, verdict) = match handlers.is_ready() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, format!("{verdict}\n{body}"))
}

fn shown(state: &HandlerState, has_synced: bool) -> String {
    match state {
        HandlerState::Loading => "loading".to_owned(),
        HandlerState::Unreachable(problem)
        | HandlerState::UnknownKind(problem)
        | HandlerState::UnknownSecret(problem) => format!("waiting: {problem}"),
        HandlerState::Forbidden(problem) => format!("forbidden: {problem}"),
        HandlerState::Running if has_synced => "synced".to_owned(),
        HandlerState::Running => "handling its initial lists".to_owned(),
        HandlerState::Failed(problem) => format!("failed: {problem}"),
        HandlerState::Quarantined(reason) => format!("in quarantine: {reason}"),
    }
}

async fn prometheus(State(handlers): State<Arc<HandlerRegistry>>) -> impl IntoResponse {
    let mut body = String::new();
    let registry = metrics::registry(handlers);
    match prometheus_client::encoding::text::encode(&mut body, &registry) {
        Ok(()) => {
            let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, text)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
