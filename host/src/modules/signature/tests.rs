//! Against what the real cosign made: `tests/sources/cosign`.

use std::fs;

use serde_json::Value;

use super::*;
use crate::modules::artifact::{ImageManifest, Index};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sources/cosign");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/0.1.0.wasm");

const ED25519: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAAQa9HIsVkeVoXl3FjPPwoyeA9rdhUQ1fP64TpPcPDVQ=\n\
    -----END PUBLIC KEY-----\n";

fn read(file: &str) -> Vec<u8> {
    fs::read(format!("{FOLDER}/{file}")).unwrap()
}

fn keys(names: &[&str]) -> Vec<PublicKey> {
    names.iter().map(|name| PublicKey::from_pem(name, &read(name)).unwrap()).collect()
}

fn blob(digest: &str) -> Vec<u8> {
    read(&format!("layout/blobs/sha256/{}", digest.trim_start_matches("sha256:")))
}

/// The digest of the manifest at a tag.
fn tagged(tag: &str) -> Digest {
    let index: Value = serde_json::from_slice(&read("layout/index.json")).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    let is_tag = |it: &&Value| it["annotations"]["org.opencontainers.image.ref.name"] == tag;
    manifests.iter().find(is_tag).unwrap()["digest"].as_str().unwrap().parse().unwrap()
}

fn layer(manifest: &[u8]) -> crate::modules::artifact::Descriptor {
    serde_json::from_slice::<ImageManifest>(manifest).unwrap().layers.remove(0)
}

/// The manifest at a tag, what is said of it, and the signature over that.
fn simply_signed(tag: &str) -> (Digest, Vec<u8>, String) {
    let manifest = tagged(tag);
    let signatures = tagged(&format!("sha256-{}.sig", manifest.hex()));
    let layer = layer(&blob(&signatures.to_string()));
    let signature = layer.annotation("dev.cosignproject.cosign/signature").unwrap().to_owned();
    (manifest, blob(&layer.digest), signature)
}

fn bundled(tag: &str) -> (Digest, Vec<u8>) {
    let manifest = tagged(tag);
    let index = blob(&tagged(&format!("sha256-{}", manifest.hex())).to_string());
    let index: Index = serde_json::from_slice(&index).unwrap();
    (manifest, blob(&layer(&blob(&index.manifests[0].digest)).digest))
}

#[test]
fn keys_are_read_and_others_refused() {
    assert_eq!(keys(&["cosign.pub", "rsa.pub"]).len(), 2);
    let refused = |pem: &[u8]| PublicKey::from_pem("key", pem).unwrap_err();
    assert!(refused(ED25519.as_bytes()).contains("neither ECDSA on P-256 nor RSA"));
    assert!(refused(b"hello").contains("no PEM public key"));
    assert!(refused(&read("cosign.pub")[..60]).contains("no PEM public key"));
}

#[test]
fn a_blob_is_signed_by_any_of_the_keys() {
    let module = fs::read(MODULE).unwrap();
    let keys = keys(&["rsa.pub", "cosign.pub"]);
    for (file, key) in [("cosign.sig", "cosign.pub"), ("rsa.sig", "rsa.pub")] {
        let signature = String::from_utf8(read(file)).unwrap();
        assert_eq!(of_blob(&module, Some(&signature), &keys).unwrap(), key);
        for (bytes, signature, keys, named) in [
            (&module[1..], Some(&*signature), &keys[..], "not by rsa.pub or cosign.pub"),
            (&module, Some("MEUC"), &keys, "not by rsa.pub or cosign.pub"),
            (&module, Some("?"), &keys, "not by rsa.pub or cosign.pub"),
            (&module, None, &keys, "spec.module.signature"),
            (&module, Some(&signature), &[], "not by"),
        ] {
            let problem = of_blob(bytes, signature, keys).unwrap_err();
            assert!(problem.text.contains(named) && !problem.is_retryable, "{problem:?}");
        }
    }
    let by_cosign = String::from_utf8(read("cosign.sig")).unwrap();
    assert!(of_blob(&module, Some(&by_cosign), &keys[..1]).is_err(), "one key for another");
}

#[test]
fn a_simple_signature_is_of_one_manifest_by_one_key() {
    let keys = keys(&["rsa.pub", "cosign.pub"]);
    let (manifest, payload, signature) = simply_signed("simple-signing");
    let verify = simple_signing::verify;
    assert_eq!(verify(&payload, &signature, manifest, &keys), Ok("cosign.pub"));
    let (other, by_another, its_signature) = simply_signed("by-another");
    let error = verify(&payload, &signature, other, &keys).unwrap_err();
    assert!(error.contains("one by cosign.pub is over"), "{error}");
    let error = verify(&by_another, &its_signature, other, &keys).unwrap_err();
    assert_eq!(error, "one is by another key");
    // What says the right thing, and was not signed.
    let forged = String::from_utf8(payload).unwrap().replace(&manifest.hex(), &other.hex());
    assert_eq!(verify(forged.as_bytes(), &signature, other, &keys).unwrap_err(), error);
}

#[test]
fn a_bundle_is_of_one_manifest_by_one_key_and_says_that_it_signs_it() {
    let keys = keys(&["rsa.pub", "cosign.pub"]);
    let (manifest, bundle) = bundled("bundle");
    let verify = bundle::verify;
    assert_eq!(verify(&bundle, manifest, &keys), Ok("cosign.pub"));
    let (other, by_another) = bundled("by-another");
    let error = verify(&bundle, other, &keys).unwrap_err();
    assert!(error.contains("over another manifest"), "{error}");
    assert_eq!(verify(&by_another, other, &keys).unwrap_err(), "one is by another key");
    let (attested, attestation) = bundled("attested");
    let error = verify(&attestation, attested, &keys).unwrap_err();
    assert!(error.starts_with("one by cosign.pub says \"https://cosign.sigstore.dev/"), "{error}");

    let change = |from: &str, to: &str| {
        let text = String::from_utf8(bundle.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        verify(text.replace(from, to).as_bytes(), manifest, &keys).unwrap_err()
    };
    let envelope: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = envelope["dsseEnvelope"]["payload"].as_str().unwrap();
    let mut statement = BASE64_STANDARD.decode(payload).unwrap();
    statement.push(b' ');
    assert_eq!(change(payload, &BASE64_STANDARD.encode(statement)), "one is by another key");
    assert_eq!(change("in-toto+json", "other+json"), "one is by another key");
    assert!(change("dsseEnvelope", "messageSignature").contains("not over a manifest"));
    assert!(change(payload, "?").contains("its payload"));
}
