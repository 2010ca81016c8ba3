//! HTTP: from a request's method, path, query and body to an answer.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query as UrlQuery, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::discovery;
use crate::list::{ListOptions, Query, is_true, list};
use crate::patch::{Patch, from_yaml};
use crate::status::Status;
use crate::storage::{Object, ObjectKey, Storage, Target};
use crate::view::View;
use crate::watch::{Watch, WatchSettings};
use crate::writes::Part;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) storage: Storage,
    pub(crate) address: String,
    pub(crate) watch_settings: WatchSettings,
}

/// A request for objects, taken apart.
struct ObjectsRequest {
    target: Target,
    part: Part,
    /// Whether the path has a namespace, or the resource has none.
    in_scope: bool,
    query: Query,
    view: View,
    content_type: String,
    body: Bytes,
}

pub(crate) fn router(server: Server) -> Router {
    Router::new().fallback(handle).with_state(server)
}

async fn handle(Shared(server): Shared<Server>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = server.answer(request).await.unwrap_or_else(Status::into_response);
    tracing::debug!(%method, %uri, status = response.status().as_u16(), "answered");
    response
}

impl Server {
    async fn answer(&self, request: Request) -> Result<Response, Status> {
        let (parts, body) = request.into_parts();
        let path = path(&parts.uri)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (group, version, rest) = match path[..] {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return self.describe(&parts, &path),
        };
        if rest.is_empty() {
            return self.describe(&parts, &path);
        }
        if (group, version, rest) == ("authorization.k8s.io", "v1", &["subjectaccessreviews"]) {
            return review_access(&parts.method, body).await;
        }
        let request = self.objects_request(&parts, group, version, rest)?;
        let body = to_bytes(body, BODY_MAX).await;
        let body = body.map_err(|_| Status::body_too_large(BODY_MAX))?;
        self.answer_about(&parts.method, ObjectsRequest { body, ..request })
    }

    /// Discovery and health.
    fn describe(&self, parts: &Parts, path: &[&str]) -> Result<Response, Status> {
        let accept = header_text(&parts.headers, header::ACCEPT);
        let aggregated = accept.split(',').any(|it| it.trim() == AGGREGATED);
        let state = self.storage.lock();
        let resources = &state.resources;
        let document = match *path {
            ["healthz" | "livez" | "readyz", ..] => return Ok("ok".into_response()),
            ["version"] => Some(discovery::version()),
            ["api" | "apis"] if aggregated => {
                let document = discovery::aggregated(resources, path == ["api"]).to_string();
                return Ok(response_of(AGGREGATED, StatusCode::OK, document));
            }
            ["api"] => Some(discovery::core_versions(&self.address)),
            ["apis"] => Some(discovery::groups(resources)),
            ["apis", group] => discovery::group(resources, group),
            ["api", version] => discovery::resource_list(resources, "", version),
            ["apis", group, version] => discovery::resource_list(resources, group, version),
            ["openapi", "v3"] => Some(discovery::openapi_index(resources)),
            ["openapi", "v3", ref path @ ..] => discovery::openapi(resources, &path.join("/")),
            _ => None,
        };
        let document = document.ok_or_else(Status::unknown_path)?;
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Status::method_not_allowed());
        }
        Ok(json_response(StatusCode::OK, document.to_string()))
    }

    fn objects_request(
        &self,
        parts: &Parts,
        group: &str,
        version: &str,
        rest: &[&str],
    ) -> Result<ObjectsRequest, Status> {
        let (namespace, plural, rest) = match *rest {
            // A namespace's own subresources have the shape of a namespaced collection.
            ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => {
                (None, "namespaces", &rest[1..])
            }
            ["namespaces", namespace, plural, ref rest @ ..] => (Some(namespace), plural, rest),
            [plural, ref rest @ ..] => (None, plural, rest),
            [] => return Err(Status::unknown_path()),
        };
        let resource = self.storage.lock().resources.find(group, version, plural);
        let resource = resource.ok_or_else(Status::unknown_path)?;
        if namespace.is_some() && !resource.namespaced {
            return Err(Status::unknown_path());
        }
        let (name, part) = match *rest {
            [] => ("", Part::Object),
            [name] => (name, Part::Object),
            [name, "status"] if resource.has_status => (name, Part::Status),
            _ => return Err(Status::unknown_path()),
        };
        let query = UrlQuery::<Query>::try_from_uri(&parts.uri);
        let UrlQuery(query) = query.map_err(|error| Status::bad_request(error.body_text()))?;
        let namespace = namespace.unwrap_or_default().to_owned();
        Ok(ObjectsRequest {
            part,
            in_scope: !resource.namespaced || !namespace.is_empty(),
            query,
            view: View::new(&resource, header_text(&parts.headers, header::ACCEPT)),
            content_type: media_type(&parts.headers),
            target: Target { resource, key: ObjectKey { namespace, name: name.to_owned() } },
            body: Bytes::new(),
        })
    }

    fn answer_about(&self, method: &Method, request: ObjectsRequest) -> Result<Response, Status> {
        let named = !request.target.key.name.is_empty();
        if named && !request.in_scope {
            return Err(Status::unknown_path());
        }
        if method != Method::GET && request.query.contains_key("dryRun") {
            return Err(Status::bad_request("dryRun is not supported by this server"));
        }
        match (method, named, request.part) {
            (&Method::GET, false, _) => self.list_or_watch(request),
            (&Method::GET, true, _) if request.is_watch() => self.watch_one(request),
            (&Method::GET, true, _) => self.get(&request),
            (&Method::POST, false, _) if request.in_scope => self.create(&request),
            (&Method::PUT, true, _) => self.update(&request),
            (&Method::PATCH, true, _) => self.patch(&request),
            (&Method::DELETE, true, Part::Object) => self.delete(&request),
            (&Method::DELETE, false, _) if request.in_scope => self.delete_collection(&request),
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn list_or_watch(&self, request: ObjectsRequest) -> Result<Response, Status> {
        let ObjectsRequest { target, query, view, .. } = &request;
        let options = ListOptions::parse(query, &target.key.namespace)?;
        if !request.is_watch() {
            let page = list(&self.storage, &target.resource, &options, view)?;
            return Ok(json_response(StatusCode::OK, page));
        }
        let resource = target.resource.clone();
        let settings = &self.watch_settings;
        let events = Watch::open(&self.storage, resource, options, request.view, settings)?;
        Ok(json_response(StatusCode::OK, events))
    }

    /// A watch on one object is a watch on its collection, selected by name.
    fn watch_one(&self, mut request: ObjectsRequest) -> Result<Response, Status> {
        let name = std::mem::take(&mut request.target.key.name);
        request.query.insert("fieldSelector".to_owned(), format!("metadata.name={name}"));
        self.list_or_watch(request)
    }

    fn get(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let ObjectsRequest { target, .. } = request;
        let object = self.storage.lock().get(target);
        let object = object.ok_or_else(|| Status::not_found(&target.resource, &target.key.name))?;
        request.show(StatusCode::OK, &object)
    }

    fn create(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let body = request.object()?;
        let object = self.storage.lock().create(&request.target, body, request.part)?;
        request.show(StatusCode::CREATED, &object)
    }

    fn update(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let body = request.object()?;
        let object = self.storage.lock().update(&request.target, body, request.part)?;
        request.show(StatusCode::OK, &object)
    }

    fn patch(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let manager = request.query.get("fieldManager").map_or("", String::as_str);
        let patch = Patch::parse(&request.content_type, manager, &request.body)?;
        let patched = self.storage.lock().patch(&request.target, &patch, request.part);
        let (object, created) = patched?;
        request.show(if created { StatusCode::CREATED } else { StatusCode::OK }, &object)
    }

    fn delete(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let (options, target) = (request.delete_options()?, &request.target);
        let (object, gone) = self.storage.lock().delete(target, &options)?;
        if !gone {
            return request.show(StatusCode::OK, &object);
        }
        let details = json!({
            "name": target.key.name, "group": target.resource.group,
            "kind": target.resource.plural, "uid": object["metadata"]["uid"],
        });
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details,
        });
        Ok(json_response(StatusCode::OK, status.to_string()))
    }

    /// Answers with what was deleted, as a list.
    fn delete_collection(&self, request: &ObjectsRequest) -> Result<Response, Status> {
        let (target, delete_options) = (&request.target, request.delete_options()?);
        let options = ListOptions::parse(&request.query, &target.key.namespace)?;
        let mut state = self.storage.lock();
        let page = state.list(&target.resource, &options)?;
        for object in &page.items {
            let text = |field| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let key = ObjectKey { namespace: text("namespace"), name: text("name") };
            // What went with an earlier one, as a namespace's objects do, is gone already.
            let target = Target { resource: target.resource.clone(), key };
            if state.get(&target).is_some() {
                state.delete(&target, &delete_options)?;
            }
        }
        drop(state);
        let page = page.to_json(&request.view).map_err(internal)?;
        Ok(json_response(StatusCode::OK, page))
    }
}

impl ObjectsRequest {
    fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|it| is_true(it))
    }

    fn object(&self) -> Result<Value, Status> {
        match self.content_type.as_str() {
            "" | "application/json" => serde_json::from_slice(&self.body).map_err(|error| {
                Status::bad_request(format!("the body is not valid JSON: {error}"))
            }),
            "application/yaml" => from_yaml(&self.body),
            other => {
                let supported = "application/json, application/yaml";
                Err(Status::unsupported_media_type(other, supported))
            }
        }
    }

    fn delete_options(&self) -> Result<Value, Status> {
        let options = if self.body.is_empty() { Value::Null } else { self.object()? };
        if options.get("dryRun").is_some_and(|it| !it.is_null()) {
            return Err(Status::bad_request("dryRun is not supported by this server"));
        }
        Ok(options)
    }

    fn show(&self, code: StatusCode, object: &Object) -> Result<Response, Status> {
        let json = serde_json::to_vec(&self.view.of(object)).map_err(internal)?;
        Ok(json_response(code, json))
    }
}

/// Everybody may do everything here, as who asks about others may learn.
async fn review_access(method: &Method, body: Body) -> Result<Response, Status> {
    if method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let body = to_bytes(body, BODY_MAX).await.map_err(|_| Status::body_too_large(BODY_MAX))?;
    let review = serde_json::from_slice::<Value>(&body).ok().filter(|it| it["spec"].is_object());
    let mut review = review.ok_or_else(|| Status::bad_request("the body is no review"))?;
    review["status"] = json!({ "allowed": true, "reason": "this server knows no authorization" });
    Ok(json_response(StatusCode::CREATED, review.to_string()))
}

fn internal(error: serde_json::Error) -> Status {
    Status::internal(error.to_string())
}

/// The path's segments, decoded; a slash at the end is none.
fn path(uri: &Uri) -> Result<Vec<String>, Status> {
    let segments = uri.path().split('/').filter(|it| !it.is_empty());
    let decoded = segments.map(|it| percent_decode_str(it).decode_utf8().map(String::from));
    decoded.collect::<Result<_, _>>().map_err(|_| Status::unknown_path())
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

/// The content type without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let content_type = header_text(headers, header::CONTENT_TYPE);
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn json_response(code: StatusCode, body: impl Into<Body>) -> Response {
    response_of("application/json", code, body)
}

fn response_of(media_type: &'static str, code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Clients know the aggregated form by this content type, and ask for it with the same text.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// A real server's limit on a request's body.
const BODY_MAX: usize = 3 * 1024 * 1024;
