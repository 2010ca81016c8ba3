//! Which version of the contract a component was built against, and what it does not keep of it.
//!
//! in:   the names and functions that a component imports and exports
//! out:  complaints that name the item and say what to do; types are checked when it is linked

use std::fmt;

use semver::Version;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Func, Instance};
use wasmtime::{Engine, Store};

use super::bindings::informerd::handler::types::{Failure, ObjectKey, Watch};
use super::imports::GuestState;

/// A version of `wit/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContractVersion(Version);

impl ContractVersion {
    /// The one that this host runs.
    pub const HOST: Self = Self(Version::new(0, 1, 0));

    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// A module that was built against this one runs here, if it finds all that it imports.
    pub fn is_of_this_line(&self) -> bool {
        let (Self(host), Self(built)) = (&Self::HOST, self);
        match host.major {
            0 => (built.major, built.minor) == (0, host.minor),
            major => built.major == major,
        }
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a component imports and exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it needs.
    pub imports: Vec<Interface>,
    /// What it gives.
    pub exports: Vec<Interface>,
}

/// One thing that a component imports or exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// For example `informerd:handler/log@0.1.0`.
    pub name: String,
    /// The functions in it, if it is an interface. Of an import, those that are used.
    pub functions: Option<Vec<String>>,
}

impl Interfaces {
    pub(super) fn of(engine: &Engine, component: &Component) -> Self {
        let interface = |name: &str, item: ComponentItem| {
            let functions = match &item {
                ComponentItem::ComponentInstance(instance) => {
                    let functions = instance
                        .exports(engine)
                        .filter(|(_, it)| matches!(it.ty, ComponentItem::ComponentFunc(_)))
                        .map(|(name, _)| name.to_owned());
                    Some(functions.collect())
                }
                _ => None,
            };
            Interface { name: name.to_owned(), functions }
        };
        let ty = component.component_type();
        Self {
            imports: ty.imports(engine).map(|(name, it)| interface(name, it.ty)).collect(),
            exports: ty.exports(engine).map(|(name, it)| interface(name, it.ty)).collect(),
        }
    }

    /// The newest version that it was built against, if it has anything of the contract.
    pub fn contract(&self) -> Option<ContractVersion> {
        let all = self.exports.iter().chain(&self.imports);
        all.filter_map(Interface::of_contract).map(|(_, version)| version).max()
    }

    /// Whether it imports this interface of the contract.
    pub fn imports(&self, interface: &str) -> bool {
        let of_contract = self.imports.iter().filter_map(Interface::of_contract);
        of_contract.into_iter().any(|(name, _)| name == interface)
    }

    /// The name under which it exports `handler`; empty if it does not.
    pub(super) fn handler(&self) -> &str {
        self.exports.iter().find(|it| it.is_handler()).map_or("", |it| &it.name)
    }

    /// Whether it is a program with a main function, and exports nothing of the contract.
    pub(super) fn is_command(&self) -> bool {
        let exports = |prefix: &str| self.exports.iter().any(|it| it.name.starts_with(prefix));
        exports("wasi:cli/run@") && !exports(PACKAGE)
    }

    /// What keeps it from being a handler, as far as names tell.
    pub(super) fn problems(&self) -> Problems {
        let mut problems = Vec::new();
        let names = HANDLER_FUNCTIONS.map(|(name, _)| name);
        match self.exports.iter().find(|it| it.is_handler()) {
            Some(Interface { name, functions: Some(functions) }) => {
                let missing = |it: &&&str| !functions.iter().any(|function| function == **it);
                let missing = names.iter().filter(missing);
                problems.extend(missing.map(|it| format!("missing export {name}#{it}")));
            }
            Some(Interface { name, .. }) => {
                problems.push(format!("the export {name} is no interface"));
            }
            None if self.is_command() => {}
            None => {
                let missing = names
                    .map(|it| format!("informerd:handler/handler@{}#{it}", ContractVersion::HOST));
                problems.push(format!("missing exports {}", missing.join(", ")));
                let exports: Vec<&str> = self.exports.iter().map(|it| &*it.name).collect();
                problems.push(match exports.as_slice() {
                    [] => "it exports nothing".to_owned(),
                    exports => format!("it exports {}", exports.join(", ")),
                });
            }
        }
        problems.extend(self.imports.iter().filter_map(Interface::problem_as_import));
        Problems(problems)
    }
}

impl Interface {
    /// The name and version of an interface of the contract.
    fn of_contract(&self) -> Option<(&str, ContractVersion)> {
        let (name, version) = self.name.strip_prefix(PACKAGE)?.split_once('@')?;
        Some((name, ContractVersion::parse(version)?))
    }

    fn is_handler(&self) -> bool {
        self.of_contract()
            .is_some_and(|(name, version)| name == "handler" && version.is_of_this_line())
    }

    fn problem_as_import(&self) -> Option<String> {
        let name = &self.name;
        match self.of_contract() {
            Some((interface, version)) if !IMPORTS.contains(&interface) => Some(format!(
                "it imports {name}, an interface that version {host} of the contract does not have{hint}",
                host = ContractVersion::HOST,
                hint = match version > ContractVersion::HOST {
                    true => ": use a newer informerd, or build it without",
                    false => "",
                }
            )),
            Some(_) => None,
            None if WASI.iter().any(|package| name.starts_with(package)) => None,
            None if name.starts_with("wasi:") => Some(format!(
                "it imports {name}, which no handler may use (of WASI 0.2 there are cli, clocks, filesystem, \
                 io, random and sockets, all without authority): build it without"
            )),
            None => Some(format!("it imports {name}, which no handler may use: build it without")),
        }
    }
}

/// A list of complaints about a module.
#[derive(Debug, Default)]
pub struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// The function of the interface `handler` whose types are not the contract's. Without a name in wasmtime's
/// own error, whoever wrote the guest would have to guess.
pub(super) fn mistyped_export(
    store: &mut Store<GuestState>,
    instance: &Instance,
    handler: &str,
) -> Option<String> {
    let interface = instance.get_export_index(&mut *store, None, handler)?;
    HANDLER_FUNCTIONS.iter().find_map(|(name, is_typed)| {
        let function = instance.get_export_index(&mut *store, Some(&interface), name)?;
        let function = instance.get_func(&mut *store, function)?;
        (!is_typed(&function, store)).then(|| format!("{handler}#{name}"))
    })
}

type IsTyped = fn(&Func, &Store<GuestState>) -> bool;
type Answer = (Result<(), Failure>,);

/// The functions of the interface `handler`, and their types.
const HANDLER_FUNCTIONS: [(&str, IsTyped); 6] = [
    ("watches", |it, store| it.typed::<(), (Vec<Watch>,)>(store).is_ok()),
    ("init", |it, store| it.typed::<(), (Result<(), String>,)>(store).is_ok()),
    ("on-add", |it, store| it.typed::<(&ObjectKey, u32, bool), Answer>(store).is_ok()),
    ("on-update", |it, store| it.typed::<(&ObjectKey, u32, u32), Answer>(store).is_ok()),
    ("on-delete", |it, store| it.typed::<(&ObjectKey, u32, bool), Answer>(store).is_ok()),
    ("on-synced", |it, store| it.typed::<(), Answer>(store).is_ok()),
];

/// What the contract's names begin with.
const PACKAGE: &str = "informerd:handler/";

/// The interfaces that a handler may import.
const IMPORTS: [&str; 5] = ["types", "objects", "log", "config", "cache"];

/// What is linked of WASI.
const WASI: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, functions: &[&str]) -> Interface {
        let functions = functions.iter().map(ToString::to_string).collect();
        Interface { name: name.to_owned(), functions: Some(functions) }
    }

    fn version(text: &str) -> ContractVersion {
        ContractVersion::parse(text).unwrap()
    }

    #[test]
    fn a_line_is_what_the_component_model_takes_for_compatible() {
        for (built, runs) in
            [("0.1.0", true), ("0.1.7", true), ("0.2.0", false), ("0.0.1", false), ("1.1.0", false)]
        {
            assert_eq!(version(built).is_of_this_line(), runs, "{built}");
        }
    }

    #[test]
    fn each_problem_names_the_item_and_says_what_to_do() {
        let all = HANDLER_FUNCTIONS.map(|(name, _)| name);
        let handler = interface("informerd:handler/handler@0.1.3", &all);
        let with_import = |name: &str| Interfaces {
            imports: vec![interface(name, &[])],
            exports: vec![handler.clone()],
        };
        for fine in [
            "informerd:handler/log@0.1.9",
            "informerd:handler/types@0.1.0",
            "wasi:io/streams@0.2.6",
        ] {
            assert!(with_import(fine).problems().is_empty(), "{fine}");
        }
        for (name, expected) in [
            ("informerd:handler/http@0.1.9", "use a newer informerd"),
            ("informerd:handler/http@0.1.0", "does not have"),
            ("wasi:http/outgoing-handler@0.2.6", "of WASI 0.2 there are"),
            ("example:greeter/greet", "which no handler may use"),
        ] {
            let problem = with_import(name).problems().to_string();
            assert!(problem.contains(name) && problem.contains(expected), "{problem}");
        }
        let some = interface("informerd:handler/handler@0.1.0", &all[..5]);
        let problems = Interfaces { imports: Vec::new(), exports: vec![some] }.problems();
        assert_eq!(
            problems.to_string(),
            "missing export informerd:handler/handler@0.1.0#on-synced"
        );
    }
}
