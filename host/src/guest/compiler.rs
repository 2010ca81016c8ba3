//! Where modules are compiled: in a child of this program, whose results are kept on disk.
//!
//! in:   a module's bytes, from anybody
//! out:  a [`GuestModule`], or why it cannot be used
//! runs: `Compiler` in the caller's task; [`compile_module`] is the child.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use ::compiler::{ChildLimits, ComponentCompiler, Counts, Limits, Settings, run_child};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::Interfaces;
use super::engine::{GuestEngine, config};
use super::module::{GuestModule, ModuleError, WeakModule};
use super::preparation::{self, Refusal};
use crate::modules::Digest;

/// Compiles modules. Clones are the same one; modules of one run on one engine.
#[derive(Clone)]
pub struct Compiler {
    engine: GuestEngine,
    components: ComponentCompiler,
    /// What somebody uses.
    in_use: Arc<Mutex<HashMap<Digest, WeakModule>>>,
}

/// How modules are compiled.
#[derive(Clone, Debug)]
pub struct CompilerSettings {
    /// An informerd of this build, whose `compile-module` does the work.
    pub program: PathBuf,
    /// Where compiled modules are kept; none to compile them each time.
    pub cache: Option<PathBuf>,
    /// What compiling one of them may take.
    pub limits: Limits,
}

impl Compiler {
    /// A cache that cannot be used is left alone, with a warning.
    pub fn new(engine: GuestEngine, settings: CompilerSettings) -> Self {
        let CompilerSettings { program, cache, limits } = settings;
        let ChildLimits { cpu_seconds, address_space } = &limits.child;
        let arguments = vec![
            COMPILE_MODULE.to_owned(),
            format!("--cpu-seconds={cpu_seconds}"),
            format!("--address-space={address_space}"),
        ];
        let settings = Settings { program, arguments, cache, cache_size: CACHE_SIZE, limits };
        let components = ComponentCompiler::new(engine.engine.clone(), settings);
        Self { engine, components, in_use: Arc::default() }
    }

    /// Checks, compiles and links a module of any form. The first time it takes a fraction of a second for
    /// Rust, 20 s of CPU time for a JavaScript or Python runtime; then it comes from the cache. Whoever no longer
    /// waits for it stops it.
    pub async fn compile(&self, wasm: &[u8]) -> Result<GuestModule, ModuleError> {
        self.examine(wasm).await.and_then(|(_, module)| module)
    }

    /// As [`Compiler::compile`], and whoever uses a module of this digest shares it: its code is mapped once, however many
    /// handlers it has.
    pub async fn compile_shared(
        &self,
        digest: Digest,
        wasm: &[u8],
    ) -> Result<GuestModule, ModuleError> {
        if let Some(module) = self.used(digest) {
            return Ok(module);
        }
        let module = self.compile(wasm).await?;
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = in_use.get(&digest).and_then(|it| it.upgrade(&self.engine)) {
            return Ok(module);
        }
        in_use.retain(|_, module| !module.is_gone());
        in_use.insert(digest, module.downgrade());
        Ok(module)
    }

    fn used(&self, digest: Digest) -> Option<GuestModule> {
        let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.get(&digest)?.upgrade(&self.engine)
    }

    /// As [`Compiler::compile`]; of a component that is no handler, it still tells what it imports and
    /// exports.
    pub async fn examine(
        &self,
        wasm: &[u8],
    ) -> Result<(Interfaces, Result<GuestModule, ModuleError>), ModuleError> {
        let component = self.components.compile(preparation::texts(wasm), wasm).await?;
        Ok(GuestModule::link(&self.engine, &component))
    }

    /// What the modules run on.
    pub fn engine(&self) -> &GuestEngine {
        &self.engine
    }

    /// Where compiled modules are kept, if anywhere: a folder that only this user can write.
    pub fn cache_folder(&self) -> Option<&Path> {
        self.components.cache_folder()
    }

    /// How often modules were compiled, and how often they were there.
    pub fn counts(&self) -> Counts {
        self.components.counts()
    }
}

impl Default for CompilerSettings {
    /// With this program, and the user's cache folder.
    fn default() -> Self {
        Self { program: this_program(), cache: user_cache(), limits: Limits::default() }
    }
}

/// The whole life of the child: `informerd compile-module`.
pub fn compile_module(limits: &ChildLimits) -> ExitCode {
    run_child(limits, |wasm| {
        native_code(wasm).map_err(|refusal| serde_json::to_vec(&refusal).unwrap_or_default())
    })
}

fn native_code(wasm: &[u8]) -> Result<Vec<u8>, Refusal> {
    // It may have no threads.
    let engine = Engine::new(config().parallel_compilation(false))
        .map_err(|error| Refusal::Invalid(format!("{error:#}")))?;
    let component = preparation::component(&engine, wasm)?;
    let native = engine.precompile_component(&component);
    native.map_err(|error| preparation::invalid(&component, &error, Refusal::Invalid))
}

/// As [`native_code`], in this process.
pub(super) fn compiled_here(engine: &Engine, wasm: &[u8]) -> Result<Component, Refusal> {
    let component = preparation::component(engine, wasm)?;
    let compiled = Component::new(engine, &component);
    compiled.map_err(|error| preparation::invalid(&component, &error, Refusal::Invalid))
}

/// What is started with the name that this has in [`crate::config::Command`].
const COMPILE_MODULE: &str = "compile-module";

/// Bytes of compiled modules: of the largest that were tried, thirty.
const CACHE_SIZE: u64 = 1 << 30;

/// This very program, even when its file was replaced by a newer one, or deleted.
fn this_program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    match running.exists() {
        true => running.to_owned(),
        // An error shows when it is started.
        false => env::current_exe().unwrap_or_else(|_| "informerd".into()),
    }
}

/// `informerd` in the user's cache folder; none for a user without a home.
fn user_cache() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("informerd"))
}
