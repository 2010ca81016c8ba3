//! How an object is written for a client: in the version it asked for, whole or metadata only.

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use crate::resources::Resource;

/// What a client wants to see of the objects of one resource.
#[derive(Debug, Clone)]
pub(crate) struct View {
    api_version: String,
    kind: String,
    list_kind: String,
    typed_items: bool,
    metadata_only: bool,
}

/// An object, seen so; serialises.
pub(crate) struct Viewed<'a> {
    object: &'a Value,
    identity: Option<(&'a str, &'a str)>,
    metadata_only: bool,
}

impl View {
    /// The first media type of `Accept` that is served decides: whole objects or their metadata.
    pub(crate) fn new(resource: &Resource, accept: &str) -> View {
        let mut media_types = accept
            .split(',')
            .filter(|it| !it.contains("as=Table") && (it.contains("json") || it.contains("*/*")));
        let metadata_only =
            media_types.next().is_some_and(|it| it.contains("as=PartialObjectMetadata"));
        if metadata_only {
            return View {
                api_version: "meta.k8s.io/v1".to_owned(),
                kind: "PartialObjectMetadata".to_owned(),
                list_kind: "PartialObjectMetadataList".to_owned(),
                typed_items: true,
                metadata_only,
            };
        }
        View {
            api_version: resource.api_version(),
            kind: resource.kind.clone(),
            list_kind: resource.list_kind.clone(),
            typed_items: resource.is_custom,
            metadata_only,
        }
    }

    /// An object by itself or in a watch.
    pub(crate) fn of<'a>(&'a self, object: &'a Value) -> Viewed<'a> {
        let identity = Some((self.api_version.as_str(), self.kind.as_str()));
        Viewed { object, identity, metadata_only: self.metadata_only }
    }

    /// An object in a list: built-in kinds do not repeat the list's apiVersion and kind.
    pub(crate) fn of_item<'a>(&'a self, object: &'a Value) -> Viewed<'a> {
        let viewed = self.of(object);
        if self.typed_items { viewed } else { Viewed { identity: None, ..viewed } }
    }

    /// The apiVersion and kind of objects.
    pub(crate) fn identity(&self) -> (&str, &str) {
        (&self.api_version, &self.kind)
    }

    /// The apiVersion and kind of lists.
    pub(crate) fn list_identity(&self) -> (&str, &str) {
        (&self.api_version, &self.list_kind)
    }
}

impl Serialize for Viewed<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some((api_version, kind)) = self.identity {
            map.serialize_entry("apiVersion", api_version)?;
            map.serialize_entry("kind", kind)?;
        }
        for (field, value) in self.object.as_object().into_iter().flatten() {
            let shown = match field.as_str() {
                "apiVersion" | "kind" => false,
                "metadata" => true,
                _ => !self.metadata_only,
            };
            if shown {
                map.serialize_entry(field, value)?;
            }
        }
        map.end()
    }
}
