use std::time::{Duration, Instant};

use super::*;
use crate::guest::{GuestEngine, GuestLimits, GuestModule, StartedGuest};

/// The example, with short names.
const LABELS: &str = include_str!("../../../../guests/core_module/wat/labels.wat");

fn labels() -> Vec<u8> {
    wat::parse_str(LABELS).unwrap()
}

/// The example with its text changed; each change must be one.
fn changed(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = LABELS.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not there");
        text = text.replace(from, to);
    }
    wat::parse_str(&text).unwrap()
}

/// Asks preview 1 for something when it is initialised.
const INITIALIZE: (&str, &str) = (
    "(memory (export \"memory\") 1)",
    "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) \
     (result i32)))
     (memory (export \"memory\") 1)
     (func (export \"_initialize\")
       (drop (call $write (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0))))",
);

#[test]
fn short_and_full_names_give_the_same_handler() {
    let engine = GuestEngine::new().unwrap();
    GuestModule::compile(&engine, &labels()).unwrap();
    GuestModule::compile(&engine, &changed(&[INITIALIZE])).unwrap();

    let exports: Vec<(String, String)> = CONTRACT
        .exported_functions()
        .flat_map(|(short, full)| {
            let after = (format!("\"cabi_post_{short}\""), format!("\"cabi_post_{full}\""));
            [(format!("(export \"{short}\")"), format!("(export \"{full}\")")), after]
        })
        .filter(|(short, _)| LABELS.contains(short))
        .collect();
    let (log, _) = CONTRACT.import("log", "log").unwrap();
    let import = format!("(import \"{log}\" \"log\"");
    let mut changes: Vec<(&str, &str)> =
        exports.iter().map(|(short, full)| (&**short, &**full)).collect();
    changes.push(("(import \"log\" \"log\"", &import));
    assert!(changes.len() > 6);
    assert_eq!(component(&changed(&changes)), component(&labels()));
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    for (changes, expected) in [
        (&[("(export \"on-add\")", "")][..], &["missing exports on-add"][..]),
        (
            &[("\"on-add\"", "\"onadd\""), ("\"init\"", "\"Init\"")],
            &["missing exports", "on-add", "init"],
        ),
        (&[("(memory (export \"memory\") 1)", "(memory 1)")], &["missing export memory"]),
        (&[("\"cabi_realloc\"", "\"malloc\"")], &["missing export cabi_realloc"]),
        (&[("\"log\" \"log\"", "\"log\" \"shout\"")], &["log#shout", "log has only log"]),
        (&[("\"log\" \"log\"", "\"env\" \"abort\"")], &["env#abort", "--use abort="]),
        (&[("\"log\" \"log\"", "\"wasi_unstable\" \"fd_write\"")], &["wasip1"]),
        (
            &[("\"log\" \"log\"", "\"informerd:handler/log@7.0.0\" \"log\"")],
            &["log@7.0.0", "another version than this host's"],
        ),
        (
            &[(
                "(export \"on-synced\") (result i32)",
                "(export \"on-synced\") (param i32) (result i32)",
            )],
            &["on-synced", "type mismatch"],
        ),
        (&[("\"on-synced\"", "\"_start\"")], &["`_start`", "-buildmode=c-shared"]),
    ] {
        let error = component(&changed(changes)).unwrap_err();
        for words in expected {
            assert!(error.contains(words), "{changes:?} gave {error:?} without {words:?}");
        }
    }
    let stray = "(module (import \"log\" \"log\" (func)) (func (export \"_start\")))";
    let error = component(&wat::parse_str(stray).unwrap()).unwrap_err();
    assert!(error.contains("log#log") && error.contains("a command"), "{error}");
}

#[test]
fn what_a_module_says_of_itself_does_not_count() {
    assert_eq!(component(&described(CONTRACT.resolve.clone())), component(&labels()));
    let mut other = Resolve::default();
    other.push_source("a.wit", "package a:b; world other { export run: func(); }").unwrap();
    assert_eq!(component(&described(other)), component(&labels()));
}

/// With the section that `wit-bindgen` adds.
fn described(resolve: Resolve) -> Vec<u8> {
    let mut module = labels();
    let (world, _) = resolve.worlds.iter().next().unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

#[test]
fn every_function_of_preview_1_is_there() {
    let imports = PREVIEW_1.iter().map(|(name, parameters)| {
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        format!("(import \"{WASI}\" \"{name}\" (func (param {parameters}) {result}))\n")
    });
    let imports: String = imports.collect();
    let module = changed(&[("(import \"log\"", &format!("{imports}(import \"log\""))]);
    GuestModule::compile(&GuestEngine::new().unwrap(), &module).unwrap();
}

/// What the adapter promises, asked for by `init`: it traps at the first promise that is broken.
#[tokio::test]
async fn preview_1_is_quiet() {
    let imports = [
        "clock_time_get",
        "poll_oneoff",
        "random_get",
        "environ_sizes_get",
        "fd_read",
        "fd_write",
        "fd_prestat_get",
        "fd_fdstat_get",
    ];
    let imports = imports.map(|name| {
        let (_, parameters) = PREVIEW_1.iter().find(|(it, _)| *it == name).unwrap();
        format!("(import \"{WASI}\" \"{name}\" (func ${name} (param {parameters}) (result i32)))\n")
    });
    let check = |what: &str| format!("(if (i32.eqz {what}) (then unreachable))\n");
    // From 2048 on, the example has nothing in its memory.
    let succeeds = |call: &str| check(&format!("(i32.eqz (call {call}))"));
    let checks = [
        // A reading takes a microsecond, and a second's sleep no time.
        succeeds("$clock_time_get (i32.const 0) (i64.const 1) (i32.const 2048)"),
        succeeds("$clock_time_get (i32.const 1) (i64.const 1) (i32.const 2056)"),
        check(
            "(i64.eq (i64.load (i32.const 2056)) (i64.add (i64.load (i32.const 2048)) (i64.const 1000)))",
        ),
        "(i64.store (i32.const 2304) (i64.const 7))
         (i64.store (i32.const 2328) (i64.const 1000000000))"
            .to_owned(),
        succeeds("$poll_oneoff (i32.const 2304) (i32.const 2368) (i32.const 1) (i32.const 2400)"),
        check("(i32.eq (i32.load (i32.const 2400)) (i32.const 1))"),
        check("(i64.eq (i64.load (i32.const 2368)) (i64.const 7))"),
        succeeds("$clock_time_get (i32.const 0) (i64.const 1) (i32.const 2048)"),
        check(
            "(i64.eq (i64.load (i32.const 2048)) (i64.add (i64.load (i32.const 2056)) (i64.const 1000001000)))",
        ),
        succeeds("$random_get (i32.const 2064) (i32.const 16)"),
        check("(i64.ne (i64.load (i32.const 2064)) (i64.load (i32.const 2072)))"),
        "(i32.store (i32.const 2048) (i32.const 7))".to_owned(),
        succeeds("$environ_sizes_get (i32.const 2048) (i32.const 2052)"),
        check("(i32.eqz (i32.load (i32.const 2048)))"),
        check("(i32.eq (call $fd_prestat_get (i32.const 3) (i32.const 2048)) (i32.const 8))"),
        check(
            "(i32.eq (call $fd_write (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2048)) (i32.const 8))",
        ),
        // Standard output takes what it is given, beyond a piece's length, and spoils no memory.
        "(i64.store (i32.const 0) (i64.const 0x0102030405060708))
         (i64.store (i32.const 8) (i64.const 0x1112131415161718))
         (i32.store (i32.const 2048) (i32.const 1024))
         (i32.store (i32.const 2052) (i32.const 10000))"
            .to_owned(),
        succeeds("$fd_write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2056)"),
        check("(i32.eq (i32.load (i32.const 2056)) (i32.const 10000))"),
        // Standard input is at its end.
        succeeds("$fd_read (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2056)"),
        check("(i32.eqz (i32.load (i32.const 2056)))"),
        check("(i64.eq (i64.load (i32.const 0)) (i64.const 0x0102030405060708))"),
        check("(i64.eq (i64.load (i32.const 8)) (i64.const 0x1112131415161718))"),
        // The example answers with what is there.
        "(i64.store (i32.const 0) (i64.const 0))".to_owned(),
    ];
    let init = "(func (export \"init\") (result i32)";
    let changes = [
        ("(import \"log\"", &*format!("{}(import \"log\"", imports.concat())),
        (init, &*format!("{init}\n{}", checks.concat())),
    ];
    let module = GuestModule::compile(&GuestEngine::new().unwrap(), &changed(&changes)).unwrap();
    let limits = GuestLimits::default();
    let guest = StartedGuest::start(module, "quiet", "{}".to_owned(), limits).await.unwrap();
    let watches = guest.watches();
    assert_eq!(watches[0].kind, "ConfigMap");
}

/// Whatever the bytes are: an answer, soon, and no panic that gets out.
#[test]
fn damaged_modules_are_refused_or_used() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut made = 0;
    for module in [labels(), changed(&[INITIALIZE]), described(CONTRACT.resolve.clone())] {
        for _ in 0..ROUNDS {
            let mut damaged = module.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(8..damaged.len());
                match random.u8(0..4) {
                    0 => damaged[at] = random.u8(..),
                    1 => damaged[at] ^= 1 << random.u8(0..8),
                    2 => drop(damaged.remove(at)),
                    _ => damaged.insert(at, random.u8(..)),
                }
            }
            let begin = Instant::now();
            made += usize::from(component(&damaged).is_ok());
            assert!(begin.elapsed() < Duration::from_secs(5), "{damaged:?}");
        }
    }
    assert!((1..3 * ROUNDS).contains(&made), "{made}: some pass, some do not");
}

const ROUNDS: usize = 1_000;

/// Name and parameters; all but one give back an error number.
const PREVIEW_1: [(&str, &str); 46] = [
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_exit", "i32"),
    ("proc_raise", "i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];
