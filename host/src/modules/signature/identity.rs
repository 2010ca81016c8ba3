//! Keyless signatures: the key is thrown away once it has signed, and a certificate says whose it was.
//! That it was so, and when, is verified with the trusted root that the operator gives.

use std::fmt;

use regex::Regex;
use serde::Deserialize;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Artifact, Bundle};
use sigstore_verify::{VerificationPolicy, Verifier};

/// Identities that the operator trusts, and what tells that a signature is by one of them.
pub(in crate::modules) struct Identities {
    verifier: Verifier,
    /// What must be proven, whoever it is.
    evidence: VerificationPolicy,
    trusted: Vec<Identity>,
}

/// Who may have signed, as the operator writes it: an account at an OpenID Connect issuer.
#[derive(Deserialize)]
#[serde(try_from = "Document")]
pub(in crate::modules) struct Identity {
    issuer: String,
    subject: Subject,
}

enum Subject {
    Exactly(String),
    /// It matches the whole of a subject.
    Pattern(Regex),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    issuer: String,
    subject: Option<String>,
    subject_reg_exp: Option<String>,
}

impl Identities {
    /// `trusted_root` is the JSON of a Sigstore TrustedRoot. All that it names must vouch for a signature:
    /// its certificate authorities always, its transparency logs and its certificate transparency logs if
    /// it has any. Without a log, one of its time stamp authorities says when it was signed.
    pub(in crate::modules) fn new(
        trusted_root: &str,
        trusted: Vec<Identity>,
    ) -> Result<Self, String> {
        let root = TrustedRoot::from_json(trusted_root)
            .map_err(|error| format!("it is no TrustedRoot of Sigstore: {error}"))?;
        if root.certificate_authorities.is_empty() {
            return Err("it names no certificateAuthorities".to_owned());
        }
        let mut evidence = VerificationPolicy::any_identity();
        if root.ctlogs.is_empty() {
            evidence = evidence.skip_sct();
        }
        if root.tlogs.is_empty() {
            if root.timestamp_authorities.is_empty() {
                return Err(
                    "it names neither tlogs nor timestampAuthorities: nothing could tell when \
                            a module was signed"
                        .to_owned(),
                );
            }
            evidence = evidence.skip_tlog_unsafe();
        }
        let verifier = Verifier::new(&root).map_err(|error| error.to_string())?;
        Ok(Self { verifier, evidence, trusted })
    }

    /// Who signed, if it is one of them.
    pub(super) fn signer(&self, artifact: Artifact<'_>, bundle: &Bundle) -> Result<String, String> {
        let verified = self.verifier.verify(artifact, bundle, &self.evidence);
        let verified = verified.map_err(|error| format!("one is keyless: {error}"))?;
        let (Some(subject), Some(issuer)) = (verified.identity(), verified.issuer()) else {
            return Err("one is by a certificate that names nobody".to_owned());
        };
        let signer = format!("{} ({issuer})", subject.as_str());
        let is_trusted = |identity: &Identity| identity.is(subject.as_str(), issuer);
        match self.trusted.iter().any(is_trusted) {
            true => Ok(signer),
            false => Err(format!("one is by {signer}")),
        }
    }

    pub(super) fn trusted(&self) -> &[Identity] {
        &self.trusted
    }
}

impl Identity {
    fn is(&self, subject: &str, issuer: &str) -> bool {
        let is_subject = match &self.subject {
            Subject::Exactly(this) => this == subject,
            Subject::Pattern(pattern) => pattern.is_match(subject),
        };
        is_subject && self.issuer == issuer
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Exactly(subject) => write!(formatter, "{subject} ({})", self.issuer),
            Subject::Pattern(pattern) => write!(formatter, "{pattern} ({})", self.issuer),
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.trusted.iter().map(Identity::to_string)).finish()
    }
}

impl TryFrom<Document> for Identity {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let Document { issuer, subject, subject_reg_exp } = document;
        let subject = match (subject, subject_reg_exp) {
            (Some(subject), None) => Subject::Exactly(subject),
            (None, Some(pattern)) => {
                let whole = Regex::new(&format!("^(?:{pattern})$"));
                Subject::Pattern(whole.map_err(|error| format!("subjectRegExp: {error}"))?)
            }
            _ => return Err("an identity needs a `subject` or a `subjectRegExp`".to_owned()),
        };
        Ok(Self { issuer, subject })
    }
}
