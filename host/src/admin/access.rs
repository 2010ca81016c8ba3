//! Who asks, whether they may, and the audit: one log line for each change, done or refused.
//!
//! Over the socket, whoever may connect may do everything: the host's own user, and root. Over TCP, the
//! owner of a bearer token may do what the cluster's RBAC says for the operation on
//! `handlers.informerd.dev`.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::refusal::Refusal;
use super::routes::Admin;
use super::token_review::User;

/// Where a request comes from; in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// Over the socket, from a process of this user, who may connect.
    Local {
        uid: u32,
    },
    Tcp(SocketAddr),
}

/// Who asks; in the extensions of every request that is permitted.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Local { uid: u32 },
    Remote { user: User, from: SocketAddr },
}

/// What a route does, in RBAC's words: a verb on `handlers`, or on a subresource of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// In the audit.
    pub(super) action: &'static str,
    pub(super) verb: &'static str,
    /// Empty: the handlers themselves.
    pub(super) subresource: &'static str,
}

/// In a response's extensions: what was loaded, since the path does not say so.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) file: String,
    /// If the file says one.
    pub(super) handler: Option<String>,
}

impl Operation {
    pub(super) const fn new(
        action: &'static str,
        verb: &'static str,
        subresource: &'static str,
    ) -> Self {
        Self { action, verb, subresource }
    }

    fn changes_something(self) -> bool {
        !matches!(self.verb, "get" | "list")
    }

    /// `namespace/name` is the handler of a custom resource; its namespace's roles count.
    fn attributes(self, handler: Option<&str>) -> ResourceAttributes {
        let (namespace, name) = match handler.map(|it| it.split_once('/').ok_or(it)) {
            None => (None, None),
            Some(Ok((namespace, name))) => (Some(namespace), Some(name)),
            Some(Err(name)) => (None, Some(name)),
        };
        ResourceAttributes {
            group: Some(RBAC_GROUP.to_owned()),
            resource: Some("handlers".to_owned()),
            subresource: Some(self.subresource.to_owned()).filter(|it| !it.is_empty()),
            verb: Some(self.verb.to_owned()),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            ..ResourceAttributes::default()
        }
    }
}

impl Admin {
    async fn caller(&self, peer: Peer, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let from = match peer {
            Peer::Local { uid } => return Ok(Caller::Local { uid }),
            Peer::Tcp(from) => from,
        };
        let token = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let token = token.and_then(|it| it.split_once(' '));
        match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Caller::Remote { user: self.reviewer()?.user_of(token.trim()).await?, from })
            }
            _ => Err(Refusal::unauthorized("a bearer token is needed (--token-file)")),
        }
    }

    /// Whether the caller may do something in the cluster's words.
    pub(super) async fn check(
        &self,
        caller: &Caller,
        asked: ResourceAttributes,
    ) -> Result<(), Refusal> {
        match caller {
            Caller::Local { .. } => Ok(()),
            Caller::Remote { user, .. } => self.reviewer()?.check(user, asked).await,
        }
    }
}

/// In front of every route.
pub(super) async fn checked(
    State((admin, operation)): State<(Admin, Operation)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let handler = params.iter().find(|(name, _)| *name == "name").map(|(_, it)| it.to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let uri = request.uri().clone();
    let respond = async move {
        let caller = match peer {
            Some(peer) => admin.caller(peer, request.headers()).await,
            None => Err(Refusal::unauthorized("nobody knows where this request comes from")),
        };
        let permitted = match &caller {
            Err(refusal) => Err(refusal.clone()),
            Ok(caller) => {
                let asked = operation.attributes(handler.as_deref());
                admin.check(caller, asked).await.map(|()| caller)
            }
        };
        let response = match permitted {
            Ok(caller) => {
                request.extensions_mut().insert(caller.clone());
                next.run(request).await
            }
            Err(refusal) => refusal.into_response(),
        };
        // Of those whom nobody knows there may be any number.
        if let Ok(caller) = &caller
            && operation.changes_something()
        {
            let loaded = response.extensions().get::<Loaded>();
            let handler = handler.or_else(|| loaded?.handler.clone());
            let key = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .find_map(|(name, value)| (name == "key").then_some(value));
            let outcome = match response.extensions().get::<Refusal>() {
                None if response.status() == StatusCode::OK => "ok",
                None => "refused",
                Some(refusal) => &refusal.reason,
            };
            tracing::info!(
                target: AUDIT_LOG,
                who = caller.to_string(),
                action = operation.action,
                handler,
                file = loaded.map(|loaded| &*loaded.file),
                key = key.as_deref(),
                outcome,
                "admin"
            );
        }
        response
    };
    if !operation.changes_something() {
        return respond.await;
    }
    // On a task of its own: whoever hangs up must not leave it half done, or out of the audit.
    match tokio::spawn(respond).await {
        Ok(response) => response,
        Err(error) => {
            let reason = format!("it ended early: {error}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason).into_response()
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => write!(f, "uid {uid}"),
            Self::Remote { user, from } => write!(f, "{user}, from {from}"),
        }
    }
}

/// The API group whose `handlers` the roles are about.
const RBAC_GROUP: &str = "informerd.dev";

/// The log target of the audit.
const AUDIT_LOG: &str = "audit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_of_a_custom_resource_is_a_matter_of_its_namespace() {
        let attributes = Operation::new("logs", "get", "log").attributes(Some("prod/a"));
        assert_eq!(attributes.namespace.as_deref(), Some("prod"));
        assert_eq!(attributes.name.as_deref(), Some("a"));
        assert_eq!(attributes.subresource.as_deref(), Some("log"));
        let attributes = Operation::new("pause", "update", "").attributes(Some("a"));
        assert_eq!((attributes.namespace, attributes.subresource), (None, None));
        assert_eq!(Operation::new("list", "list", "").attributes(None).name, None);
    }
}
