//! The binary of this build, and the compiler that the hosts in this process share, with the binary as
//! its child.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use host::guest::{Compiler, CompilerSettings, GuestEngine};

/// The binary, brought up to date. Of the whole workspace, as the tests are, so that nothing is built
/// twice.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bin", "informerd"])
            .args(["--manifest-path", manifest])
            .args((!cfg!(debug_assertions)).then_some("--release"))
            .status();
        assert!(build.expect("cargo starts").success(), "the binary builds");
        // A test runs in target/<profile>/deps, a program in target/<profile>.
        let this = std::env::current_exe().expect("this program has a path");
        let mut folders = this.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
        let binary = folders.next().expect("it is in the target folder").join("informerd");
        // A test that failed may have killed a host while it started a module. That one may be started again.
        let _ = std::fs::remove_dir_all(binary.with_file_name("compile-cache/starting"));
        binary
    })
}

/// Where tests keep compiled guests, so that each is compiled once, and not once in each process.
pub fn compile_cache() -> PathBuf {
    binary().with_file_name("compile-cache")
}

/// As the binary compiles.
pub fn compiler() -> &'static Compiler {
    static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
        let engine = GuestEngine::new().expect("wasmtime supports this platform");
        let (program, cache) = (binary().to_owned(), Some(compile_cache()));
        Compiler::new(engine, CompilerSettings { program, cache, ..CompilerSettings::default() })
    });
    &COMPILER
}
