//! The form of cosign's version 3: a Sigstore bundle that refers to the manifest. In it is an in-toto
//! statement in a DSSE envelope.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::{PAYLOAD_MAX, PublicKey, SIGNATURES_MAX};
use crate::modules::artifact::{ImageManifest, Index};
use crate::modules::digest::Digest;
use crate::modules::error::Problem;
use crate::modules::registry::Repository;
use crate::modules::source::Version;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    /// None if the bundle is of a blob.
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    /// Base64.
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    /// Base64.
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The key of the first bundle that counts. Why others do not goes to `others`.
pub(super) async fn signer(
    repository: &mut Repository<'_>,
    manifest: Digest,
    keys: &[PublicKey],
    others: &mut Vec<String>,
) -> Result<Option<String>, Problem> {
    let index = match repository.referrers(manifest).await? {
        Some(index) => Some(index),
        // Where a registry has no API for it, they are listed at a tag.
        None => {
            let tag = Version::Tag(format!("sha256-{}", manifest.hex()));
            repository.manifest(&tag).await?.map(|manifest| manifest.json)
        }
    };
    let Some(index) = index else { return Ok(None) };
    let index: Index = serde_json::from_slice(&index)
        .map_err(|error| Problem::permanent(format!("its referrers are no index: {error}")))?;
    let is_bundle = |kind: &str| kind.starts_with(MEDIA_TYPE);
    let bundles = index.manifests.iter();
    let bundles = bundles.filter(|it| it.artifact_type.as_deref().is_none_or(is_bundle));
    for referrer in bundles.take(SIGNATURES_MAX) {
        let digest = Version::Digest(referrer.digest().map_err(Problem::permanent)?);
        let Some(referrer) = repository.manifest(&digest).await? else { continue };
        let Ok(referrer) = serde_json::from_slice::<ImageManifest>(&referrer.json) else {
            continue;
        };
        let Some(layer) = referrer.layers.iter().find(|layer| is_bundle(&layer.media_type)) else {
            continue;
        };
        let digest = layer.digest().map_err(Problem::permanent)?;
        let bundle = repository.blob(digest, PAYLOAD_MAX).await?;
        match verify(&bundle, manifest, keys) {
            Ok(signer) => return Ok(Some(signer.to_owned())),
            Err(problem) => others.push(problem),
        }
    }
    Ok(None)
}

/// The key by which the bundle says that the manifest is signed.
pub(super) fn verify<'a>(
    bundle: &[u8],
    manifest: Digest,
    keys: &'a [PublicKey],
) -> Result<&'a str, String> {
    let bundle: Bundle =
        serde_json::from_slice(bundle).map_err(|error| format!("one is no bundle: {error}"))?;
    let envelope = bundle.dsse_envelope.ok_or("one is not over a manifest")?;
    let payload = BASE64_STANDARD.decode(&envelope.payload);
    let payload = payload.map_err(|error| format!("one is no bundle: its payload: {error}"))?;
    let signed = pre_authentication_encoding(&envelope.payload_type, &payload);
    let mut signatures = envelope.signatures.iter().take(SIGNATURES_MAX);
    let signer = signatures.find_map(|it| super::signer(keys, &signed, &it.sig));
    let signer = signer.ok_or("one is by another key")?;
    if envelope.payload_type != PAYLOAD_TYPE {
        let other = envelope.payload_type;
        return Err(format!("one by {signer} is over {other:?}, not over {PAYLOAD_TYPE:?}"));
    }
    let statement: Statement = serde_json::from_slice(&payload)
        .map_err(|error| format!("one by {signer} is over something else: {error}"))?;
    // The same key may sign other statements about the manifest, such as what is bad about it.
    if statement.predicate_type != PREDICATE_TYPE {
        let other = statement.predicate_type;
        return Err(format!("one by {signer} says {other:?}, not {PREDICATE_TYPE:?}"));
    }
    let is_manifest = |subject: &Subject| subject.digest.get("sha256") == Some(&manifest.hex());
    match statement.subject.iter().any(is_manifest) {
        true => Ok(signer),
        false => Err(format!("one by {signer} is over another manifest than {manifest}")),
    }
}

/// What a DSSE signature is made over.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let (type_length, length) = (payload_type.len(), payload.len());
    let mut encoded = format!("DSSEv1 {type_length} {payload_type} {length} ").into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";
