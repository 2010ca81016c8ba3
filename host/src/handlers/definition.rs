//! One handler as it should be: what a file of the handlers directory, a custom resource or an operator's
//! command asks the registry for.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::spec::{HandlerSpec, SecretKeyRef};
use crate::access::ServiceAccount;
use crate::modules::{Location, ModuleSource};

/// A handler as its source describes it. Two that are equal need no reload.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerDefinition {
    /// Unique in the host: a DNS label, or `namespace/name` of a custom resource.
    pub name: String,
    /// What describes it.
    pub source: DefinitionSource,
    /// The module's file, if that is where `spec.module` says that it is.
    pub file: Option<ModuleFile>,
    /// The only namespace that it sees; none: all that its spec names.
    pub namespace: Option<String>,
    /// As written, or with nothing but the module.
    pub spec: HandlerSpec,
}

impl HandlerDefinition {
    /// Where the module is fetched from. A path that no file was found for is an error: only whoever may
    /// write to this machine names files of it.
    pub(super) fn module(&self) -> Result<ModuleSource, String> {
        let source = self.spec.module.clone();
        match &self.file {
            Some(file) => {
                Ok(ModuleSource { location: Location::Path(file.path.clone()), ..source })
            }
            None if source.path().is_none() => Ok(source),
            None => Err("spec.module.path is for the handlers directory: name a url".to_owned()),
        }
    }

    /// The namespace of the Secrets that its module is pulled with: a custom resource's own; none: the
    /// host's.
    pub(super) fn namespace_of_pull_secrets(&self) -> Option<&str> {
        self.source.namespace()
    }

    /// The account whose rights it has; none: the host's own. An error names the field.
    pub fn service_account(&self) -> Result<Option<ServiceAccount>, String> {
        let named = self.spec.service_account_name.as_deref();
        let at = |problem| format!("spec.serviceAccountName: {problem}");
        let (namespace, name) = match (&self.source, named) {
            (DefinitionSource::Resource { namespace, .. }, name) => {
                (&**namespace, name.unwrap_or("default"))
            }
            (_, None) => return Ok(None),
            (_, Some(named)) => named.split_once('/').ok_or_else(|| {
                at(format!(
                    "{named:?} must be the account's namespace and name, as `namespace/name`"
                ))
            })?,
        };
        ServiceAccount::new(namespace, name).map(Some).map_err(at)
    }

    /// The namespace of a Secret that its spec refers to. An error names the field.
    pub(super) fn namespace_of(&self, secret: &SecretKeyRef) -> Result<String, String> {
        let at = "spec.secrets: secretKeyRef.namespace";
        match (&self.source, &secret.namespace) {
            (DefinitionSource::Resource { namespace: own, .. }, Some(other)) if own != other => {
                Err(format!(
                    "{at} is {other:?}, and this handler gets Secrets of its own, {own:?}, only"
                ))
            }
            (DefinitionSource::Resource { namespace: own, .. }, _) => Ok(own.clone()),
            (_, Some(namespace)) => Ok(namespace.clone()),
            (_, None) => {
                Err(format!("{at} is needed for {:?}: a file is in no namespace", secret.name))
            }
        }
    }
}

/// A module's file, in one of its states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// With all links followed.
    pub path: PathBuf,
    /// Another one when the file has been written or exchanged.
    stamp: FileStamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ModuleFile {
    /// The file as it is now.
    pub fn at(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let file = path.metadata()?;
        let stamp = FileStamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        };
        Ok(Self { path, stamp })
    }
}

/// What describes a handler; messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefinitionSource {
    /// A file of the handlers directory: a spec, or the module itself.
    File(PathBuf),
    /// A custom resource.
    Resource {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its `metadata.generation`.
        generation: i64,
    },
    /// A file that an operator named to the running host.
    Operator(PathBuf),
}

impl DefinitionSource {
    /// The namespace whose users write it; none: only whoever runs the host does.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Resource { namespace, .. } => Some(namespace),
            Self::File(_) | Self::Operator(_) => None,
        }
    }

    /// One of the kind may take the other's place.
    pub(super) fn is_of_the_kind_of(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for DefinitionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Operator(file) => write!(f, "{}", file.display()),
            Self::Resource { namespace, name, .. } => write!(f, "Handler {namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(source: DefinitionSource, account: Option<&str>) -> HandlerDefinition {
        let mut spec = HandlerSpec::of_module("a.wasm".into());
        spec.service_account_name = account.map(str::to_owned);
        let module = ModuleFile::at(Path::new("/")).unwrap();
        HandlerDefinition {
            name: "a".to_owned(),
            source,
            file: Some(module),
            namespace: None,
            spec,
        }
    }

    fn resource(account: Option<&str>) -> HandlerDefinition {
        let (namespace, name) = ("prod".to_owned(), "a".to_owned());
        definition(DefinitionSource::Resource { namespace, name, generation: 1 }, account)
    }

    fn file(account: Option<&str>) -> HandlerDefinition {
        definition(DefinitionSource::File("a.yaml".into()), account)
    }

    fn account(of: &HandlerDefinition) -> Result<Option<String>, String> {
        Ok(of.service_account()?.map(|account| account.to_string()))
    }

    #[test]
    fn a_resource_has_an_account_of_its_namespace_and_a_file_any_or_none() {
        assert_eq!(account(&resource(None)), Ok(Some("prod/default".to_owned())));
        assert_eq!(account(&resource(Some("reader"))), Ok(Some("prod/reader".to_owned())));
        assert!(
            account(&resource(Some("other/reader"))).unwrap_err().contains("serviceAccountName")
        );
        assert_eq!(account(&file(None)), Ok(None));
        assert_eq!(account(&file(Some("other/reader"))), Ok(Some("other/reader".to_owned())));
        assert!(account(&file(Some("reader"))).unwrap_err().contains("`namespace/name`"));
    }

    #[test]
    fn a_resource_gets_secrets_of_its_namespace_only() {
        let secret = |namespace: Option<&str>| SecretKeyRef {
            namespace: namespace.map(str::to_owned),
            name: "s".to_owned(),
            key: "k".to_owned(),
        };
        assert_eq!(resource(None).namespace_of(&secret(None)), Ok("prod".to_owned()));
        assert_eq!(resource(None).namespace_of(&secret(Some("prod"))), Ok("prod".to_owned()));
        assert!(resource(None).namespace_of(&secret(Some("other"))).is_err());
        assert_eq!(file(None).namespace_of(&secret(Some("other"))), Ok("other".to_owned()));
        assert!(
            file(None).namespace_of(&secret(None)).unwrap_err().contains("namespace is needed")
        );
    }

    #[test]
    fn a_path_counts_only_if_the_file_was_found_for_it() {
        let found = file(None);
        assert_eq!(found.module().unwrap().path(), Some(Path::new("/")));
        let named = HandlerDefinition { file: None, ..resource(None) };
        assert!(named.module().unwrap_err().contains("name a url"));
        assert_eq!(named.namespace_of_pull_secrets(), Some("prod"));
        assert_eq!(found.namespace_of_pull_secrets(), None);
    }
}
