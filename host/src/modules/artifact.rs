//! What is in a manifest, and which of its layers is the module.
//!
//! The layout is that of the CNCF's wasm artifacts: a config of the type
//! `application/vnd.wasm.config.v0+json` and one layer `application/wasm`. What older tools made has
//! another type for the one layer, or for the config, which is not read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::digest::Digest;

/// The types of manifests that are asked for. An index is among them so that it can be told what it is.
pub(super) const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest of the first two types.
#[derive(Debug, Deserialize)]
pub(super) struct ImageManifest {
    pub(super) layers: Vec<Descriptor>,
}

/// A manifest of the other two, or what refers to a manifest.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

/// What a manifest says about a blob or another manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) artifact_type: Option<String>,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// The layer that is the module; the error lists what is there instead.
pub(super) fn wasm_layer(manifest: &[u8]) -> Result<Descriptor, String> {
    let manifest: ImageManifest = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return Err(not_an_image(manifest, &error)),
    };
    let layers = manifest.layers;
    let mut wasm = layers.iter().filter(|layer| is_wasm(&layer.media_type));
    match (wasm.next(), wasm.next()) {
        (Some(layer), None) => Ok(layer.clone()),
        (None, _) => Err(format!(
            "no layer of it is wasm (`application/wasm`): it has {}",
            listed(&layers, |layer| layer.media_type.clone())
        )),
        (Some(_), Some(_)) => Err(format!(
            "more than one layer of it is wasm, and a handler is one module: it has {}",
            listed(&layers, |layer| format!("{} {}", layer.media_type, layer.digest))
        )),
    }
}

impl Descriptor {
    /// Its digest, of the only kind that is verified here.
    pub(super) fn digest(&self) -> Result<Digest, String> {
        self.digest.parse()
    }

    /// An annotation's value.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// `application/wasm`, and what came before it: `application/vnd.wasm.content.layer.v1+wasm` and the
/// like.
fn is_wasm(media_type: &str) -> bool {
    media_type == "application/wasm"
        || media_type.strip_prefix("application/vnd.").is_some_and(|rest| rest.ends_with("+wasm"))
}

fn not_an_image(manifest: &[u8], error: &serde_json::Error) -> String {
    match serde_json::from_slice::<Index>(manifest) {
        Ok(index) => format!(
            "it is an index of several manifests: name one of them, as \
             oci://REGISTRY/REPOSITORY@sha256:…: it has {}",
            listed(&index.manifests, |manifest| {
                let platform = manifest.platform.as_ref();
                let platform = platform.map(|it| format!(" ({}/{})", it.os, it.architecture));
                format!("{}{}", manifest.digest, platform.unwrap_or_default())
            })
        ),
        Err(_) => format!("its manifest is none: {error}"),
    }
}

/// The first few; a manifest may hold many.
fn listed(descriptors: &[Descriptor], shown: impl Fn(&Descriptor) -> String) -> String {
    let mut texts: Vec<String> = descriptors.iter().take(LISTED_MAX).map(shown).collect();
    match descriptors.len().saturating_sub(LISTED_MAX) {
        0 if texts.is_empty() => return "none".to_owned(),
        0 => {}
        more => texts.push(format!("{more} more")),
    }
    texts.join(", ")
}

const LISTED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn layer_of(layers: &[&str]) -> Result<String, String> {
        let layers: Vec<_> = layers
            .iter()
            .map(|media_type| {
                let digest = Digest::of(media_type.as_bytes()).to_string();
                serde_json::json!({ "mediaType": media_type, "digest": digest, "size": 1 })
            })
            .collect();
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": {}, "layers": layers });
        wasm_layer(manifest.to_string().as_bytes()).map(|layer| layer.media_type)
    }

    #[test]
    fn the_one_wasm_layer_counts_whatever_its_age() {
        for media_type in [
            "application/wasm",
            "application/vnd.wasm.content.layer.v1+wasm",
            "application/vnd.module.wasm.content.layer.v1+wasm",
        ] {
            assert_eq!(layer_of(&[media_type]).as_deref(), Ok(media_type));
            assert_eq!(layer_of(&["text/plain", media_type]).as_deref(), Ok(media_type));
        }
    }

    #[test]
    fn other_layouts_are_refused_with_what_is_there() {
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        let many = vec![tar; 12];
        for (layers, named) in [
            (&[][..], "it has none"),
            (&[tar], tar),
            (&many, "2 more"),
            (&["application/wasm", "application/vnd.a+wasm"], "more than one layer of it is wasm"),
        ] {
            let error = layer_of(layers).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let digest = Digest::of(b"");
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":1,
                "platform":{{"os":"linux","architecture":"arm64"}}}}]}}"#
        );
        let error = wasm_layer(index.as_bytes()).unwrap_err();
        assert!(
            error.contains("index") && error.contains(&format!("{digest} (linux/arm64)")),
            "{error}"
        );
        for garbage in ["", "[]", r#"{"layers":[{}]}"#] {
            assert!(wasm_layer(garbage.as_bytes()).unwrap_err().contains("its manifest is none"));
        }
    }
}
