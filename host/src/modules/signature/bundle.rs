//! The form of cosign's version 3: a Sigstore bundle. Of an artifact it refers to the manifest, and in it
//! is an in-toto statement in a DSSE envelope; of a blob it has the signature over the bytes.

use std::borrow::Cow;

use serde::Deserialize;
use sigstore_verify::types::{
    Artifact, Bundle, DsseEnvelope, MediaType, Sha256Hash, SignatureContent, Statement,
};

use super::{PAYLOAD_MAX, SIGNATURES_MAX, Signers};
use crate::modules::artifact::{ImageManifest, Index};
use crate::modules::digest::Digest;
use crate::modules::error::Problem;
use crate::modules::registry::Repository;
use crate::modules::source::Version;

/// By whom the first bundle is that counts. Why others do not goes to `others`.
pub(super) async fn signer(
    repository: &mut Repository<'_>,
    manifest: Digest,
    signers: &Signers,
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
        match verify(&bundle, manifest, None, signers) {
            Ok(signer) => return Ok(Some(signer)),
            Err(problem) => others.push(problem),
        }
    }
    Ok(None)
}

/// What of a bundle it takes to verify a key's signature.
#[derive(Deserialize)]
struct Signed {
    #[serde(flatten)]
    content: SignatureContent,
}

/// By whom the bundle says that what has this digest is signed. Of a blob the bytes are needed too.
pub(super) fn verify(
    bundle: &[u8],
    digest: Digest,
    blob: Option<&[u8]>,
    signers: &Signers,
) -> Result<String, String> {
    let no_bundle = |error: serde_json::Error| format!("one is no bundle: {error}");
    let Signed { content } = serde_json::from_slice(bundle).map_err(no_bundle)?;
    let (message, signature) = match (&content, blob) {
        (SignatureContent::DsseEnvelope(envelope), _) => {
            (Cow::Owned(envelope.pae()), &envelope.signature.sig)
        }
        (SignatureContent::MessageSignature(it), Some(blob)) => {
            (Cow::Borrowed(blob), &it.signature)
        }
        _ => return Err("one is not over a manifest".to_owned()),
    };
    let signer = match signers.by_key(&message, signature.as_bytes()) {
        // It needs nothing of what else may be in there.
        Some(key) => key.to_owned(),
        None => {
            let bundle: Bundle = serde_json::from_slice(bundle).map_err(no_bundle)?;
            if bundle.media_type() != MediaType::Bundle0_3 {
                return Err(format!("one is {}, not {MEDIA_TYPE}", bundle.media_type()));
            }
            if bundle.content != content {
                return Err("one is no bundle: it says two things".to_owned());
            }
            let artifact = blob.map(Artifact::from);
            let artifact = artifact.unwrap_or_else(|| Sha256Hash::from(digest.bytes()).into());
            signers.by_identity(artifact, &bundle)?
        }
    };
    if let SignatureContent::DsseEnvelope(envelope) = &content {
        check_statement(envelope, digest).map_err(|it| format!("one by {signer} {it}"))?;
    }
    Ok(signer)
}

/// Whether what is signed says that this is signed.
fn check_statement(envelope: &DsseEnvelope, digest: Digest) -> Result<(), String> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(format!("is over {:?}, not over {PAYLOAD_TYPE:?}", envelope.payload_type));
    }
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| format!("is over no statement: {error}"))?;
    // The same signer may make other statements about it, such as what is bad about it.
    if statement.predicate_type != PREDICATE_TYPE {
        return Err(format!("says {:?}, not {PREDICATE_TYPE:?}", statement.predicate_type));
    }
    match statement.matches_sha256(&Sha256Hash::from(digest.bytes())) {
        true => Ok(()),
        false => Err(format!("is over something else than {digest}")),
    }
}

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";
