//! `informerd inspect`: what a module is, what it needs and watches, or why it cannot be used.
//!
//! The module runs, within a handler's limits: it is instantiated and asked for its watches. No
//! cluster is needed.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::guest::{
    Compiler, ContractVersion, GuestLimits, Interface, Interfaces, StartedGuest, WatchDeclaration,
};
use crate::handlers::read_module;

/// What is known of a module. Its JSON form is for machines, its text form for people; the text leaves
/// the problem to the error that the command ends with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The file.
    pub module: String,
    /// Its size.
    pub bytes: usize,
    /// The version of the contract that it was built against; none if it has nothing of the contract.
    pub contract: Option<String>,
    /// The version that this host runs.
    pub host_contract: String,
    /// What it uses of the contract, and of WASI.
    pub imports: Vec<Item>,
    /// What it offers.
    pub exports: Vec<Item>,
    /// What it says that it watches, with an empty configuration.
    pub watches: Vec<Watch>,
    /// What a handler spec has to say, for this module to be of use.
    pub needs: Vec<String>,
    /// Why it cannot be used; none if it can.
    pub problem: Option<String>,
}

/// An interface, or a single item.
#[derive(Debug, Serialize)]
pub struct Item {
    /// With its version.
    pub name: String,
    /// The functions of an interface; of an import, those that are used.
    pub functions: Vec<String>,
}

/// A collection that the module watches.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// Empty: all of them.
    pub namespaces: Vec<String>,
    /// Empty: all objects.
    pub label_selector: String,
    /// Empty: all objects.
    pub field_selector: String,
}

/// Examines the module. An error means that the file cannot be read; that the module cannot be used is
/// an [`Inspection::problem`].
pub async fn inspect(compiler: &Compiler, file: &Path) -> anyhow::Result<Inspection> {
    let wasm = read_module(file).await.map_err(anyhow::Error::msg)?;
    let mut inspection = Inspection {
        module: file.display().to_string(),
        bytes: wasm.len(),
        contract: None,
        host_contract: ContractVersion::HOST.to_string(),
        imports: Vec::new(),
        exports: Vec::new(),
        watches: Vec::new(),
        needs: Vec::new(),
        problem: None,
    };
    let started = match compiler.examine(&wasm).await {
        Ok((interfaces, module)) => {
            inspection.imports = items(&interfaces.imports);
            inspection.exports = items(&interfaces.exports);
            inspection.contract = interfaces.contract().map(|it| it.to_string());
            match module {
                Ok(module) => {
                    inspection.needs.extend(needs_of_imports(&interfaces));
                    StartedGuest::declared_watches(module, GuestLimits::default()).await
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match started {
        Ok(watches) if watches.is_empty() => {
            inspection.needs.push("spec.watches: it names none itself".to_owned());
        }
        Ok(watches) => inspection.watches = watches.into_iter().map(Watch::from).collect(),
        Err(error) => inspection.problem = Some(error.to_string()),
    }
    Ok(inspection)
}

fn items(interfaces: &[Interface]) -> Vec<Item> {
    let item = |it: &Interface| Item {
        name: it.name.clone(),
        functions: it.functions.clone().unwrap_or_default(),
    };
    interfaces.iter().map(item).collect()
}

/// Of all that can be imported, only the cache has more than every handler may use.
fn needs_of_imports(interfaces: &Interfaces) -> Option<String> {
    interfaces.imports("cache").then(|| {
        "spec.grants.read: every kind that it reads from the cache and does not watch".to_owned()
    })
}

impl From<WatchDeclaration> for Watch {
    fn from(watch: WatchDeclaration) -> Self {
        let WatchDeclaration {
            api_version, kind, namespaces, label_selector, field_selector, ..
        } = watch;
        Self { api_version, kind, namespaces, label_selector, field_selector }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contract = match &self.contract {
            Some(version) => format!("informerd:handler {version} (here: {})", self.host_contract),
            None => "none".to_owned(),
        };
        section(f, "module", &[format!("{}, {} bytes", self.module, self.bytes)])?;
        if self.imports.is_empty() && self.exports.is_empty() {
            return Ok(());
        }
        section(f, "contract", &[contract])?;
        section(f, "imports", &lines(&self.imports))?;
        section(f, "exports", &lines(&self.exports))?;
        if self.problem.is_some() {
            return Ok(());
        }
        section(f, "watches", &lines(&self.watches))?;
        section(f, "needs", &self.needs)
    }
}

fn lines<T: fmt::Display>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return writeln!(f, "{title:<10}nothing");
    }
    lines.iter().enumerate().try_for_each(|(index, line)| {
        let title = if index == 0 { title } else { "" };
        writeln!(f, "{title:<10}{line}")
    })
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.functions.as_slice() {
            [] => f.write_str(&self.name),
            functions => write!(f, "{}: {}", self.name, functions.join(", ")),
        }
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{} {}", self.api_version, self.kind);
        if !self.namespaces.is_empty() {
            write!(line, " in {}", self.namespaces.join(", "))?;
        }
        if !self.label_selector.is_empty() {
            write!(line, " with labels {}", self.label_selector)?;
        }
        if !self.field_selector.is_empty() {
            write!(line, " with fields {}", self.field_selector)?;
        }
        // A module may have made it up, and a terminal would obey it.
        f.write_str(&line.escape_debug().to_string())
    }
}
