//! The paths of the admin API, and what one has to be allowed for each.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use tokio::sync::Semaphore;

use super::access::{Operation, checked};
use super::refusal::Refusal;
use super::token_review::TokenReviewer;
use super::{cache_routes, handler_routes};
use crate::guest::HandlerLogs;
use crate::handlers::HandlerRegistry;

/// What the routes work on. Clones are the same.
#[derive(Clone)]
pub(super) struct Admin(Arc<Shared>);

struct Shared {
    handlers: Arc<HandlerRegistry>,
    logs: HandlerLogs,
    reviewer: Option<TokenReviewer>,
    followers: Arc<Semaphore>,
}

impl Admin {
    /// Without a reviewer, nobody but local users is known.
    pub(super) fn new(
        handlers: Arc<HandlerRegistry>,
        logs: HandlerLogs,
        reviewer: Option<TokenReviewer>,
    ) -> Self {
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        Self(Arc::new(Shared { handlers, logs, reviewer, followers }))
    }

    pub(super) fn handlers(&self) -> &HandlerRegistry {
        &self.0.handlers
    }

    pub(super) fn logs(&self) -> &HandlerLogs {
        &self.0.logs
    }

    pub(super) fn reviewer(&self) -> Result<&TokenReviewer, Refusal> {
        let unknown = || Refusal::unauthorized("tokens are not reviewed here");
        self.0.reviewer.as_ref().ok_or_else(unknown)
    }

    /// Logs that are followed at a time.
    pub(super) fn followers(&self) -> &Arc<Semaphore> {
        &self.0.followers
    }
}

/// Every path. There is no route without an [`Operation`].
pub(super) fn router(admin: Admin) -> Router {
    let on = |operation: Operation, route: MethodRouter<Admin>| {
        route.route_layer(from_fn_with_state((admin.clone(), operation), checked))
    };
    let op = Operation::new;
    let one = "/v1/handlers/{name}";
    let of_one = |path: &str| format!("{one}{path}");
    Router::new()
        .route("/v1/handlers", on(op("list", "list", ""), get(handler_routes::list)))
        .route("/v1/handlers", on(op("load", "create", ""), post(handler_routes::load)))
        .route(one, on(op("describe", "get", ""), get(handler_routes::describe)))
        .route(one, on(op("unload", "delete", ""), delete(handler_routes::unload)))
        .route(&of_one("/pause"), on(op("pause", "update", ""), post(handler_routes::pause)))
        .route(&of_one("/resume"), on(op("resume", "update", ""), post(handler_routes::resume)))
        .route(&of_one("/reload"), on(op("reload", "update", ""), post(handler_routes::reload)))
        .route(&of_one("/log"), on(op("logs", "get", "log"), get(handler_routes::log)))
        .route(
            "/v1/dead-letters",
            on(op("list dead letters", "list", "deadletters"), get(handler_routes::dead_letters)),
        )
        .route(
            &of_one("/dead-letters"),
            on(op("list dead letters", "get", "deadletters"), get(handler_routes::dead_letters_of)),
        )
        .route(
            &of_one("/dead-letters/retry"),
            on(op("retry", "update", "deadletters"), post(handler_routes::retry)),
        )
        .route(
            &of_one("/dead-letters"),
            on(op("purge", "delete", "deadletters"), delete(handler_routes::purge)),
        )
        .route(
            "/v1/informers",
            on(op("list informers", "list", "informers"), get(cache_routes::informers)),
        )
        .route("/v1/cache", on(op("get", "get", "cache"), get(cache_routes::get)))
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(admin)
}

async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!("{} is not served here", uri.path()))
}

/// A path is the largest thing that is sent.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Each holds a connection for as long as it likes.
const FOLLOWERS_MAX: usize = 16;
