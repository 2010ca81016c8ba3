//! What the ServiceAccount that a handler is bound to may do on the server, asked by SubjectAccessReview.
//!
//! in:   an account, and what is to be done in its name
//! out:  that all of it is allowed, or a [`Refusal`]

mod decisions;
mod refusal;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::decisions::{Decision, Decisions};
pub(crate) use self::refusal::Refusal;
use crate::api_server::with_sources;

/// The account in whose name a handler watches and reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

/// One thing that can be allowed or not, in RBAC's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    pub(crate) verb: &'static str,
    /// Empty: the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    /// The plural.
    pub(crate) resource: String,
    /// None: all namespaces, or a cluster-scoped resource.
    pub(crate) namespace: Option<String>,
    /// None: objects of all names.
    pub(crate) name: Option<String>,
}

/// What is done in whose name.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) account: ServiceAccount,
    pub(crate) accesses: Vec<Access>,
}

/// How long what the server said counts. With the defaults, a right that is taken away is noticed within
/// 60 s: a decision of another handler that was used at the end of `valid_for`, `recheck` until it is looked at
/// again, the time that the server may take for both, and a handover to the next generation in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessPeriods {
    /// A decision is used again for so long, whether it allows or denies.
    pub valid_for: Duration,
    /// How often a running handler's rights are looked at, and those that one lacks asked for again.
    pub recheck: Duration,
    /// While the server does not answer, a decision counts for so long beyond `valid_for`; then nothing is
    /// allowed.
    pub kept_for: Duration,
}

/// Asks the server and remembers what it said.
pub(crate) struct AccessReviewer {
    client: Client,
    decisions: Decisions,
    asking: Semaphore,
    periods: OnceLock<AccessPeriods>,
}

impl AccessReviewer {
    pub(crate) fn new(client: Client) -> Self {
        let asking = Semaphore::new(ASKED_AT_ONCE);
        Self { client, decisions: Decisions::default(), asking, periods: OnceLock::new() }
    }

    /// Only the first time counts.
    pub(crate) fn set_periods(&self, periods: AccessPeriods) {
        let _ = self.periods.set(periods);
    }

    pub(crate) fn periods(&self) -> AccessPeriods {
        self.periods.get().copied().unwrap_or_default()
    }

    /// Whether all of it is allowed.
    pub(crate) async fn review(&self, authority: &Authority) -> Result<(), Refusal> {
        let Authority { account, accesses } = authority;
        let decided = accesses.iter().map(|access| async move {
            let question = (account.clone(), access.clone());
            self.decisions.decide(question, self.periods(), self.ask(account, access)).await
        });
        let decided = join_all(decided).await;
        let mut denied = Vec::new();
        let mut unknown = None;
        for (access, decision) in accesses.iter().zip(decided) {
            match decision {
                Ok(Decision::Allowed) => {}
                Ok(Decision::Denied(reason)) => denied.push((access.clone(), reason)),
                Err(problem) => unknown = unknown.or(Some((access.clone(), problem))),
            }
        }
        match (denied.is_empty(), unknown) {
            (true, None) => Ok(()),
            (true, Some((access, problem))) => {
                Err(Refusal::Unknown { account: account.clone(), access, problem })
            }
            (false, _) => Err(Refusal::Denied { account: account.clone(), denied }),
        }
    }

    async fn ask(&self, account: &ServiceAccount, access: &Access) -> Result<Decision, String> {
        let spec = SubjectAccessReviewSpec {
            user: Some(account.user()),
            groups: Some(account.groups()),
            resource_attributes: Some(access.attributes()),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let asked = timeout(ASK_TIMEOUT, async {
            // It is never closed.
            let _turn = self.asking.acquire().await;
            reviews.create(&PostParams::default(), &review).await
        });
        let status = match asked.await {
            Err(_) => return Err(format!("no answer within {ASK_TIMEOUT:?}")),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return Err(format!(
                    "the host's own account may not create subjectaccessreviews: bind it to a \
                     ClusterRole with that rule, as system:auth-delegator is ({})",
                    status.message
                ));
            }
            Ok(Err(error)) => return Err(with_sources(&error)),
            Ok(Ok(review)) => review.status.unwrap_or_default(),
        };
        // What an authorizer could not evaluate is told as an error and not allowed.
        match status.allowed && status.denied != Some(true) {
            true => Ok(Decision::Allowed),
            false => {
                let why = status.reason.filter(|it| !it.is_empty()).or(status.evaluation_error);
                Ok(Decision::Denied(why.unwrap_or_default()))
            }
        }
    }
}

impl ServiceAccount {
    /// An error says which of the two cannot be the name of such a thing. Both become parts of a user's name,
    /// in which a colon would separate.
    pub fn new(namespace: &str, name: &str) -> Result<Self, String> {
        let is_label = |text: &str| is_subdomain(text) && !text.contains('.') && text.len() <= 63;
        match (is_label(namespace), is_subdomain(name)) {
            (true, true) => Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() }),
            (false, _) => Err(format!("{namespace:?} cannot be the name of a namespace")),
            (true, false) => Err(format!("{name:?} cannot be the name of a ServiceAccount")),
        }
    }

    /// As the server authenticates it.
    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    fn groups(&self) -> Vec<String> {
        vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", self.namespace),
            "system:authenticated".to_owned(),
        ]
    }
}

/// Whether it is a DNS subdomain, as the names of most objects are.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        label.bytes().all(|byte| is_inner(byte) || byte == b'-')
            && label.bytes().next().is_some_and(is_inner)
            && label.bytes().last().is_some_and(is_inner)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl Access {
    fn attributes(&self) -> ResourceAttributes {
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.group.clone()),
            version: Some(self.version.clone()),
            resource: Some(self.resource.clone()),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        }
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Default for AccessPeriods {
    fn default() -> Self {
        Self {
            valid_for: Duration::from_secs(15),
            recheck: Duration::from_secs(20),
            kept_for: Duration::from_secs(60),
        }
    }
}

/// How long the server may take for one answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Of all handlers together.
const ASKED_AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_user_that_the_server_authenticates() {
        let account = ServiceAccount::new("prod", "my.reader").unwrap();
        assert_eq!(account.user(), "system:serviceaccount:prod:my.reader");
        assert!(account.groups().contains(&"system:serviceaccounts:prod".to_owned()));
    }

    #[test]
    fn an_account_whose_name_would_be_anothers_is_refused() {
        for (namespace, name) in [
            ("prod:x", "a"),
            ("a", "b:c"),
            ("", "a"),
            ("a", ""),
            ("a.b", "c"),
            ("a", "B"),
            ("a", "../b"),
        ] {
            assert!(ServiceAccount::new(namespace, name).is_err(), "{namespace} {name}");
        }
    }
}
