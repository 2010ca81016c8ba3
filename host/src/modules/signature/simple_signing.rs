//! cosign's older form, and that of its version 2: an artifact at the tag `sha256-DIGEST.sig`. Each of
//! its layers is a statement, with the signature over it in an annotation.

use serde::Deserialize;

use super::{PAYLOAD_MAX, PublicKey, SIGNATURES_MAX};
use crate::modules::artifact::ImageManifest;
use crate::modules::digest::Digest;
use crate::modules::error::Problem;
use crate::modules::registry::Repository;
use crate::modules::source::Version;

/// The statement.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// The key of the first signature that counts. Why others do not goes to `others`.
pub(super) async fn signer(
    repository: &mut Repository<'_>,
    manifest: Digest,
    keys: &[PublicKey],
    others: &mut Vec<String>,
) -> Result<Option<String>, Problem> {
    let tag = format!("sha256-{}.sig", manifest.hex());
    let Some(signatures) = repository.manifest(&Version::Tag(tag)).await? else { return Ok(None) };
    let signatures: ImageManifest = serde_json::from_slice(&signatures.json)
        .map_err(|error| Problem::permanent(format!("its signatures are no manifest: {error}")))?;
    for layer in signatures.layers.iter().take(SIGNATURES_MAX) {
        let Some(signature) =
            layer.annotation(SIGNATURE).filter(|_| layer.media_type == MEDIA_TYPE)
        else {
            continue;
        };
        let digest = layer.digest().map_err(Problem::permanent)?;
        let payload = repository.blob(digest, PAYLOAD_MAX).await?;
        match verify(&payload, signature, manifest, keys) {
            Ok(signer) => return Ok(Some(signer.to_owned())),
            Err(problem) => others.push(problem),
        }
    }
    Ok(None)
}

/// The key by which the payload says that the manifest is signed.
pub(super) fn verify<'a>(
    payload: &[u8],
    signature: &str,
    manifest: Digest,
    keys: &'a [PublicKey],
) -> Result<&'a str, String> {
    // First of all: what nobody signed is not even read.
    let signer = super::signer(keys, payload, signature).ok_or("one is by another key")?;
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|error| format!("one by {signer} is over something else: {error}"))?;
    let Critical { image, r#type } = payload.critical;
    if r#type != TYPE {
        return Err(format!("one by {signer} is over {type:?}, not over {TYPE:?}"));
    }
    if image.docker_manifest_digest != manifest.to_string() {
        let other = image.docker_manifest_digest;
        return Err(format!("one by {signer} is over {other:?}, not over {manifest}"));
    }
    Ok(signer)
}

const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";
