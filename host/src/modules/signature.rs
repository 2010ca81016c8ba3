//! Signatures: whether somebody whom the operator trusts says that these are the bytes.
//!
//! An artifact's signatures are beside it in its repository, in one of the two forms in which cosign
//! leaves them there: [`simple_signing`] and [`bundle`]. Either must name the digest of the manifest
//! that was pulled. Where else that manifest may be found is not compared: a signed artifact may be
//! copied to another registry. No log and no authority is asked: a signature brings along what they said.

mod bundle;
mod identity;
mod simple_signing;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Artifact, Bundle};

use super::digest::Digest;
use super::error::Problem;
use super::registry::Repository;

pub(super) use identity::{Identities, Identity};

/// Whom the operator trusts. A signature by any of them counts.
#[derive(Debug, Default)]
pub(super) struct Signers {
    pub(super) keys: Vec<PublicKey>,
    pub(super) identities: Option<Identities>,
}

/// A key that the operator trusts.
pub(super) struct PublicKey {
    name: String,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a `cosign.pub`. `name` is what a module is said to be signed by.
    pub(super) fn from_pem(name: &str, pem: &[u8]) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| {
            "there is no PEM public key in it (BEGIN PUBLIC KEY), as `cosign generate-key-pair` \
             writes it"
                .to_owned()
        })?;
        let algorithms: [&'static dyn VerificationAlgorithm; 2] =
            [&ECDSA_P256_SHA256_ASN1, &RSA_PKCS1_2048_8192_SHA256];
        let key = algorithms.iter().find_map(|it| ParsedPublicKey::new(*it, &*der).ok());
        let key = key.ok_or("the key is neither ECDSA on P-256 nor RSA of 2048 to 8192 bits")?;
        Ok(Self { name: name.to_owned(), key })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl Signers {
    /// The name of the key by which a message is signed.
    fn by_key(&self, message: &[u8], signature: &[u8]) -> Option<&str> {
        let by = |key: &&PublicKey| key.key.verify_sig(message, signature).is_ok();
        self.keys.iter().find(by).map(|key| &*key.name)
    }

    /// The identity by which an artifact is signed, as the certificate in the bundle says.
    fn by_identity(&self, artifact: Artifact<'_>, bundle: &Bundle) -> Result<String, String> {
        match (&self.identities, &bundle.verification_material.content) {
            (_, VerificationMaterialContent::PublicKey(_)) => {
                Err("one is by another key".to_owned())
            }
            (None, _) => Err("one is keyless, or by another key".to_owned()),
            (Some(identities), _) => identities.signer(artifact, bundle),
        }
    }
}

impl fmt::Display for Signers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|key| key.name.clone());
        let identities =
            self.identities.iter().flat_map(Identities::trusted).map(Identity::to_string);
        formatter.write_str(&keys.chain(identities).collect::<Vec<_>>().join(" or "))
    }
}

/// A signature that is written as base64. What is none becomes one that nobody made.
fn decoded(signature: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(signature.trim()).unwrap_or_default()
}

/// By whom bytes are signed, with a signature that came apart from them: base64, or a bundle.
pub(super) fn of_blob(
    bytes: &[u8],
    digest: Digest,
    signature: Option<&str>,
    signers: &Signers,
) -> Result<String, Problem> {
    let signature = signature.ok_or_else(|| {
        Problem::permanent(
            "it is not signed: put what `cosign sign-blob` writes for it (the signature, or the \
             whole bundle) into spec.module.signature, or the module into a registry and sign it there",
        )
    })?;
    let signer = match signature.trim_start().starts_with('{') {
        true => bundle::verify(signature.as_bytes(), digest, Some(bytes), signers),
        false => {
            let signer = signers.by_key(bytes, &decoded(signature)).map(str::to_owned);
            signer.ok_or_else(|| match signers.keys.is_empty() {
                false => "it is by another key, or over something else".to_owned(),
                true => "it is no bundle, in which keyless signatures come: put there what \
                         `cosign sign-blob --bundle` writes"
                    .to_owned(),
            })
        }
    };
    signer.map_err(|problem| {
        Problem::permanent(format!(
            "spec.module.signature does not count: {problem}; trusted is {signers}"
        ))
    })
}

/// By whom the manifest is signed in its repository. That it is not may change: signatures are pushed
/// after what they sign.
pub(super) async fn of_artifact(
    repository: &mut Repository<'_>,
    manifest: Digest,
    signers: &Signers,
) -> Result<String, Problem> {
    let mut others = Vec::new();
    let signer = match simple_signing::signer(repository, manifest, signers, &mut others).await? {
        Some(signer) => Some(signer),
        None => bundle::signer(repository, manifest, signers, &mut others).await?,
    };
    signer.ok_or_else(|| {
        let count = others.len();
        others.sort();
        others.dedup();
        others.truncate(REASONS_MAX);
        Problem::temporary(match count {
            0 => format!("{manifest} is not signed: `cosign sign` signs it"),
            _ => format!(
                "none of its {count} signatures counts: {}; trusted is {signers}",
                others.join("; ")
            ),
        })
    })
}

/// Signatures of one artifact that are looked at.
const SIGNATURES_MAX: usize = 32;

/// Why they do not count, said at once.
const REASONS_MAX: usize = 3;

/// Bytes of what one of them says.
const PAYLOAD_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests;
