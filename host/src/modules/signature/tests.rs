//! Against what the real cosign made: `tests/sources/cosign`.

use std::fs;

use serde_json::Value;

use super::*;
use crate::modules::artifact::{Descriptor, ImageManifest, Index};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sources/cosign");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/contract/0.1.0.wasm");

const ED25519: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAAQa9HIsVkeVoXl3FjPPwoyeA9rdhUQ1fP64TpPcPDVQ=\n\
    -----END PUBLIC KEY-----\n";

fn read(file: &str) -> Vec<u8> {
    fs::read(format!("{FOLDER}/{file}")).unwrap()
}

fn keys(names: &[&str]) -> Signers {
    let key = |name: &&str| PublicKey::from_pem(name, &read(name)).unwrap();
    Signers { keys: names.iter().map(key).collect(), identities: None }
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

fn layer(manifest: &[u8]) -> Descriptor {
    serde_json::from_slice::<ImageManifest>(manifest).unwrap().layers.remove(0)
}

/// The manifest at a tag, what is said of it, and the layer with the signature over that.
fn simply_signed(tag: &str) -> (Digest, Vec<u8>, Descriptor) {
    let manifest = tagged(tag);
    let signatures = tagged(&format!("sha256-{}.sig", manifest.hex()));
    let layer = layer(&blob(&signatures.to_string()));
    (manifest, blob(&layer.digest), layer)
}

fn bundled(tag: &str) -> (Digest, Vec<u8>) {
    let manifest = tagged(tag);
    let index = blob(&tagged(&format!("sha256-{}", manifest.hex())).to_string());
    let index: Index = serde_json::from_slice(&index).unwrap();
    (manifest, blob(&layer(&blob(&index.manifests[0].digest)).digest))
}

#[test]
fn keys_are_read_and_others_refused() {
    assert_eq!(keys(&["cosign.pub", "rsa.pub"]).to_string(), "cosign.pub or rsa.pub");
    let refused = |pem: &[u8]| PublicKey::from_pem("key", pem).unwrap_err();
    assert!(refused(ED25519.as_bytes()).contains("neither ECDSA on P-256 nor RSA"));
    assert!(refused(b"hello").contains("no PEM public key"));
    assert!(refused(&read("cosign.pub")[..60]).contains("no PEM public key"));
}

#[test]
fn a_blob_is_signed_by_any_of_the_keys() {
    let module = fs::read(MODULE).unwrap();
    let both = keys(&["rsa.pub", "cosign.pub"]);
    let of_blob = |bytes: &[u8], signature: Option<&str>, by: &Signers| {
        super::of_blob(bytes, Digest::of(bytes), signature, by)
    };
    for (file, key) in [("cosign.sig", "cosign.pub"), ("rsa.sig", "rsa.pub")] {
        let signature = String::from_utf8(read(file)).unwrap();
        assert_eq!(of_blob(&module, Some(&signature), &both).unwrap(), key);
        for (bytes, signature, named) in [
            (&module[1..], Some(&*signature), "trusted is rsa.pub or cosign.pub"),
            (&module, Some("MEUC"), "it is by another key"),
            (&module, Some("?"), "it is by another key"),
            (&module, Some("{"), "one is no bundle"),
            (&module, None, "spec.module.signature"),
        ] {
            let problem = of_blob(bytes, signature, &both).unwrap_err();
            assert!(problem.text.contains(named) && !problem.is_retryable, "{problem:?}");
        }
    }
    let by_cosign = String::from_utf8(read("cosign.sig")).unwrap();
    assert!(of_blob(&module, Some(&by_cosign), &keys(&["rsa.pub"])).is_err(), "another's");
    assert!(of_blob(&module, Some(&by_cosign), &Signers::default()).is_err(), "nobody's");
}

#[test]
fn a_simple_signature_is_of_one_manifest_by_one_key() {
    let keys = keys(&["rsa.pub", "cosign.pub"]);
    let (manifest, payload, signature) = simply_signed("simple-signing");
    let verify = simple_signing::verify;
    assert_eq!(verify(&payload, &signature, manifest, &keys).unwrap(), "cosign.pub");
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
    let verify = |bundle: &[u8], manifest| bundle::verify(bundle, manifest, None, &keys);
    assert_eq!(verify(&bundle, manifest).unwrap(), "cosign.pub");
    let (other, by_another) = bundled("by-another");
    let error = verify(&bundle, other).unwrap_err();
    assert!(error.contains("over something else than"), "{error}");
    assert_eq!(verify(&by_another, other).unwrap_err(), "one is by another key");
    let (attested, attestation) = bundled("attested");
    let error = verify(&attestation, attested).unwrap_err();
    assert!(error.starts_with("one by cosign.pub says \"https://cosign.sigstore.dev/"), "{error}");

    let change = |from: &str, to: &str| {
        let text = String::from_utf8(bundle.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        verify(text.replace(from, to).as_bytes(), manifest).unwrap_err()
    };
    let envelope: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = envelope["dsseEnvelope"]["payload"].as_str().unwrap();
    let mut statement = BASE64_STANDARD.decode(payload).unwrap();
    statement.push(b' ');
    assert_eq!(change(payload, &BASE64_STANDARD.encode(statement)), "one is by another key");
    assert_eq!(change("in-toto+json", "other+json"), "one is by another key");
    assert!(change("dsseEnvelope", "messageSignature").contains("one is no bundle"));
    assert!(change(payload, "?").contains("one is no bundle"));
}

const RELEASE: &str =
    r#"[{ "issuer": "http://localhost:5556", "subject": "release@example.com" }]"#;

fn identities(trusted_root: &str, trusted: &str) -> Result<Signers, String> {
    let identities = Identities::new(trusted_root, serde_json::from_str(trusted).unwrap())?;
    Ok(Signers { keys: Vec::new(), identities: Some(identities) })
}

/// What a trusted root says of itself, after a change.
fn root(change: impl FnOnce(&mut Value)) -> String {
    let mut root = serde_json::from_slice(&read("trusted_root.json")).unwrap();
    change(&mut root);
    root.to_string()
}

/// By whom the manifest at a tag is, in whichever form it is signed.
fn keyless(tag: &str, signers: &Signers) -> Result<String, String> {
    if tag == "keyless-simple-signing" {
        let (manifest, payload, layer) = simply_signed(tag);
        return simple_signing::verify(&payload, &layer, manifest, signers);
    }
    let (manifest, bundle) = bundled(tag);
    bundle::verify(&bundle, manifest, None, signers)
}

#[test]
fn a_keyless_signature_counts_by_who_made_it() {
    let root = root(|_| {});
    let signers = identities(&root, RELEASE).unwrap();
    let by = "release@example.com (http://localhost:5556)";
    assert_eq!(signers.to_string(), by);
    for tag in ["keyless", "keyless-simple-signing"] {
        assert_eq!(keyless(tag, &signers).as_deref(), Ok(by), "{tag}");
        let error = keyless(tag, &keys(&["cosign.pub"])).unwrap_err();
        assert_eq!(error, "one is keyless, or by another key", "{tag}");
        for other in [
            r#"[{ "issuer": "http://localhost:5557", "subject": "release@example.com" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subject": "release@example.co" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subjectRegExp": "release@example" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subjectRegExp": "elease@example\\.com" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subjectRegExp": "release|nobody" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subject": "nobody@example.com" },
                { "issuer": "http://localhost:5557", "subject": "release@example.com" }]"#,
            r#"[{ "issuer": "http://localhost:5556", "subject": "release@example.com",
                  "sourceRepository": "https://example.com/acme/handlers" }]"#,
        ] {
            let error = keyless(tag, &identities(&root, other).unwrap()).unwrap_err();
            assert_eq!(error, format!("one is by {by}"), "{tag} for {other}");
        }
    }
    let error = keyless("keyless-attested", &signers).unwrap_err();
    assert!(error.starts_with(&format!("one by {by} says")), "{error}");
    let other = "https://example.com/acme/handlers/.github/workflows/release.yaml@refs/tags/v1.2.0";
    let ci = "http://localhost:5556/ci";
    let who = |issuer: &str, source_repository: Option<&str>| {
        let mut identity = serde_json::json!({ "issuer": issuer,
            "subjectRegExp": "https://example\\.com/acme/handlers/.*@refs/tags/v[0-9.]+" });
        if let Some(repository) = source_repository {
            identity["sourceRepository"] = repository.into();
        }
        keyless("keyless-other", &identities(&root, &format!("[{identity}]")).unwrap())
    };
    let repository = "https://example.com/acme/handlers";
    for counts in [who(ci, None), who(ci, Some(repository))] {
        assert_eq!(counts, Ok(format!("{other} ({ci})")));
    }
    // A workflow may be called by whoever likes: who signs is the one, for whom is the other.
    for does_not in [
        keyless("keyless-other", &signers),
        who("http://localhost:5556", None),
        who(ci, Some("https://example.com/acme/handler")),
    ] {
        assert_eq!(does_not, Err(format!("one is by {other} ({ci}), at work for {repository}")));
    }
}

#[test]
fn all_that_the_trusted_root_names_must_vouch_for_a_keyless_signature() {
    let another: Value = serde_json::from_slice(&read("other_root.json")).unwrap();
    let trusting = |root: &str| identities(root, RELEASE).unwrap();
    // Without a log, the time stamp is enough; with one, the signature must be in it.
    let stamped = trusting(&root(|root| root["tlogs"] = Value::Array(Vec::new())));
    assert!(keyless("keyless-timestamp", &stamped).is_ok());
    let logged = trusting(&root(|_| {}));
    let error = keyless("keyless-timestamp", &logged).unwrap_err();
    assert!(error.contains("no entry of a transparency log"), "{error}");
    // What a certificate log promised is missing in all of them.
    let published = trusting(&root(|root| root["ctlogs"] = root["tlogs"].clone()));
    let authority = trusting(&root(|root| {
        root["certificateAuthorities"] = another["certificateAuthorities"].clone()
    }));
    let log = trusting(&root(|root| root["tlogs"] = another["tlogs"].clone()));
    for tag in ["keyless", "keyless-simple-signing"] {
        for (signers, named) in [
            (&published, "SCT"),
            (&authority, "certificate chain"),
            (&log, "No log key valid"),
            (&stamped, "No log key valid"),
        ] {
            let error = keyless(tag, signers).unwrap_err();
            assert!(error.contains(named), "{tag}, where {named} is expected: {error}");
        }
    }
    // The authority's own certificate comes from the root, or in cosign 2's form with the signature.
    let top = trusting(&root(|root| {
        root["certificateAuthorities"][0]["certChain"]["certificates"]
            .as_array_mut()
            .unwrap()
            .remove(0);
    }));
    assert!(keyless("keyless", &top).unwrap_err().contains("UnknownIssuer"));
    assert!(keyless("keyless-simple-signing", &top).is_ok());
    let stamps = trusting(&root(|root| {
        root["tlogs"] = Value::Array(Vec::new());
        root["timestampAuthorities"] = another["timestampAuthorities"].clone();
    }));
    let error = keyless("keyless-timestamp", &stamps).unwrap_err();
    assert!(error.contains("TSA timestamp verification failed"), "{error}");

    for (field, named) in [
        ("certificateAuthorities", "it names no certificateAuthorities"),
        ("mediaType", "mediaType"),
    ] {
        let without = root(|root| drop(root.as_object_mut().unwrap().remove(field)));
        let error = identities(&without, RELEASE).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    let timeless = root(|root| {
        root["tlogs"] = Value::Array(Vec::new());
        root["timestampAuthorities"] = Value::Array(Vec::new());
    });
    assert!(identities(&timeless, RELEASE).unwrap_err().contains("neither tlogs nor"));
}

#[test]
fn a_keyless_signature_is_over_what_it_says_and_nothing_of_it_can_be_changed() {
    let signers = identities(&root(|_| {}), RELEASE).unwrap();
    let (other, _) = bundled("keyless-other");
    let (manifest, bundle) = bundled("keyless");
    let error = bundle::verify(&bundle, other, None, &signers).unwrap_err();
    assert!(error.contains("does not match any subject"), "{error}");
    let (_, payload, layer) = simply_signed("keyless-simple-signing");
    let error = simple_signing::verify(&payload, &layer, other, &signers).unwrap_err();
    assert!(error.contains("is over \"sha256:24ef72c1"), "{error}");

    // Whatever is in the evidence and not a comment on it: without it, and with another's in its place.
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let others: Value = serde_json::from_slice(&bundled("keyless-other").1).unwrap();
    for part in [
        "/verificationMaterial/certificate",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
        "/verificationMaterial/tlogEntries/0/inclusionProof",
        "/verificationMaterial/tlogEntries/0/integratedTime",
        "/verificationMaterial/tlogEntries/0",
        "/verificationMaterial/tlogEntries",
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures",
    ] {
        for with in [Value::Null, others.pointer(part).unwrap().clone()] {
            let mut changed = bundle.clone();
            *changed.pointer_mut(part).unwrap() = with;
            let changed = changed.to_string();
            let error = bundle::verify(changed.as_bytes(), manifest, None, &signers);
            assert!(error.is_err(), "{part} changed: {changed}");
        }
    }
    let entry = layer.annotation("dev.sigstore.cosign/bundle").unwrap().to_owned();
    let later = entry.replacen("\"integratedTime\":1", "\"integratedTime\":2", 1);
    assert_ne!(entry, later);
    for (annotation, changed, named) in [
        ("dev.cosignproject.cosign/signature", "MEUC", "invalid signature"),
        ("dev.sigstore.cosign/certificate", "-----BEGIN CERTIFICATE-----", "broken annotation"),
        ("dev.sigstore.cosign/bundle", "{}", "broken annotation"),
        ("dev.sigstore.cosign/bundle", &later, "SET verification failed"),
        ("dev.sigstore.cosign/rfc3161timestamp", "{}", "broken annotation"),
        (
            "dev.sigstore.cosign/rfc3161timestamp",
            r#"{"SignedRFC3161Timestamp":"MEUC"}"#,
            "TSA timestamp verification failed",
        ),
    ] {
        let mut layer = layer.clone();
        let annotations = layer.annotations.as_mut().unwrap();
        annotations.insert(annotation.to_owned(), changed.to_owned());
        let error =
            simple_signing::verify(&payload, &layer, tagged("keyless-simple-signing"), &signers);
        let error = error.unwrap_err();
        assert!(error.contains(named), "{annotation} changed to {changed:?}: {error}");
    }
}

#[test]
fn a_signature_by_a_key_counts_whatever_else_is_beside_it() {
    let keys = keys(&["cosign.pub"]);
    let (manifest, payload, mut layer) = simply_signed("simple-signing");
    let annotations = layer.annotations.as_mut().unwrap();
    annotations.insert("dev.sigstore.cosign/certificate".to_owned(), "odd".to_owned());
    let signer = simple_signing::verify(&payload, &layer, manifest, &keys);
    assert_eq!(signer.as_deref(), Ok("cosign.pub"));
    let (manifest, bundle) = bundled("bundle");
    let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
    bundle["verificationMaterial"] = serde_json::json!({ "certificate": {}, "tlogEntries": 7 });
    let signer = bundle::verify(bundle.to_string().as_bytes(), manifest, None, &keys);
    assert_eq!(signer.as_deref(), Ok("cosign.pub"));
}

#[test]
fn a_keyless_bundle_is_of_the_version_that_has_a_proof_and_not_too_large() {
    let signers = identities(&root(|_| {}), RELEASE).unwrap();
    let (manifest, bundle) = bundled("keyless");
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let refused = |change: &dyn Fn(&mut Value), named: &str| {
        let mut changed = bundle.clone();
        change(&mut changed);
        let changed = changed.to_string();
        let error = bundle::verify(changed.as_bytes(), manifest, None, &signers).unwrap_err();
        assert!(error.contains(named), "{error}");
    };
    // The first version does with the log's promise.
    let first = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    refused(
        &|bundle| bundle["mediaType"] = first.into(),
        "one is application/vnd.dev.sigstore.bundle+json;version=0.1",
    );
    refused(&|bundle| drop(bundle.as_object_mut().unwrap().remove("mediaType")), "version=0.1");
    refused(
        &|bundle| {
            let entries = &mut bundle["verificationMaterial"]["tlogEntries"];
            *entries = vec![entries[0].clone(); 9].into();
        },
        "more than 8 entries",
    );
}

#[test]
fn a_blob_comes_with_a_bundle_by_a_key_or_by_somebody() {
    let module = fs::read(MODULE).unwrap();
    let logged = identities(&root(|_| {}), RELEASE).unwrap();
    let stamped =
        identities(&String::from_utf8(read("trusted_root_timestamp.json")).unwrap(), RELEASE)
            .unwrap();
    let by_release = "release@example.com (http://localhost:5556)";
    for (file, signers, by, stranger) in [
        ("keyless.bundle", &logged, by_release, &keys(&["key.pub"])),
        ("keyless-timestamp.bundle", &stamped, by_release, &logged),
        ("key.bundle", &keys(&["cosign.pub", "key.pub"]), "key.pub", &keys(&["cosign.pub"])),
    ] {
        let bundle = String::from_utf8(read(file)).unwrap();
        let verify =
            |bytes: &[u8], signers| of_blob(bytes, Digest::of(bytes), Some(&bundle), signers);
        assert_eq!(verify(&module, signers).unwrap(), by, "{file}");
        for error in [verify(&module[1..], signers), verify(&module, stranger)] {
            let problem = error.unwrap_err();
            assert!(
                problem.text.starts_with("spec.module.signature does not count"),
                "{problem:?}"
            );
        }
    }
}
