//! One module → one component: from the cache, from whoever is compiling it already, or from a child.
//!
//! in:   a module's bytes
//! out:  a component, and counts of where components came from
//! runs: in the callers' tasks.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::{Cache, Found};
use crate::child::{self, CompileError};
use crate::key::Sha256Hex;
use crate::limits::Limits;
use crate::native_code;

/// How to compile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Started for each module; its `main` comes to [`crate::run_child`].
    pub program: PathBuf,
    /// With these arguments.
    pub arguments: Vec<String>,
    /// Where native code is kept; none to compile each time.
    pub cache: Option<PathBuf>,
    /// Bytes that are kept there at most.
    pub cache_size: u64,
    /// Of one compilation. The program's arguments say the child's part of them once more.
    pub limits: Limits,
}

/// Compiles components. Clones are the same one.
#[derive(Clone)]
pub struct ComponentCompiler(Arc<Shared>);

struct Shared {
    engine: Engine,
    settings: Settings,
    cache: Option<Cache>,
    /// What is compiled now, or waits for its turn. Dead once nobody waits for it.
    in_flight: Mutex<HashMap<Sha256Hex, Weak<Outcome>>>,
    turns: Semaphore,
    counters: Counters,
}

type Outcome = OnceCell<Result<Component, CompileError>>;

/// What became of the requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Children that were started.
    pub compiled: u64,
    /// Those of them that gave no component: the module is at fault, or a limit, or the child.
    pub failed: u64,
    /// Components that were in the cache.
    pub cached: u64,
    /// Files of the cache that were damaged, and deleted.
    pub damaged: u64,
    /// Times that the cache could not be read or written.
    pub cache_failures: u64,
}

#[derive(Default)]
struct Counters {
    compiled: AtomicU64,
    failed: AtomicU64,
    cached: AtomicU64,
    damaged: AtomicU64,
    cache_failures: AtomicU64,
}

impl ComponentCompiler {
    /// For components of this engine. A cache folder that is not safe to use, or cannot be made, is left
    /// alone, with a warning.
    pub fn new(engine: Engine, settings: Settings) -> Self {
        let counters = Counters::default();
        let opened = settings.cache.as_ref().map(|it| Cache::open(it, settings.cache_size));
        let cache = opened.and_then(|opened| {
            let therefore = "modules are compiled each time";
            opened.inspect_err(|error| counters.cache_failed(therefore, error)).ok()
        });
        let (in_flight, turns) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Self(Arc::new(Shared { engine, settings, cache, in_flight, turns, counters }))
    }

    /// The component that the child makes of a module. `preparation` stands for what the child does to it
    /// before it compiles it: with another one, the module is compiled again.
    ///
    /// Requests for the same at the same time get the same outcome. Whoever drops the last of them kills
    /// the child.
    pub async fn compile(
        &self,
        preparation: &'static [&'static str],
        module: &[u8],
    ) -> Result<Component, CompileError> {
        let (shared, module) = (self.0.clone(), Arc::<[u8]>::from(module));
        let key = {
            let (shared, module) = (shared.clone(), module.clone());
            blocking(move || Sha256Hex::key(&shared.engine, preparation, &module)).await?
        };
        let outcome = shared.outcome(&key);
        outcome.get_or_init(|| shared.clone().load_or_compile(key, module)).await.clone()
    }

    /// The cache folder, if there is one that can be used.
    pub fn cache_folder(&self) -> Option<&Path> {
        self.0.cache.as_ref().map(Cache::folder)
    }

    /// What became of the requests so far.
    pub fn counts(&self) -> Counts {
        let Counters { compiled, failed, cached, damaged, cache_failures } = &self.0.counters;
        Counts {
            compiled: compiled.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            cached: cached.load(Ordering::Relaxed),
            damaged: damaged.load(Ordering::Relaxed),
            cache_failures: cache_failures.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn outcome(&self, key: &Sha256Hex) -> Arc<Outcome> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = in_flight.get(key).and_then(Weak::upgrade) {
            return outcome;
        }
        in_flight.retain(|_, outcome| outcome.strong_count() > 0);
        let outcome = Arc::default();
        in_flight.insert(key.clone(), Arc::downgrade(&outcome));
        outcome
    }

    async fn load_or_compile(
        self: Arc<Self>,
        key: Sha256Hex,
        module: Arc<[u8]>,
    ) -> Result<Component, CompileError> {
        let (shared, of_key) = (self.clone(), key.clone());
        if let Some(component) = blocking(move || shared.cached(&of_key)).await? {
            return Ok(component);
        }
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(CompileError::NotLoaded("nothing is compiled any more".to_owned()));
        };
        self.counters.compiled.fetch_add(1, Ordering::Relaxed);
        let component = self.clone().compile(key, module).await;
        self.counters.failed.fetch_add(component.is_err().into(), Ordering::Relaxed);
        component
    }

    async fn compile(
        self: Arc<Self>,
        key: Sha256Hex,
        module: Arc<[u8]>,
    ) -> Result<Component, CompileError> {
        let Settings { program, arguments, limits, .. } = &self.settings;
        let code = child::run(program, arguments, limits, &module).await?;
        let shared = self.clone();
        blocking(move || {
            // Loaded first, so that nothing is kept that cannot be loaded.
            let component = native_code::of_child(&shared.engine, &code);
            let component =
                component.map_err(|error| CompileError::NotLoaded(format!("{error:#}")))?;
            Ok(shared.kept(&key, &code).unwrap_or(component))
        })
        .await?
    }

    fn cached(&self, key: &Sha256Hex) -> Option<Component> {
        let Counters { cached, damaged, .. } = &self.counters;
        match self.cache.as_ref()?.load(&self.engine, key) {
            Ok(Found::Component(component)) => {
                cached.fetch_add(1, Ordering::Relaxed);
                return Some(component);
            }
            Ok(Found::Nothing) => {}
            Ok(Found::Damaged) => {
                damaged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%key, "a damaged file in the compile cache: deleted");
            }
            Err(error) => self.counters.cache_failed("the module is compiled", &error),
        }
        None
    }

    /// Keeps the code; gives the component with the pages that whoever comes later shares.
    fn kept(&self, key: &Sha256Hex, code: &[u8]) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        let kept = cache.store(key, code).and_then(|()| cache.load(&self.engine, key));
        match kept {
            Ok(Found::Component(component)) => Some(component),
            Ok(_) => None,
            Err(error) => {
                self.counters.cache_failed("the module will be compiled again", &error);
                None
            }
        }
    }
}

impl Counters {
    fn cache_failed(&self, therefore: &str, error: &io::Error) {
        self.cache_failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(problem = %error, "the compile cache (--cache-dir) failed: {therefore}");
    }
}

/// Fails only when the runtime ends.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CompileError> {
    spawn_blocking(work).await.map_err(|error| CompileError::NotLoaded(error.to_string()))
}

/// Children at the same time; each has one thread.
const AT_ONCE: usize = 2;

#[cfg(test)]
mod tests;
