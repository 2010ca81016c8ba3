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
    /// As it was written.
    subject: String,
    /// If that is a pattern: what matches the whole of a subject.
    pattern: Option<Regex>,
    /// For which repository it was at work; none: for any.
    source_repository: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    issuer: String,
    subject: Option<String>,
    subject_reg_exp: Option<String>,
    source_repository: Option<String>,
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
        let material = &bundle.verification_material;
        let stamps = &material.timestamp_verification_data.rfc3161_timestamps;
        if material.tlog_entries.len().max(stamps.len()) > WITNESSES_MAX {
            return Err(format!(
                "one is keyless, with more than {WITNESSES_MAX} entries of logs or time stamps"
            ));
        }
        if self.evidence.verifies_tlog() && material.tlog_entries.is_empty() {
            return Err("one is keyless and brings no entry of a transparency log, and the \
                        trustedRoot names one (tlogs)"
                .to_owned());
        }
        let verified = self.verifier.verify(artifact, bundle, &self.evidence);
        let verified = verified.map_err(|error| format!("one is keyless: {error}"))?;
        let (Some(subject), Some(issuer)) = (verified.identity(), verified.issuer()) else {
            return Err("one is by a certificate that names nobody".to_owned());
        };
        let (subject, certificate) = (subject.as_str(), verified.certificate());
        let repository = certificate.and_then(|it| it.ci_claims.source_repository_uri.as_deref());
        let is_trusted = |identity: &Identity| identity.is(subject, issuer, repository);
        match (self.trusted.iter().any(is_trusted), repository) {
            (true, _) => Ok(format!("{subject} ({issuer})")),
            (false, None) => Err(format!("one is by {subject} ({issuer})")),
            (false, Some(repository)) => {
                Err(format!("one is by {subject} ({issuer}), at work for {repository}"))
            }
        }
    }

    pub(super) fn trusted(&self) -> &[Identity] {
        &self.trusted
    }
}

impl Identity {
    fn is(&self, subject: &str, issuer: &str, repository: Option<&str>) -> bool {
        let is_subject = match &self.pattern {
            None => self.subject == subject,
            Some(pattern) => pattern.is_match(subject),
        };
        let is_repository =
            self.source_repository.as_deref().is_none_or(|this| repository == Some(this));
        is_subject && is_repository && self.issuer == issuer
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.subject, self.issuer)?;
        match &self.source_repository {
            None => Ok(()),
            Some(repository) => write!(formatter, " at work for {repository}"),
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
        let Document { issuer, subject, subject_reg_exp, source_repository } = document;
        let (subject, pattern) = match (subject, subject_reg_exp) {
            (Some(subject), None) => (subject, None),
            (None, Some(written)) => {
                // By itself first: what is no pattern may become one between the anchors.
                let whole = Regex::new(&written)
                    .and_then(|_| Regex::new(&format!("^(?:{written})$")))
                    .map_err(|error| format!("subjectRegExp: {error}"))?;
                (written, Some(whole))
            }
            _ => return Err("an identity needs a `subject` or a `subjectRegExp`".to_owned()),
        };
        if issuer.is_empty() || subject.is_empty() {
            return Err("an identity's `issuer` and `subject` must not be empty".to_owned());
        }
        Ok(Self { issuer, subject, pattern, source_repository })
    }
}

/// Entries of logs, and time stamps, of one signature. One of each is usual, and each takes some time to verify.
const WITNESSES_MAX: usize = 8;
