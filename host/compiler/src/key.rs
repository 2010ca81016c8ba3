//! What a compiled module is kept by.

use std::fmt;
use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// SHA-256, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sha256Hex(String);

impl Sha256Hex {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::from(Sha256::new().chain_update(bytes))
    }

    /// The key of a module: what is compiled, by which compiler for which processor, and what is done to
    /// it before.
    pub(crate) fn key(engine: &Engine, preparation: &[&str], module: &[u8]) -> Self {
        let mut hasher = Stable(Sha256::new());
        FORMAT.hash(&mut hasher);
        // wasmtime's version, its settings, and what the processor can do.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        preparation.hash(&mut hasher);
        hasher.0.update(module);
        Self::from(hasher.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Sha256> for Sha256Hex {
    fn from(hasher: Sha256) -> Self {
        Self(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same in every process, unlike the standard library's hasher.
struct Stable(Sha256);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // A digest of which eight bytes would do is asked for nowhere.
        0
    }
}

/// Raised when what is kept is not what it was: another form, or stricter checks before.
const FORMAT: u32 = 1;
