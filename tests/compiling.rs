//! What compiling a module may take, in the child that does it, and what is kept of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use artifacts::{RECORDER, SPIN};
use host::guest::{
    ChildLimits, Compiler, CompilerSettings, Excess, GuestEngine, Limits, ModuleError, Refusal,
};
use tests::{binary, eventually};

const MINUTE: Duration = Duration::from_secs(60);

/// Compiles in children that nobody else has: their limits tell them apart.
struct Compiling {
    settings: CompilerSettings,
    compiler: Compiler,
}

impl Compiling {
    fn new(cache: Option<&Path>, cpu_seconds: u64, address_space: u64) -> Self {
        let child = ChildLimits { cpu_seconds, address_space };
        let limits = Limits { child, ..Limits::default() };
        let settings = CompilerSettings {
            program: binary().to_owned(),
            cache: cache.map(Path::to_owned),
            limits,
        };
        let compiler = Compiler::new(GuestEngine::new().unwrap(), settings.clone());
        Self { settings, compiler }
    }

    async fn error(&self, wasm: &[u8]) -> ModuleError {
        self.compiler.compile(wasm).await.err().expect("it cannot be used")
    }

    /// Their numbers.
    fn children(&self) -> Vec<String> {
        let argument = format!("--address-space={}", self.settings.limits.child.address_space);
        let is_ours = |process: &Path| {
            let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
            arguments.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())
        };
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
        let ours = processes.filter(|it| is_ours(it));
        ours.map(|it| it.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    async fn no_child_is_left(&self) {
        eventually("no child is left", MINUTE, || self.children().is_empty()).await;
    }
}

/// A core module with so many functions, each so many instructions long.
fn bomb(functions: usize, length: usize) -> Vec<u8> {
    let code = "local.get 0 i32.const 7 i32.mul local.set 0\n".repeat(length);
    let function = format!("(func (param i32) {code})\n");
    wat::parse_str(format!("(component (core module {}))", function.repeat(functions))).unwrap()
}

#[test]
fn the_child_has_its_limits_before_it_reads_the_module() {
    let mut child = Command::new(binary())
        .args(["compile-module", "--cpu-seconds=7", "--address-space=1073741824"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let has = |what: &str, soft: &str, hard: &str| {
        let limits = fs::read_to_string(&limits).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
        line.split_whitespace().take(2).eq([soft, hard])
    };
    let begin = Instant::now();
    // It is the last one that is set.
    while !has("Max processes", "0", "0") {
        assert!(begin.elapsed() < MINUTE, "{}", fs::read_to_string(&limits).unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(has("Max cpu time", "7", "8"));
    assert!(has("Max address space", "1073741824", "1073741824"));
    assert!(has("Max file size", "0", "0"));
    assert!(has("Max core file size", "0", "0"));
    assert!(has("Max open files", "8", "8"));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Threads:\t1\n"), "{status}");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(3), "nothing is no module");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_with_too_much_in_it_is_refused_before_it_is_compiled() {
    // Far from enough to compile it.
    let compiling = Compiling::new(None, 2, (1 << 30) + 1);
    let wasm = bomb(100_000, 0);
    let error = compiling.error(&wasm).await;
    let expected = Excess { what: "functions".to_owned(), count: 100_000, max: 50_000 };
    assert!(
        matches!(&error, ModuleError::Refused(Refusal::TooLarge(excess)) if *excess == expected),
        "{error}"
    );
    compiling.no_child_is_left().await;

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, wasm).unwrap();
    let inspected = Command::new(binary()).arg("inspect").arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&inspected.stderr);
    assert!(!inspected.status.success() && said.contains("100000 functions, and 50000"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_takes_too_long_to_compile_ends_at_the_limit_which_is_named() {
    let compiling = Compiling::new(None, 1, (1 << 30) + 2);
    let begin = Instant::now();
    let error = compiling.error(&bomb(40_000, 8)).await.to_string();
    assert!(error.contains("more than 1 s of CPU time"), "{error}");
    assert!(begin.elapsed() < MINUTE, "{:?}", begin.elapsed());
    compiling.no_child_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_takes_too_much_memory_ends_at_the_limit_which_is_named() {
    let compiling = Compiling::new(None, 60, (160 << 20) + 3);
    let error = compiling.error(&bomb(40_000, 8)).await.to_string();
    assert!(error.contains("more than 160 MiB of memory"), "{error}");
    compiling.no_child_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_killed_is_an_error_and_the_next_one_does_its_work() {
    let compiling = Compiling::new(None, 120, (2 << 30) + 4);
    let wasm = bomb(40_000, 8);
    let killed = async {
        eventually("a child runs", MINUTE, || !compiling.children().is_empty()).await;
        Command::new("kill").arg("-KILL").args(compiling.children()).status().unwrap();
    };
    let (error, ()) = tokio::join!(compiling.error(&wasm), killed);
    assert!(error.to_string().contains("was killed"), "{error}");
    compiling.compiler.compile(&fs::read(SPIN).unwrap()).await.unwrap();

    let dropped = tokio::time::timeout(Duration::from_secs(1), compiling.compiler.compile(&wasm));
    assert!(dropped.await.is_err(), "it takes longer");
    compiling.no_child_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_gets_an_error_wherever_it_is_and_no_child_is_left() {
    let compiling = Compiling::new(None, 60, (2 << 30) + 5);
    let core = include_str!("../guests/core_module/wat/labels.wat");
    for wasm in [fs::read(RECORDER).unwrap(), wat::parse_str(core).unwrap()] {
        let step = wasm.len() / 23;
        for end in (0..wasm.len()).step_by(step) {
            let error = compiling.error(&wasm[..end]).await;
            assert!(matches!(error, ModuleError::Refused(_)), "cut at {end}: {error}");
        }
        for at in (0..wasm.len()).step_by(step) {
            let mut damaged = wasm.clone();
            damaged[at] ^= 0x55;
            // It may be a constant, or a name that nobody needs.
            let Err(error) = compiling.compiler.compile(&damaged).await else { continue };
            assert!(!matches!(error, ModuleError::NotCompiled(_)), "damaged at {at}: {error}");
        }
    }
    compiling.no_child_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_compiled_once_for_all_hosts_that_share_a_cache() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().join("compiled");
    let first = Compiling::new(Some(&cache), 60, (2 << 30) + 6);
    let wasm = fs::read(SPIN).unwrap();
    first.compiler.compile(&wasm).await.unwrap();
    first.compiler.compile(&wasm).await.unwrap();
    let second = Compiling::new(Some(&cache), 60, (2 << 30) + 6);
    second.compiler.compile(&wasm).await.unwrap();
    let counts = |it: &Compiling| (it.compiler.counts().compiled, it.compiler.counts().cached);
    assert_eq!((counts(&first), counts(&second)), ((1, 1), (0, 1)));

    for file in fs::read_dir(&cache).unwrap() {
        fs::write(file.unwrap().path(), "damaged").unwrap();
    }
    let other_world = wat::parse_bytes(include_bytes!("../guests/broken/other_world.wat")).unwrap();
    let (module, error) = tokio::join!(second.compiler.compile(&wasm), second.error(&other_world));
    module.unwrap();
    assert!(error.to_string().contains("missing exports"), "{error}");
    assert_eq!((second.compiler.counts().damaged, counts(&second)), (1, (2, 1)));
    // What is valid and no handler is kept as well.
    second.error(&other_world).await;
    assert_eq!(counts(&second), (2, 2));
    first.no_child_is_left().await;
}
