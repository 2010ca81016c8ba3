//! One handler as it should be: what a file of the handlers directory, a custom resource or an operator's
//! command asks the registry for.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::spec::HandlerSpec;
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
    /// Where the module is fetched from.
    pub(super) fn module(&self) -> ModuleSource {
        let source = self.spec.module.clone();
        match &self.file {
            Some(file) => ModuleSource { location: Location::Path(file.path.clone()), ..source },
            None => source,
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
