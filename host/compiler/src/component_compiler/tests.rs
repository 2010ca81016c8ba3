//! With shell scripts in place of the program.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::limits::ChildLimits;

/// The binary form of `(component)`.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

struct Setting {
    folder: TempDir,
    engine: Engine,
}

impl Setting {
    fn new() -> Self {
        let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::default());
        let code = engine.precompile_component(COMPONENT).unwrap();
        fs::write(folder.path().join("code"), code).unwrap();
        Self { folder, engine }
    }

    /// A compiler whose child is this script.
    fn script(&self, script: &str) -> ComponentCompiler {
        self.with(script, |_| {})
    }

    fn with(&self, script: &str, change: impl FnOnce(&mut Settings)) -> ComponentCompiler {
        let folder = self.folder.path().display();
        let script = format!("cd {folder}; {script}");
        let mut settings = Settings {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script],
            cache: Some(self.folder.path().join("cache")),
            cache_size: 1 << 30,
            limits: Limits { wall: Duration::from_secs(60), ..Limits::default() },
        };
        change(&mut settings);
        ComponentCompiler::new(self.engine.clone(), settings)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Waits until the process whose number is in the file is gone.
    fn is_gone(&self, name: &str) {
        let process = format!("/proc/{}/stat", self.text(name).trim());
        let begin = Instant::now();
        // A zombie waits for whoever inherits it, and runs no more.
        while fs::read_to_string(&process).is_ok_and(|it| !it.contains(") Z ")) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{process} is there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const GOOD: &str = "echo run >> runs; cat > got; cat code";

#[tokio::test]
async fn the_second_time_it_comes_from_the_cache() {
    let setting = Setting::new();
    let compiler = setting.script(GOOD);
    compiler.compile(&[], COMPONENT).await.unwrap();
    compiler.compile(&[], COMPONENT).await.unwrap();
    setting.script(GOOD).compile(&[], COMPONENT).await.unwrap();
    assert_eq!(compiler.counts(), Counts { compiled: 1, cached: 1, ..Counts::default() });
    assert_eq!(setting.text("runs"), "run\n");
    assert_eq!(setting.text("got").as_bytes(), COMPONENT);
    compiler.compile(&["prepared in another way"], COMPONENT).await.unwrap();
    assert_eq!(setting.text("runs"), "run\nrun\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_the_same_at_the_same_time_are_one_also_when_it_fails() {
    let setting = Setting::new();
    for (script, expected) in [
        ("echo run >> runs; sleep 1; cat code", true),
        ("echo run >> fails; sleep 1; exit 3", false),
    ] {
        let compiler = setting.with(script, |it| it.cache = None);
        let outcomes = join_all((0..10).map(|_| compiler.compile(&[], COMPONENT))).await;
        assert!(outcomes.iter().all(|it| it.is_ok() == expected));
        assert_eq!(compiler.counts().compiled, 1);
    }
    assert_eq!((setting.text("runs"), setting.text("fails")), ("run\n".into(), "run\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_two_children_run_at_the_same_time() {
    let setting = Setting::new();
    let script = "echo + >> runs; sleep 0.3; echo - >> runs; cat code";
    let compiler = setting.with(script, |it| it.cache = None);
    let modules: Vec<[u8; 1]> = (0..6).map(|n| [n]).collect();
    let outcomes = join_all(modules.iter().map(|it| compiler.compile(&[], it))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let (mut running, mut most) = (0, 0);
    for line in setting.text("runs").lines() {
        running += if line == "+" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((running, most), (0, 2));
}

#[tokio::test]
async fn a_damaged_file_is_compiled_again_and_a_broken_cache_keeps_nothing_from_being_compiled() {
    let setting = Setting::new();
    let compiler = setting.script(GOOD);
    compiler.compile(&[], COMPONENT).await.unwrap();
    let cache = setting.folder.path().join("cache");
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "torn").unwrap();
    compiler.compile(&[], COMPONENT).await.unwrap();
    let counts = Counts { compiled: 2, damaged: 1, ..Counts::default() };
    assert_eq!(compiler.counts(), counts);
    compiler.compile(&[], COMPONENT).await.unwrap();
    assert_eq!(compiler.counts(), Counts { cached: 1, ..counts });

    fs::remove_dir_all(&cache).unwrap();
    compiler.compile(&[], COMPONENT).await.unwrap();
    assert_eq!(compiler.counts(), Counts { compiled: 3, cached: 1, cache_failures: 2, ..counts });

    let file = setting.folder.path().join("code");
    let without = setting.with(GOOD, |it| it.cache = Some(file.join("no folder")));
    without.compile(&[], COMPONENT).await.unwrap();
    assert_eq!(without.counts(), Counts { compiled: 1, cache_failures: 1, ..Counts::default() });
}

#[tokio::test]
async fn the_child_gets_neither_environment_nor_files_nor_folder_of_ours() {
    let setting = Setting::new();
    let open = fs::File::open("/dev/null").unwrap();
    let script = "tr '\\0' '\\n' < /proc/$$/environ > environ; ls /proc/$$/fd > fds; pwd > pwd";
    // Without the script's own `cd`.
    let compiler = setting.with("", |settings| {
        let folder = setting.folder.path().display();
        let script = script.replace("> ", &format!("> {folder}/"));
        settings.arguments = vec!["-c".to_owned(), format!("{script}; cat {folder}/code")];
    });
    compiler.compile(&[], COMPONENT).await.unwrap();
    drop(open);
    assert_eq!(setting.text("environ"), "");
    assert_eq!(setting.text("pwd"), "/\n");
    // The shell's own, for the redirection, is 10 or above.
    let fds = setting.text("fds");
    let fds: Vec<u32> = fds.lines().map(|it| it.parse().unwrap()).filter(|it| *it < 10).collect();
    assert_eq!(fds, [0, 1, 2]);
}

#[tokio::test]
async fn each_end_of_the_child_has_its_own_error() {
    let setting = Setting::new();
    let tight = |settings: &mut Settings| {
        let child = ChildLimits { cpu_seconds: 7, address_space: 5 << 20 };
        settings.limits = Limits { child, wall: Duration::from_secs(60), output: 9 << 20 };
    };
    for (script, expected) in [
        ("echo 'no good'; exit 3", "it cannot be used: no good"),
        ("kill -XCPU $$", "more than 7 s of CPU time"),
        (
            "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
            "more than 5 MiB of memory",
        ),
        ("echo 'an assertion' >&2; kill -ABRT $$", "(signal: 6 (SIGABRT)"),
        ("kill -KILL $$", "was killed; is there enough memory for 5 MiB more?"),
        ("echo 'a panic' >&2; exit 101", "(exit status: 101): a panic"),
        ("yes | head -c 1000000 >&2; exit 1", "exit status: 1"),
        ("cat /dev/zero", "more than 9 MiB"),
        ("echo 'no native code'", "cannot be loaded"),
        ("true", "cannot be loaded"),
    ] {
        let compiler = setting.with(script, tight);
        let error = compiler.compile(&[], COMPONENT).await.expect_err("it fails").to_string();
        assert!(error.contains(expected), "{script}: {error}");
        assert!(error.len() < 2000, "{script}: {error}");
        let cache = fs::read_dir(setting.folder.path().join("cache")).unwrap();
        assert_eq!(cache.count(), 0, "{script}: nothing is kept");
    }
    let compiler = setting.with("", |settings| settings.program = "/nowhere/informerd".into());
    let error = compiler.compile(&[], COMPONENT).await.expect_err("it fails").to_string();
    assert!(error.contains("cannot start /nowhere/informerd"), "{error}");
}

#[tokio::test]
async fn a_child_that_does_not_end_is_killed_with_all_that_it_started() {
    let setting = Setting::new();
    // The grandchild keeps the pipes open.
    let script = "sleep 1000 & echo $! > grandchild; echo $$ > child; wait";
    let compiler = setting.with(script, |settings| settings.limits.wall = Duration::from_secs(1));
    let error = compiler.compile(&[], COMPONENT).await.expect_err("it fails");
    assert_eq!(error, CompileError::WallTime(Duration::from_secs(1)));
    setting.is_gone("child");
    setting.is_gone("grandchild");
}

#[tokio::test]
async fn a_child_that_nobody_waits_for_is_killed_and_its_turn_is_free() {
    let setting = Setting::new();
    let compiler = setting.script("echo $$ > child; sleep 1000 & echo $! > grandchild; wait");
    for _ in 0..3 {
        let dropped =
            tokio::time::timeout(Duration::from_secs(1), compiler.compile(&[], COMPONENT));
        assert!(dropped.await.is_err());
        setting.is_gone("child");
        setting.is_gone("grandchild");
    }
    assert_eq!(compiler.counts().compiled, 3);
}
