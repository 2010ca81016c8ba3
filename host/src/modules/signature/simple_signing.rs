//! cosign's older form, and that of its version 2: an artifact at the tag `sha256-DIGEST.sig`. Each of
//! its layers is a statement, with the signature over it in an annotation. If it is keyless, the
//! certificate and what tells the time are in others.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use sigstore_verify::types::{Bundle, Sha256Hash};

use super::{PAYLOAD_MAX, SIGNATURES_MAX, Signers, decoded};
use crate::modules::artifact::{Descriptor, ImageManifest};
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

/// By whom the first signature is that counts. Why others do not goes to `others`.
pub(super) async fn signer(
    repository: &mut Repository<'_>,
    manifest: Digest,
    signers: &Signers,
    others: &mut Vec<String>,
) -> Result<Option<String>, Problem> {
    let tag = format!("sha256-{}.sig", manifest.hex());
    let Some(signatures) = repository.manifest(&Version::Tag(tag)).await? else { return Ok(None) };
    let signatures: ImageManifest = serde_json::from_slice(&signatures.json)
        .map_err(|error| Problem::permanent(format!("its signatures are no manifest: {error}")))?;
    for layer in signatures.layers.iter().take(SIGNATURES_MAX) {
        if layer.media_type != MEDIA_TYPE || layer.annotation(SIGNATURE).is_none() {
            continue;
        }
        let digest = layer.digest().map_err(Problem::permanent)?;
        let payload = repository.blob(digest, PAYLOAD_MAX).await?;
        match verify(&payload, layer, manifest, signers) {
            Ok(signer) => return Ok(Some(signer)),
            Err(problem) => others.push(problem),
        }
    }
    Ok(None)
}

/// By whom the payload, which is the layer's, says that the manifest is signed.
pub(super) fn verify(
    payload: &[u8],
    layer: &Descriptor,
    manifest: Digest,
    signers: &Signers,
) -> Result<String, String> {
    // First of all: what nobody signed is not even read.
    let signature = layer.annotation(SIGNATURE).unwrap_or_default();
    let signer = match (signers.by_key(payload, &decoded(signature)), layer.annotation(CERTIFICATE))
    {
        (Some(key), _) => key.to_owned(),
        (None, Some(certificate)) => {
            let bundle = bundle(layer, certificate)
                .map_err(|error| format!("one has a broken annotation: {error}"))?;
            signers.by_identity(payload.into(), &bundle)?
        }
        (None, None) => return Err("one is by another key".to_owned()),
    };
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

/// The annotations of a keyless signature, as the Sigstore bundle which later took their place.
fn bundle(layer: &Descriptor, certificate: &str) -> Result<Bundle, String> {
    let text = |error: serde_json::Error| error.to_string();
    let chain = layer.annotation(CHAIN).unwrap_or_default();
    let certificates = std::iter::once(CertificateDer::from_pem_slice(certificate.as_bytes()))
        .chain(CertificateDer::pem_slice_iter(chain.as_bytes()))
        .map(|it| it.map(|it| json!({ "rawBytes": BASE64_STANDARD.encode(it) })))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let entry = layer.annotation(LOG_ENTRY).map(serde_json::from_str::<LogEntry>);
    let entry = entry.transpose().map_err(text)?.map(|LogEntry { promise, payload }| {
        json!({
            "logIndex": payload.log_index.to_string(),
            "logId": { "keyId": payload.log_id },
            "kindVersion": { "kind": "hashedrekord", "version": "0.0.1" },
            "integratedTime": payload.integrated_time.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": promise },
            "canonicalizedBody": payload.body,
        })
    });
    let time_stamp = layer.annotation(TIME_STAMP).map(serde_json::from_str::<TimeStamp>);
    let time_stamp = time_stamp.transpose().map_err(text)?;
    // The first version is the one that does with a log's promise.
    let version = if entry.is_some() { "0.1" } else { "0.2" };
    serde_json::from_value(json!({
        "mediaType": format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
        "verificationMaterial": {
            "x509CertificateChain": { "certificates": certificates },
            "tlogEntries": Vec::from_iter(entry),
            "timestampVerificationData": {
                "rfc3161Timestamps":
                    Vec::from_iter(time_stamp.map(|it| json!({ "signedTimestamp": it.signed }))),
            },
        },
        "messageSignature": { "signature": layer.annotation(SIGNATURE) },
    }))
    .map_err(text)
}

/// What a transparency log answered: its promise to take the signature up.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogEntry {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    payload: LogPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: Sha256Hash,
}

/// What a time stamp authority answered.
#[derive(Deserialize)]
struct TimeStamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIME_STAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
const TYPE: &str = "cosign container image signature";
