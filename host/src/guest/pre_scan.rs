//! Counts what a module has, before anything is made of it: the work of compiling grows with these
//! numbers, not with the bytes alone. 100,000 empty functions are 600 KB and cost several seconds.
//!
//! in:   the bytes of a module or component, from anybody
//! out:  the first number that is too high
//! runs: in the child that compiles; reads each byte at most twice.

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReaderError, ComponentType, FunctionBody, Parser, Payload};

/// More than may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "too large: {count} {what}, and {max} are allowed; leave out what it does not need (strip it, build \
     it for size), or split it into several handlers"
)]
pub struct Excess {
    /// Of what, for example `functions`.
    pub what: String,
    /// As many as were counted until it was clear.
    pub count: u64,
    /// As many as there may be.
    pub max: u64,
}

/// Why the scan ended early.
pub(super) enum Problem {
    Excess(Excess),
    Invalid(BinaryReaderError),
}

/// How much of something one module may have, all that is nested in it included.
#[derive(Clone, Copy)]
struct Limit {
    index: usize,
    what: &'static str,
    max: u64,
}

/// What was counted so far, by [`Limit::index`].
#[derive(Default)]
struct Tally([u64; 9]);

/// Goes through all that is in it. That it is valid is checked later, when it is small enough to.
pub(super) fn check(module: &[u8]) -> Result<(), Problem> {
    MODULE_BYTES.check(module.len() as u64)?;
    let mut tally = Tally::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                tally.add(MODULES, 1)?;
            }
            Payload::TypeSection(types) => {
                for group in types {
                    tally.add(TYPES, group?.types().len() as u64)?;
                }
            }
            Payload::CoreTypeSection(types) => tally.add(TYPES, types.count().into())?,
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    tally.add(TYPES, 1 + declarations(&ty?))?;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    import?;
                    tally.add(NAMES, 1)?;
                }
            }
            Payload::ExportSection(exports) => tally.add(NAMES, exports.count().into())?,
            Payload::ComponentImportSection(imports) => tally.add(NAMES, imports.count().into())?,
            Payload::ComponentExportSection(exports) => tally.add(NAMES, exports.count().into())?,
            Payload::FunctionSection(functions) => {
                tally.add(FUNCTIONS, functions.count().into())?;
            }
            Payload::CodeSectionEntry(body) => check_body(&body)?,
            Payload::GlobalSection(globals) => tally.add(GLOBALS, globals.count().into())?,
            Payload::ElementSection(segments) => {
                tally.add(ELEMENT_SEGMENTS, segments.count().into())?;
            }
            Payload::DataSection(segments) => tally.add(DATA_SEGMENTS, segments.count().into())?,
            Payload::TableSection(tables) => tally.add(TABLES, tables.count().into())?,
            Payload::InstanceSection(links) => tally.add(LINKS, links.count().into())?,
            Payload::ComponentInstanceSection(links) => tally.add(LINKS, links.count().into())?,
            Payload::ComponentAliasSection(links) => tally.add(LINKS, links.count().into())?,
            Payload::ComponentCanonicalSection(links) => tally.add(LINKS, links.count().into())?,
            _ => {}
        }
    }
    Ok(())
}

/// What a type of the component model is made of.
fn declarations(ty: &ComponentType<'_>) -> u64 {
    match ty {
        ComponentType::Component(declarations) => declarations.len() as u64,
        ComponentType::Instance(declarations) => declarations.len() as u64,
        _ => 0,
    }
}

fn check_body(body: &FunctionBody<'_>) -> Result<(), Problem> {
    BODY_BYTES.check(body.range().len() as u64)?;
    let mut count = 0;
    for locals in body.get_locals_reader()? {
        let (more, _) = locals?;
        count += u64::from(more);
        LOCALS.check(count)?;
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, limit: Limit, more: u64) -> Result<(), Problem> {
        let Some(count) = self.0.get_mut(limit.index) else { return Ok(()) };
        *count = count.saturating_add(more);
        limit.check(*count)
    }
}

impl Limit {
    fn check(&self, count: u64) -> Result<(), Problem> {
        let Self { what, max, .. } = *self;
        match count > max {
            true => Err(Problem::Excess(Excess { what: what.to_owned(), count, max })),
            false => Ok(()),
        }
    }
}

impl From<BinaryReaderError> for Problem {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid(error)
    }
}

/// The largest that were tried are a Python runtime (18 MB: 13,400 functions, the longest of 427 KB, 6,600 imports
/// and exports among 16 modules), a JavaScript runtime (12 MB, 10,000 data segments) and a Go program
/// (3 MB, 37,700 data segments).
pub(crate) const MODULE_BYTES_MAX: u64 = 32 << 20;
const MODULE_BYTES: Limit = Limit { index: usize::MAX, what: "bytes", max: MODULE_BYTES_MAX };
const FUNCTIONS: Limit = Limit { index: 0, what: "functions", max: 50_000 };
const BODY_BYTES: Limit =
    Limit { index: usize::MAX, what: "bytes of code in one function", max: 1 << 20 };
const LOCALS: Limit =
    Limit { index: usize::MAX, what: "local variables in one function", max: 10_000 };
const TYPES: Limit = Limit { index: 1, what: "types", max: 20_000 };
const NAMES: Limit = Limit { index: 2, what: "imports and exports", max: 20_000 };
const MODULES: Limit = Limit { index: 3, what: "nested modules", max: 64 };
const GLOBALS: Limit = Limit { index: 4, what: "global variables", max: 10_000 };
const ELEMENT_SEGMENTS: Limit = Limit { index: 5, what: "element segments", max: 1_000 };
/// What Go's linker, and whatever reads wasm, takes for the most.
const DATA_SEGMENTS: Limit = Limit { index: 6, what: "data segments", max: 100_000 };
const TABLES: Limit = Limit { index: 7, what: "tables", max: 100 };
const LINKS: Limit =
    Limit { index: 8, what: "instances, aliases and canonical functions", max: 20_000 };

#[cfg(test)]
mod tests;
