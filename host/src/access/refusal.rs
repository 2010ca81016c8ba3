//! Why an account may not do all that a handler needs: for the operator, and for the audit.

use std::fmt;

use super::{Access, ServiceAccount};

/// Something is not allowed, or not known to be.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The server says no, and perhaps why.
    Denied { account: ServiceAccount, denied: Vec<(Access, String)> },
    /// The server has not said for too long.
    Unknown { account: ServiceAccount, access: Access, problem: String },
}

impl Refusal {
    /// One line of the log for each thing that is denied.
    pub(crate) fn audit(&self, handler: &str) {
        let line = |account: &ServiceAccount, access: &Access, decision, reason: &str| {
            tracing::warn!(
                target: AUDIT_LOG,
                handler,
                account = account.user(),
                verb = access.verb,
                group = access.group,
                resource = access.resource,
                namespace = access.namespace,
                name = access.name,
                decision,
                reason,
                "access"
            );
        };
        match self {
            Self::Denied { account, denied } => {
                for (access, reason) in denied {
                    line(account, access, "denied", reason);
                }
            }
            Self::Unknown { account, access, problem } => {
                line(account, access, "denied: not known", problem);
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account, denied) = match self {
            Self::Denied { account, denied } => (account, denied),
            Self::Unknown { account, access, problem } => {
                return write!(
                    f,
                    "whether the ServiceAccount {account} may {} {access} is not known, so it may not: {problem}",
                    access.verb
                );
            }
        };
        let accesses: Vec<&Access> = denied.iter().map(|(access, _)| access).collect();
        // Of one object or collection the verbs follow each other.
        let mut groups = accesses.chunk_by(|a, b| a.is_same_but_for_the_verb(b));
        for (place, group) in groups.by_ref().take(TOLD_MAX).enumerate() {
            let Some(access) = group.first() else { continue };
            let verbs: Vec<&str> = group.iter().map(|it| it.verb).collect();
            let verbs = verbs.join(", ");
            match place {
                0 => write!(f, "the ServiceAccount {account} may not {verbs} {access}")?,
                _ => write!(f, "; nor {verbs} {access}")?,
            }
            let role = match &access.namespace {
                Some(namespace) => format!("a Role in {namespace}"),
                None => "a ClusterRole".to_owned(),
            };
            let names = access
                .name
                .iter()
                .map(|name| format!(", resourceNames: [{name}]"))
                .collect::<String>();
            write!(
                f,
                " (allow it in {role} that is bound to it: {{ apiGroups: [{:?}], resources: [{}]{names}, \
                 verbs: [{verbs}] }})",
                access.group, access.resource
            )?;
        }
        match groups.count() {
            0 => Ok(()),
            more => write!(f, "; nor {more} more"),
        }
    }
}

impl Access {
    fn is_same_but_for_the_verb(&self, other: &Self) -> bool {
        *self == Self { verb: self.verb, ..other.clone() }
    }
}

/// What is accessed, without the verb.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => f.write_str(" across the cluster"),
        }
    }
}

/// The log target of the audit.
const AUDIT_LOG: &str = "audit";

/// Problems are for people.
const TOLD_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn access(verb: &'static str, resource: &str, namespace: Option<&str>) -> Access {
        Access {
            verb,
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: None,
        }
    }

    #[test]
    fn it_names_the_account_what_it_may_not_and_the_rule_to_add() {
        let account = ServiceAccount::new("prod", "reader").unwrap();
        let named =
            Access { name: Some("a".to_owned()), ..access("get", "daemonsets", Some("prod")) };
        let denied = [
            access("list", "deployments", Some("prod")),
            access("watch", "deployments", Some("prod")),
            access("list", "deployments", None),
            named,
        ];
        let denied = denied.map(|it| (it, String::new())).to_vec();
        assert_eq!(
            Refusal::Denied { account, denied }.to_string(),
            "the ServiceAccount prod/reader may not list, watch deployments.apps in prod (allow it in a Role \
             in prod that is bound to it: { apiGroups: [\"apps\"], resources: [deployments], verbs: [list, \
             watch] }); nor list deployments.apps across the cluster (allow it in a ClusterRole that is bound \
             to it: { apiGroups: [\"apps\"], resources: [deployments], verbs: [list] }); nor get \
             daemonsets.apps \"a\" in prod (allow it in a Role in prod that is bound to it: { apiGroups: \
             [\"apps\"], resources: [daemonsets], resourceNames: [a], verbs: [get] })"
        );
    }

    #[test]
    fn of_many_it_names_the_first() {
        let account = ServiceAccount::new("prod", "reader").unwrap();
        let namespaces = (0..9).map(|n| format!("n{n}"));
        let denied = namespaces.map(|it| (access("list", "deployments", Some(&it)), String::new()));
        let text = Refusal::Denied { account, denied: denied.collect() }.to_string();
        assert!(text.contains("in n3 ") && !text.contains("in n4 "), "{text}");
        assert!(text.ends_with("; nor 5 more"), "{text}");
    }
}
