//! LIST: its options, which a watch shares, and its answer.
//!
//! Options are validated as apimachinery's `ValidateListOptions` does. A page is cut from the
//! objects as they were at the first page's resource version, so pages are consistent; once that
//! version is compacted, the continue token has `Expired`.

use std::collections::HashMap;
use std::ops::Bound;
use std::time::Duration;

use serde::Serialize;

use crate::resources::Resource;
use crate::selectors::Selectors;
use crate::status::Status;
use crate::storage::{Object, ObjectKey, State, Storage};
use crate::view::{View, Viewed};

/// The decoded query of a request.
pub(crate) type Query = HashMap<String, String>;

/// What a list, a watch or a deletecollection asks for.
#[derive(Debug, Clone)]
pub(crate) struct ListOptions {
    /// Empty for all namespaces, and for what has none.
    pub(crate) namespace: String,
    pub(crate) selectors: Selectors,
    /// None if it was not given or empty: the most recent.
    pub(crate) resource_version: Option<u64>,
    pub(crate) resource_version_match: Option<ResourceVersionMatch>,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) allow_watch_bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
    limit: usize,
    after: Option<Continue>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ResourceVersionMatch {
    Exact,
    NotOlderThan,
}

/// Where the next page starts: behind a key, in the objects as of a resource version.
#[derive(Debug, Clone)]
struct Continue {
    resource_version: u64,
    key: ObjectKey,
}

/// One page.
pub(crate) struct Page {
    pub(crate) items: Vec<Object>,
    resource_version: u64,
    after: Option<Continue>,
    remaining: Option<usize>,
}

impl ListOptions {
    pub(crate) fn parse(query: &Query, namespace: &str) -> Result<ListOptions, Status> {
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let number = |name: &str| match text(name) {
            "" => Ok(None),
            digits => digits.parse::<u64>().map(Some).map_err(|_| {
                Status::bad_request(format!("{name}: Invalid value: {digits:?}: not a number"))
            }),
        };
        Ok(ListOptions {
            namespace: namespace.to_owned(),
            selectors: Selectors::parse(text("labelSelector"), text("fieldSelector"))?,
            resource_version: number("resourceVersion")?,
            resource_version_match: match text("resourceVersionMatch") {
                "" => None,
                "Exact" => Some(ResourceVersionMatch::Exact),
                "NotOlderThan" => Some(ResourceVersionMatch::NotOlderThan),
                _ => {
                    return Err(forbidden(
                        "resourceVersionMatch",
                        "supported: Exact, NotOlderThan",
                    ));
                }
            },
            send_initial_events: query.get("sendInitialEvents").map(|it| is_true(it)),
            allow_watch_bookmarks: query.get("allowWatchBookmarks").is_some_and(|it| is_true(it)),
            timeout: number("timeoutSeconds")?.filter(|it| *it > 0).map(Duration::from_secs),
            limit: usize::try_from(number("limit")?.unwrap_or(0)).unwrap_or(usize::MAX),
            after: match text("continue") {
                "" => None,
                token => Some(Continue::parse(token)?),
            },
        })
    }

    fn validate_list(&self) -> Result<(), Status> {
        use ResourceVersionMatch::Exact;
        let field = "resourceVersionMatch";
        if self.send_initial_events.is_some() {
            return Err(forbidden("sendInitialEvents", "is forbidden for list"));
        }
        match (self.resource_version_match, self.resource_version) {
            (Some(_), _) if self.after.is_some() => {
                Err(forbidden(field, "is forbidden when continue is provided"))
            }
            (Some(_), None) => {
                Err(forbidden(field, "is forbidden unless resourceVersion is provided"))
            }
            (Some(Exact), Some(0)) => {
                Err(forbidden(field, "\"Exact\" is forbidden for resourceVersion \"0\""))
            }
            (_, Some(1..)) if self.after.is_some() => Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn validate_watch(&self, watch_list: bool) -> Result<(), Status> {
        let not_older_than =
            self.resource_version_match == Some(ResourceVersionMatch::NotOlderThan);
        if self.send_initial_events.is_some() && !not_older_than {
            let problem = "requires setting resourceVersionMatch to NotOlderThan";
            return Err(forbidden("sendInitialEvents", problem));
        }
        if self.send_initial_events.is_some() && !watch_list {
            let problem = "is forbidden for watch unless the WatchList feature gate is enabled";
            return Err(forbidden("sendInitialEvents", problem));
        }
        if self.send_initial_events.is_none() && self.resource_version_match.is_some() {
            let problem = "is forbidden for watch unless sendInitialEvents is provided";
            return Err(forbidden("resourceVersionMatch", problem));
        }
        Ok(())
    }

    /// The resource version whose objects are listed.
    fn listed_at(&self, current: u64) -> Result<u64, Status> {
        use ResourceVersionMatch::{Exact, NotOlderThan};
        if let Some(after) = &self.after {
            return Ok(after.resource_version);
        }
        let asked = self.resource_version.unwrap_or(0);
        if asked > current {
            return Err(Status::too_large_resource_version(asked, current));
        }
        Ok(match self.resource_version_match {
            _ if asked == 0 => current,
            Some(Exact) => asked,
            None if self.limit > 0 => asked,
            Some(NotOlderThan) | None => current,
        })
    }

    /// A list at "0" comes from a real server's cache, which ignores the limit.
    fn page_size(&self) -> usize {
        let any_version = self.resource_version == Some(0) && self.after.is_none();
        if self.limit == 0 || any_version { usize::MAX } else { self.limit }
    }

    pub(crate) fn selects(&self, key: &ObjectKey, object: &serde_json::Value) -> bool {
        self.covers(key) && self.selectors.matches(object)
    }

    pub(crate) fn covers(&self, key: &ObjectKey) -> bool {
        self.namespace.is_empty() || self.namespace == key.namespace
    }
}

impl Continue {
    fn parse(token: &str) -> Result<Continue, Status> {
        let parse = || {
            let mut parts = token.splitn(3, '/');
            let resource_version = parts.next()?.parse().ok()?;
            let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            Some(Continue { resource_version, key: ObjectKey { namespace, name } })
        };
        parse().ok_or_else(|| Status::bad_request("continue key is not valid"))
    }

    fn token(&self) -> String {
        format!("{}/{}/{}", self.resource_version, self.key.namespace, self.key.name)
    }
}

impl State {
    pub(crate) fn list(&self, resource: &Resource, options: &ListOptions) -> Result<Page, Status> {
        options.validate_list()?;
        let resource_version = options.listed_at(self.resource_version)?;
        if resource_version > self.resource_version {
            return Err(Status::bad_request("continue key is not valid"));
        }
        let objects = self.objects_at(resource, resource_version).map_err(|status| {
            if options.after.is_none() {
                return status;
            }
            Status::expired(
                "The provided continue parameter is too old to display a consistent list result. \
                 You can start a new list without the continue parameter.",
            )
        })?;
        let after = options.after.as_ref().map(|it| &it.key);
        let range =
            objects.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        let mut selected = range.filter(|(key, object)| options.selects(key, object)).peekable();
        let size = options.page_size();
        let mut page = Page { items: Vec::new(), resource_version, after: None, remaining: None };
        while let Some((key, object)) = selected.next() {
            page.items.push(object.clone());
            if page.items.len() == size && selected.peek().is_some() {
                page.after = Some(Continue { resource_version, key: key.clone() });
                page.remaining = options.selectors.is_empty().then(|| selected.count());
                break;
            }
        }
        Ok(page)
    }
}

impl Page {
    pub(crate) fn to_json(&self, view: &View) -> serde_json::Result<Vec<u8>> {
        let (api_version, kind) = view.list_identity();
        serde_json::to_vec(&List {
            kind,
            api_version,
            metadata: ListMeta {
                resource_version: self.resource_version.to_string(),
                after: self.after.as_ref().map(Continue::token),
                remaining_item_count: self.remaining,
            },
            items: self.items.iter().map(|it| view.of_item(it)).collect(),
        })
    }
}

/// Answers a LIST.
pub(crate) fn list(
    storage: &Storage,
    resource: &Resource,
    options: &ListOptions,
    view: &View,
) -> Result<Vec<u8>, Status> {
    let page = storage.lock().list(resource, options)?;
    page.to_json(view).map_err(|error| Status::internal(error.to_string()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: ListMeta,
    items: Vec<Viewed<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_item_count: Option<usize>,
}

/// A query's boolean, by apimachinery's rule: present means true, unless it says false.
pub(crate) fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

fn forbidden(field: &str, problem: &str) -> Status {
    Status::invalid("ListOptions", "", field, &format!("Forbidden: {field} {problem}"))
}
