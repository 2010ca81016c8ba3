//! Discovery documents: which groups, versions and resources there are.
//!
//! in: the served resources; out: the JSON of `/version`, `/api`, `/apis` and below, one document
//! per group version or all aggregated, whatever the client accepts first.

use std::cmp::Reverse;

use serde_json::{Value, json};

use crate::resources::{Resource, Resources};

/// `/version`
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.0+informerd-dev", "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none",
        "compiler": "rustc", "platform": "any",
    })
}

/// `/api`
pub(crate) fn core_versions(server_address: &str) -> Value {
    let address = json!({"clientCIDR": "0.0.0.0/0", "serverAddress": server_address});
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})
}

/// `/apis`
pub(crate) fn groups(resources: &Resources) -> Value {
    let names = group_names(resources).into_iter().filter(|name| !name.is_empty());
    let groups: Vec<Value> = names.filter_map(|name| describe(resources, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/api`, which is the core group, and `/apis`, which is the others: all there is about each.
pub(crate) fn aggregated(resources: &Resources, core: bool) -> Value {
    let names = group_names(resources).into_iter().filter(|name| name.is_empty() == core);
    let items = names.map(|name| {
        let versions = versions(resources, name).into_iter().map(|version| {
            let described = of(resources, name, version).map(describe_aggregated);
            let described: Vec<Value> = described.collect();
            json!({"version": version, "freshness": "Current", "resources": described})
        });
        json!({"metadata": {"name": name}, "versions": versions.collect::<Vec<_>>()})
    });
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}

fn describe_aggregated(resource: &Resource) -> Value {
    let kind = json!({
        "group": resource.group, "version": resource.version, "kind": resource.kind
    });
    let status = resource
        .has_status
        .then(|| json!({"subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS}));
    json!({
        "resource": resource.plural, "responseKind": kind, "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "shortNames": resource.short_names, "categories": resource.categories, "verbs": VERBS,
        "subresources": status.into_iter().collect::<Vec<_>>(),
    })
}

/// `/apis/{group}`
pub(crate) fn group(resources: &Resources, name: &str) -> Option<Value> {
    let mut group = describe(resources, name)?;
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

/// `/api/v1` and `/apis/{group}/{version}`
pub(crate) fn resource_list(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    let mut entries = Vec::new();
    let mut group_version = None;
    for resource in of(resources, group, version) {
        group_version = Some(resource.api_version());
        entries.push(json!({
            "name": resource.plural, "singularName": resource.singular, "kind": resource.kind,
            "namespaced": resource.namespaced, "shortNames": resource.short_names,
            "categories": resource.categories, "verbs": VERBS,
        }));
        if resource.has_status {
            entries.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "",
                "kind": resource.kind, "namespaced": resource.namespaced, "verbs": STATUS_VERBS,
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version?,
        "resources": entries,
    }))
}

/// `/openapi/v3`: one document per group version.
pub(crate) fn openapi_index(resources: &Resources) -> Value {
    let paths = resources.iter().map(|it| {
        let path = api_path(it);
        let document = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        (path, document)
    });
    json!({"paths": paths.collect::<serde_json::Map<_, _>>()})
}

/// `/openapi/v3/{path}`: no schemas, only what `kubectl apply` asks: may the server validate?
pub(crate) fn openapi(resources: &Resources, path: &str) -> Option<Value> {
    let mut paths = serde_json::Map::new();
    for resource in resources.iter().filter(|it| api_path(it) == path) {
        let namespace = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let parameter = json!({
            "name": "fieldValidation", "in": "query", "schema": {"type": "string"}
        });
        let patch = json!({
            "parameters": [parameter],
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {
                "group": resource.group, "version": resource.version, "kind": resource.kind
            },
            "responses": {},
        });
        let url = format!("/{path}{namespace}/{}/{{name}}", resource.plural);
        paths.insert(url, json!({"patch": patch}));
    }
    let info = json!({"title": "Kubernetes", "version": "v1.35.0"});
    (!paths.is_empty()).then(|| json!({"openapi": "3.0.0", "info": info, "paths": paths}))
}

fn api_path(resource: &Resource) -> String {
    let prefix = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", resource.api_version())
}

fn describe(resources: &Resources, name: &str) -> Option<Value> {
    let entry =
        |version: &&str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions = versions(resources, name);
    let preferred = entry(versions.first()?);
    let versions: Vec<Value> = versions.iter().map(entry).collect();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

fn group_names(resources: &Resources) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for resource in resources.iter() {
        if !names.contains(&resource.group.as_str()) {
            names.push(&resource.group);
        }
    }
    names
}

/// A group's versions, the preferred one first.
fn versions<'a>(resources: &'a Resources, group: &str) -> Vec<&'a str> {
    let in_group = resources.iter().filter(|it| it.group == group);
    let mut versions: Vec<&str> = in_group.map(|it| it.version.as_str()).collect();
    versions.sort_by_key(|version| Reverse(priority(version)));
    versions.dedup();
    versions
}

fn of<'a>(
    resources: &'a Resources,
    group: &str,
    version: &str,
) -> impl Iterator<Item = &'a Resource> {
    let resources = resources.iter().map(AsRef::as_ref);
    resources.filter(move |it: &&Resource| it.group == group && it.version == version)
}

/// Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, then anything else.
fn priority(version: &str) -> (u8, u64, u64, Reverse<&str>) {
    let parse = || {
        let digits = version.strip_prefix('v')?;
        let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
        let (major, rest) = (digits[..end].parse().ok()?, &digits[end..]);
        match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => Some((2, major, minor.parse().ok()?)),
            (_, Some(minor)) => Some((1, major, minor.parse().ok()?)),
            _ => rest.is_empty().then_some((3, major, 0)),
        }
    };
    let (stability, major, minor) = parse().unwrap_or((0, 0, 0));
    (stability, major, minor, Reverse(version))
}

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = ["foo", "v1alpha1", "v1", "v2beta1", "v10", "v1beta2", "bar", "v2"];
        versions.sort_by_key(|version| Reverse(priority(version)));
        let expected = ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "bar", "foo"];
        assert_eq!(versions, expected);
    }
}
