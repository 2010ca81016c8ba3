//! The names of the contract's functions in a core module, and the shorter ones that are taken for
//! them. Names come from the files in `wit/`, and nowhere else.
//!
//! Full: `informerd:handler/log@0.1.0` imports `log`; `informerd:handler/handler@0.1.0#on-add` is
//! exported. Short: the interface without package and version, the exported function without its
//! interface, and words joined in the language's way: `on-add`, `on_add` or `onAdd`.

use std::sync::LazyLock;

use wit_parser::{Resolve, SourceMap, WorldId, WorldItem, WorldKey};

use super::contract::ContractVersion;

/// The world of `wit/`.
pub(super) struct Contract {
    pub(super) resolve: Resolve,
    pub(super) world: WorldId,
    imports: Vec<Interface>,
    exports: Vec<Interface>,
}

struct Interface {
    /// `informerd:handler/log`
    path: String,
    /// `0.1.0`
    version: String,
    /// `log`
    name: String,
    functions: Vec<String>,
}

/// Read once.
pub(super) static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let mut texts = SourceMap::default();
    for (path, text) in TEXTS {
        texts.push_str(path, *text);
    }
    let mut resolve = Resolve::default();
    // `bindgen!` has read the same files.
    let texts = texts.parse().map_err(|(_, error)| error).expect("the files in wit/ are right");
    let package = resolve.push_group(texts).expect("the files in wit/ are one package");
    let world = resolve.select_world(&[package], None).expect("wit/ has one world");
    let interfaces = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
        items.filter_map(|(_, item)| Interface::new(&resolve, item)).collect()
    };
    let imports = interfaces(&mut resolve.worlds[world].imports.iter());
    let exports = interfaces(&mut resolve.worlds[world].exports.iter());
    Contract { resolve, world, imports, exports }
});

impl Contract {
    /// The full names of an import: of its interface, and of the function in it.
    pub(super) fn import(&self, module: &str, function: &str) -> Option<(String, String)> {
        let interface = self.imports.iter().find(|it| it.is_named(module))?;
        let function = interface.functions.iter().find(|it| is_function(function, it))?;
        Some((interface.full_name(), function.clone()))
    }

    /// The full name of an export: a function, or what is called after it to free its answer.
    pub(super) fn export(&self, name: &str) -> Option<String> {
        let (prefix, name) = match name.strip_prefix(POST_RETURN) {
            Some(function) => (POST_RETURN, function),
            None => ("", name),
        };
        self.exports.iter().find_map(|interface| {
            let function = match name.split_once('#') {
                Some((module, function)) if interface.is_named(module) => function,
                Some(_) => return None,
                None => name,
            };
            let function = interface.functions.iter().find(|it| is_function(function, it))?;
            Some(format!("{prefix}{}#{function}", interface.full_name()))
        })
    }

    /// Every function that a handler has to export, by its short and its full name.
    pub(super) fn exported_functions(&self) -> impl Iterator<Item = (&str, String)> {
        self.exports.iter().flat_map(|interface| {
            let full = |function: &str| format!("{}#{function}", interface.full_name());
            interface.functions.iter().map(move |it| (it.as_str(), full(it)))
        })
    }

    /// What is wrong with an import that has no place in the contract.
    pub(super) fn problem_of_import(&self, module: &str, function: &str) -> String {
        let import = format!("it imports {module}#{function}");
        let path = module.split('@').next().unwrap_or(module);
        if let Some(interface) = self.imports.iter().find(|it| it.is_named(module)) {
            let functions = interface.functions.join(", ");
            return format!("{import}, but {} has only {functions}", interface.name);
        }
        if let Some(interface) = self.imports.iter().find(|it| it.path == path) {
            let version = &interface.version;
            return format!("{import}, of another version than this host's {version}");
        }
        let hint = match module {
            "wasi_unstable" => ": WASI's first preview; build it for wasip1",
            "env" => {
                ": a function that the linker did not find, or that the compiler adds (for \
                       AssemblyScript's `abort`, build with `--use abort=`)"
            }
            _ => "",
        };
        format!("{import}, which no handler may use{hint}")
    }
}

impl Interface {
    fn new(resolve: &Resolve, item: &WorldItem) -> Option<Self> {
        let WorldItem::Interface { id, .. } = item else { return None };
        let interface = &resolve.interfaces[*id];
        let package = &resolve.packages[interface.package?].name;
        let name = interface.name.clone()?;
        Some(Self {
            path: format!("{}:{}/{name}", package.namespace, package.name),
            version: package.version.as_ref()?.to_string(),
            name,
            functions: interface.functions.keys().cloned().collect(),
        })
    }

    fn full_name(&self) -> String {
        format!("{}@{}", self.path, self.version)
    }

    /// Without a version, it is the host's. An older one of the same line is taken for it: the host has
    /// all that it had.
    fn is_named(&self, module: &str) -> bool {
        match module.split_once('@') {
            Some((path, version)) => path == self.path && is_compatible(version),
            None => module == self.path || module == self.name,
        }
    }
}

fn is_compatible(version: &str) -> bool {
    ContractVersion::parse(version)
        .is_some_and(|built| built.is_of_this_line() && built <= ContractVersion::HOST)
}

/// Whether `name` is the function of the contract, or how a language has to write it.
fn is_function(name: &str, function: &str) -> bool {
    let mut words = function.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    let camel_case = words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|it| it.to_ascii_uppercase()));
        name + letters.as_str()
    });
    name == function || name == function.replace('-', "_") || name == camel_case
}

/// Name and text of each file in `wit/`.
pub(super) const TEXTS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// The canonical ABI's own prefix.
const POST_RETURN: &str = "cabi_post_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_writing_gives_the_full_name() {
        let version = &CONTRACT.exports[0].version;
        let full = format!("informerd:handler/handler@{version}#on-add");
        for name in ["on-add", "on_add", "onAdd", "handler#on-add", &full] {
            assert_eq!(CONTRACT.export(name).as_deref(), Some(&*full), "{name}");
        }
        let after = CONTRACT.export("cabi_post_watches").unwrap();
        assert_eq!(after, format!("cabi_post_informerd:handler/handler@{version}#watches"));
        for name in ["onadd", "ON_ADD", "memory", "log#on-add", "", "#", "on-", "_start"] {
            assert_eq!(CONTRACT.export(name), None, "{name}");
        }
        let log = Some((format!("informerd:handler/log@{version}"), "log".to_owned()));
        for module in ["log", "informerd:handler/log", &format!("informerd:handler/log@{version}")]
        {
            assert_eq!(CONTRACT.import(module, "log"), log, "{module}");
        }
        assert_eq!(CONTRACT.import("informerd:handler/log@9.0.0", "log"), None);
        assert_eq!(CONTRACT.import("log", "shout"), None);
    }

    #[test]
    fn only_what_the_host_has_is_compatible() {
        assert!(is_compatible(&ContractVersion::HOST.to_string()));
        for version in ["0.1.4711", "0.0.1", "9.0.0", "1", "one", ""] {
            assert!(!is_compatible(version), "{version}");
        }
    }
}
