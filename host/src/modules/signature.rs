//! Signatures: whether somebody whose key the operator trusts says that these are the bytes.
//!
//! An artifact's signatures are beside it in its repository, in one of the two forms in which cosign
//! leaves them there: [`simple_signing`] and [`bundle`]. Either must name the digest of the manifest
//! that was pulled. Where else that manifest may be found is not compared: a signed artifact may be
//! copied to another registry. A transparency log is not asked, and certificates (keyless signatures)
//! count for nothing here.

mod simple_signing;
mod bundle;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

use super::digest::Digest;
use super::error::Problem;
use super::registry::Repository;

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

/// The name of the key by which a message is signed. The signature is base64.
fn signer<'a>(keys: &'a [PublicKey], message: &[u8], signature: &str) -> Option<&'a str> {
    let signature = BASE64_STANDARD.decode(signature.trim()).ok()?;
    let by = |key: &&PublicKey| key.key.verify_sig(message, &signature).is_ok();
    keys.iter().find(by).map(|key| &*key.name)
}

/// By which key bytes are signed, with a signature that came apart from them.
pub(super) fn of_blob(
    bytes: &[u8],
    signature: Option<&str>,
    keys: &[PublicKey],
) -> Result<String, Problem> {
    let signature = signature.ok_or_else(|| {
        Problem::permanent(
            "it is not signed: put what `cosign sign-blob --key` prints for it into \
             spec.module.signature, or the module into a registry and sign it there",
        )
    })?;
    signer(keys, bytes, signature).map(str::to_owned).ok_or_else(|| {
        Problem::permanent(format!("spec.module.signature is not by {} for it", listed(keys)))
    })
}

/// By which key the manifest is signed in its repository. That it is not may change: signatures are
/// pushed after what they sign.
pub(super) async fn of_artifact(
    repository: &mut Repository<'_>,
    manifest: Digest,
    keys: &[PublicKey],
) -> Result<String, Problem> {
    let mut others = Vec::new();
    let signer = match simple_signing::signer(repository, manifest, keys, &mut others).await? {
        Some(signer) => Some(signer),
        None => bundle::signer(repository, manifest, keys, &mut others).await?,
    };
    signer.ok_or_else(|| match others.first() {
        None => {
            Problem::temporary(format!("{manifest} is not signed: `cosign sign --key` signs it"))
        }
        Some(other) => Problem::temporary(format!(
            "none of its {} signatures counts: {other}; trusted is {}",
            others.len(),
            listed(keys)
        )),
    })
}

fn listed(keys: &[PublicKey]) -> String {
    keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join(" or ")
}

/// Signatures of one artifact that are looked at.
const SIGNATURES_MAX: usize = 32;

/// Bytes of what one of them says.
const PAYLOAD_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests;
