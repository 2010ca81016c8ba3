//! A core module, as compilers give it → a component of the contract's world. What comes out gets no
//! trust for that: it passes the same checks as a component that somebody else made.
//!
//! in:   a core module, from anybody
//! out:  a component, or what to change about the module
//! runs: where modules are compiled; takes milliseconds, for Go some hundred.

use std::collections::BTreeSet;
use std::panic;
use std::sync::LazyLock;

use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, Module, RawSection};
use wasmparser::{Parser, Payload, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::contract_names::CONTRACT;

/// Makes the component. The error says what to change.
pub(super) fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    // What comes after may take validity for granted.
    let invalid = |error: wasmparser::BinaryReaderError| format!("it is not valid: {error}");
    Validator::new().validate_all(module).map_err(invalid)?;
    let interface = Interface::read(module).map_err(invalid)?;
    let role = interface.role()?;
    match role {
        Role::Handler => interface.check_handler()?,
        Role::Command => interface.check_command()?,
    }
    let named = with_full_names(module, &interface).and_then(|mut named| {
        if role == Role::Handler {
            let (resolve, world) = (&CONTRACT.resolve, CONTRACT.world);
            embed_component_metadata(&mut named, resolve, world, StringEncoding::UTF8)?;
        }
        Ok(named)
    });
    let named = named.map_err(|error| format!("{error:#}"))?;
    let adapter = match role {
        Role::Command => Some(&QUIET_P1.command),
        Role::Handler if interface.imports_wasi() => Some(&QUIET_P1.handler),
        Role::Handler => None,
    };
    // It has assertions about what it is given.
    let encoded = panic::catch_unwind(|| encode(&named, adapter.map(Vec::as_slice)));
    encoded.unwrap_or_else(|_| Err("no component can be made of it".to_owned()))
}

fn encode(module: &[u8], adapter: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let encoded = || {
        let encoder = ComponentEncoder::default().module(module)?;
        let mut encoder = match adapter {
            Some(adapter) => encoder.adapter(WASI, adapter)?,
            None => encoder,
        };
        encoder.encode()
    };
    encoded().map_err(|error| format!("{error:#}"))
}

/// What a module wants to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It exports the handler's functions.
    Handler,
    /// It has a main function, and talks on standard input and output.
    Command,
}

/// The names that a module is linked by.
#[derive(Default)]
struct Interface {
    imports: Vec<(String, String)>,
    exports: BTreeSet<String>,
}

impl Interface {
    fn read(module: &[u8]) -> wasmparser::Result<Self> {
        let mut interface = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        interface.imports.push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        interface.exports.insert(export?.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(interface)
    }

    fn role(&self) -> Result<Role, String> {
        let has_start = self.exports.contains("_start");
        let is_handler = self.exports.iter().any(|it| CONTRACT.export(it).is_some());
        match (is_handler, has_start) {
            (false, true) => Ok(Role::Command),
            (_, false) => Ok(Role::Handler),
            (true, true) => Err("it exports the functions of a handler and `_start`: build it as \
                                 a library that is initialised once (clang: -mexec-model=reactor, \
                                 Go: -buildmode=c-shared), or leave the functions out"
                .to_owned()),
        }
    }

    fn imports_wasi(&self) -> bool {
        self.imports.iter().any(|(module, _)| module == WASI)
    }

    /// A command has WASI and nothing else.
    fn check_command(&self) -> Result<(), String> {
        let unknown = self.imports.iter().filter(|(module, _)| module != WASI);
        problems(unknown.map(|(module, function)| {
            format!("it imports {module}#{function}: a command may use WASI preview 1 only")
        }))
    }

    /// Everything that is missing or too much, at once.
    fn check_handler(&self) -> Result<(), String> {
        let exported: BTreeSet<String> =
            self.exports.iter().filter_map(|it| CONTRACT.export(it)).collect();
        let functions = CONTRACT.exported_functions();
        let missing = functions.filter(|(_, full)| !exported.contains(full));
        let missing: Vec<&str> = missing.map(|(short, _)| short).collect();
        let missing = match missing.as_slice() {
            [] => None,
            missing => Some(format!("missing exports {}", missing.join(", "))),
        };
        // Read by wit-component under this name only.
        let memory =
            ["memory", "cabi_realloc"].into_iter().filter(|it| !self.exports.contains(*it));
        let memory = memory.map(|it| format!("missing export {it}"));
        let unknown = self.imports.iter().filter(|(module, function)| {
            module != WASI && CONTRACT.import(module, function).is_none()
        });
        let unknown = unknown.map(|(module, name)| CONTRACT.problem_of_import(module, name));
        problems(missing.into_iter().chain(memory).chain(unknown))
    }
}

/// Nothing, or all of it in one line.
fn problems(problems: impl Iterator<Item = String>) -> Result<(), String> {
    let problems: Vec<String> = problems.take(PROBLEMS_MAX).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// The module with each short name replaced by the full one. What is exported under its full name
/// already keeps it, whatever else has a short name for it.
///
/// A description of its own (`component-type`, from `wit-bindgen`) is left out: the names say the same,
/// and a made-up one overflows the stack of whoever reads it.
fn with_full_names(module: &[u8], interface: &Interface) -> anyhow::Result<Vec<u8>> {
    let mut named = Module::new();
    let mut taken = interface.exports.clone();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                let mut section = ImportSection::new();
                for import in imports.into_imports() {
                    let import = import?;
                    let full = CONTRACT.import(import.module, import.name);
                    let (module, name) = match &full {
                        Some((module, name)) => (module.as_str(), name.as_str()),
                        None => (import.module, import.name),
                    };
                    section.import(module, name, EntityType::try_from(import.ty)?);
                }
                named.section(&section);
            }
            Payload::ExportSection(exports) => {
                let mut section = ExportSection::new();
                for export in exports {
                    let export = export?;
                    let full = CONTRACT.export(export.name).filter(|it| taken.insert(it.clone()));
                    let name = full.as_deref().unwrap_or(export.name);
                    section.export(name, ExportKind::from(export.kind), export.index);
                }
                named.section(&section);
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {}
            other => {
                if let Some((id, range)) = other.as_section() {
                    named.section(&RawSection { id, data: &module[range] });
                }
            }
        }
    }
    Ok(named.finish())
}

/// The WASI adapter, once for each role.
struct QuietP1 {
    handler: Vec<u8>,
    command: Vec<u8>,
}

static QUIET_P1: LazyLock<QuietP1> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("quiet_p1.wit", include_str!("wasi/quiet_p1.wit"));
    let package = package.expect("quiet_p1.wit is right");
    let adapter = |world: &str| {
        let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
        let mut adapter = include_bytes!(concat!(env!("OUT_DIR"), "/quiet_p1.wasm")).to_vec();
        embed_component_metadata(&mut adapter, &resolve, world, StringEncoding::UTF8)
            .expect("the world can be written down");
        adapter
    };
    QuietP1 { handler: adapter("handler"), command: adapter("command") }
});

/// The module name of WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";

/// More of them help nobody.
const PROBLEMS_MAX: usize = 20;

#[cfg(test)]
mod tests;
