//! The table: each way in which a guest attacks, the guest that does, and what becomes of it.

use std::time::Duration;

use tests::said_by;

/// A guest, and what is expected.
pub(crate) struct Case {
    /// Of the way to attack; several guests may go the same way.
    pub(crate) number: &'static str,
    /// What the guest does.
    pub(crate) does: &'static str,
    /// Its file in `guests/hostile`.
    pub(crate) guest: &'static str,
    /// Words in the file, and others in their place.
    pub(crate) changes: Vec<(&'static str, &'static str)>,
    /// What follows `spec:`, the module apart.
    pub(crate) spec: String,
    /// How often each object changes while the handler runs.
    pub(crate) updates: usize,
    pub(crate) expected: Expected,
    /// What else holds, when it was unloaded after so long.
    pub(crate) also: fn(&Seen<'_>) -> Result<(), String>,
}

/// What becomes of a guest.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// It is not loaded, for a reason with these words.
    Refused(&'static str),
    /// Objects that begin with `b` are dead letters for a reason with these words, after so many attempts;
    /// it handles all others.
    Fails { reason: &'static str, attempts: u32 },
    /// The same for every object.
    FailsAlways { reason: &'static str },
    /// It handles everything.
    Handles,
}

/// What there is to look at after a case.
pub(crate) struct Seen<'a> {
    pub(crate) handler: &'a str,
    /// Attempts that failed, and notifications that merged.
    pub(crate) failed: u64,
    pub(crate) merged: u64,
    /// Since it was loaded.
    pub(crate) elapsed: Duration,
}

/// All that run in one process, one after the other.
pub(crate) fn cases() -> Vec<Case> {
    let cpu = "used more than its 100ms of CPU time";
    let mut cases = vec![
        case("H1", "loops in a call", "spins", fails(cpu)),
        case("H1", "loops in on-update", "spins_on_update", fails(cpu)),
        Case {
            changes: vec![(
                "(nop)",
                "(memory.fill (i32.const 0) (i32.const 7) (i32.const 65536000))",
            )],
            ..case("H3", "fills 64 MB again and again", "spins", fails(cpu))
        },
        case("H5", "makes tail calls without end", "tail_calls", fails(cpu)),
        case(
            "H6",
            "takes memory until there is no more, and traps",
            "grows_memory",
            fails("ran out of its 67108864 bytes of memory"),
        ),
        Case {
            changes: vec![("(unreachable)", "(i32.const 0)")],
            ..case(
                "H6",
                "takes memory until there is no more, and goes on",
                "grows_memory",
                Expected::Handles,
            )
        },
        case("H7", "grows its table until it cannot", "grows_table", Expected::Handles),
        Case {
            // 2,100 calls.
            updates: 700,
            also: |seen| match seen.failed {
                0 => Err("it never trapped".to_owned()),
                _ => Ok(()),
            },
            ..case("H13", "traps in every thousandth call", "traps_at_times", Expected::Handles)
        },
        case(
            "H18",
            "answers with 60 MB",
            "answers_much",
            fails("passed more than 2097152 bytes to the host at once"),
        ),
        Case {
            also: log_was_cut,
            ..case("H21", "logs 9,000 lines a call", "floods_log", Expected::Handles)
        },
        Case {
            also: log_was_cut,
            ..case("H21", "prints 100,000 lines a call", "floods_output", Expected::Handles)
        },
        case(
            "H22",
            "calls the host without end",
            "storms_host",
            fails("called its imports more than 10000 times in one call"),
        ),
        Case {
            spec: limited("hostCallsPerDelivery: 7"),
            ..case(
                "H22",
                "calls the host more often than its spec says",
                "storms_host",
                fails("called its imports more than 7 times in one call"),
            )
        },
        case(
            "H22",
            "asks for a pointer and a selector of a million parts",
            "costly_questions",
            Expected::Handles,
        ),
        case(
            "H23",
            "takes tickets and gives none back",
            "hoards_tickets",
            fails("asked for more than 1024 objects in one call"),
        ),
        case(
            "H23",
            "takes WASI's handles and gives none back",
            "hoards_handles",
            fails("resource table has no free keys"),
        ),
        case(
            "H25",
            "reads through a ticket of the call before",
            "keeps_ticket",
            fails("tickets must not be kept"),
        ),
        case(
            "H25",
            "reads through a ticket in init",
            "reads_in_init",
            Expected::Refused("in `init` it broke the contract: ticket 0 is not of this call"),
        ),
        Case {
            spec: format!(
                "  watches: [{{ apiVersion: v1, kind: ConfigMap }}, {{ apiVersion: v1, kind: Secret \
                 }}]\n  grants: {{ read: [{{ apiVersion: v1, kind: Secret }}] }}\n{RETRY_ONCE}  \
                 limits: {{ cpuPerCall: 1s }}\n"
            ),
            updates: 5,
            ..case("H26", "waits while more comes for it", "overlaps", Expected::Handles)
        },
        Case {
            spec: limited("cpuPerCall: 20ms"),
            ..case(
                "H27",
                "waits for an hour",
                "waits",
                fails("took longer than 200ms, waiting included"),
            )
        },
        Case {
            spec: limited("cpuPerCall: 5s"),
            ..case("H37", "reads the clocks", "times", Expected::Handles)
        },
        case(
            "H37",
            "asks for more than 64 KiB of random bytes",
            "draws",
            fails("requested len 65537 exceeds limit 65536"),
        ),
        Case {
            spec: limited("cpuPerCall: 5s"),
            ..case("H54", "times its neighbours with the clocks", "times", Expected::Handles)
        },
        case("H38", "looks for what it is not granted", "peeks", Expected::Handles),
        Case {
            spec: format!("{MAPS}  config: {{ text: {} }}\n", "x".repeat(64 << 10)),
            ..case(
                "H43",
                "has a configuration of more than 64 KiB",
                "spins",
                Expected::Refused("spec.config must be at most 65536 bytes as JSON"),
            )
        },
        Case {
            spec: format!(
                "{MAPS}  delivery: {{ maxRetries: 1, backoff: 10ms, buffer: 5 }}\n  limits: {{ \
                 cpuPerCall: 10s }}\n"
            ),
            updates: 100,
            also: |seen| match seen.merged {
                0 => Err("nothing merged, although it was far behind".to_owned()),
                _ => Ok(()),
            },
            ..case("H47", "is slow to hold states", "burns", Expected::Handles)
        },
        Case {
            spec: limited("cpuPerCall: 10s"),
            updates: 20,
            ..case("H49", "burns CPU time within its limits", "burns", Expected::Handles)
        },
    ];
    cases.extend(starts());
    cases.extend(memories_and_tables());
    cases.extend(traps());
    cases.extend(answers());
    cases.extend(passes_and_reallocs());
    cases.extend(other_worlds());
    cases
}

/// H2: loops where there is no notification.
fn starts() -> Vec<Case> {
    let start = |at: &'static str| Expected::Refused(at);
    let mut starts = variants(
        "H2",
        "spins_aside",
        "(start $spin)",
        vec![
            (
                "loops in its start function",
                "(start $spin)",
                start("in its instantiation it used more than its 100ms of CPU time"),
            ),
            (
                "loops in _initialize",
                "(func (export \"_initialize\") (call $spin))",
                start("in its instantiation it used more than its 100ms of CPU time"),
            ),
            (
                "loops in watches",
                "(func (export \"watches\") (result i32) (call $spin) (i32.const 0))",
                start("in `watches` it used more than its 100ms of CPU time"),
            ),
            (
                "loops in init",
                "(func (export \"init\") (result i32) (call $spin) (i32.const 0))",
                start("in `init` it used more than its 100ms of CPU time"),
            ),
            (
                "loops in cabi_realloc",
                "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                   (call $spin) (i32.const 0))",
                Expected::FailsAlways { reason: "used more than its 100ms of CPU time" },
            ),
            (
                "loops after it has answered",
                "(func (export \"cabi_post_on-add\") (param i32) (call $spin))",
                Expected::FailsAlways { reason: "used more than its 100ms of CPU time" },
            ),
        ],
    );
    for start in &mut starts {
        start.spec = limited("cpuAtStart: 100ms");
    }
    starts
}

/// H6, H7, H30: memory and tables that no guest may have.
fn memories_and_tables() -> Vec<Case> {
    let memory = "(memory (export \"memory\") 1)";
    let too_large = Expected::Refused("memory minimum size of 65536 pages exceeds memory limits");
    let mut cases = variants(
        "H6",
        "has_memories",
        memory,
        vec![
            ("begins with 4 GiB", "(memory (export \"memory\") 65536)", too_large),
            (
                "has three memories",
                "(memory (export \"memory\") 1) (memory 1) (memory 1)",
                Expected::Refused("memory count too high"),
            ),
            (
                "has a memory of 64 bits",
                "(memory (export \"memory\") 1) (memory i64 1)",
                Expected::Refused("memory64 must be enabled"),
            ),
        ],
    );
    cases.extend(variants(
        "H7",
        "has_memories",
        memory,
        vec![
            (
                "begins with a table of ten million elements",
                "(memory (export \"memory\") 1) (table 10000000 funcref)",
                Expected::Refused("table minimum size of 10000000 elements exceeds table limits"),
            ),
            (
                "has eleven tables",
                "(memory (export \"memory\") 1)
                 (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
                 (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
                 (table 1 funcref) (table 1 funcref) (table 1 funcref)",
                Expected::Refused("table count too high"),
            ),
        ],
    ));
    cases.extend(variants(
        "H30",
        "has_memories",
        memory,
        vec![(
            "shares its memory, to change it while the host reads",
            "(memory (export \"memory\") 1 1 shared)",
            Expected::Refused("threads must be enabled for shared memories"),
        )],
    ));
    cases
}

/// H11: every trap that there is.
fn traps() -> Vec<Case> {
    variants(
        "H11",
        "traps",
        "(unreachable)",
        vec![
            ("traps", "(unreachable)", fails("trapped: wasm trap: wasm `unreachable`")),
            (
                "divides by zero",
                "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
                fails("integer divide by zero"),
            ),
            (
                "divides to what is too large",
                "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
                fails("integer overflow"),
            ),
            (
                "converts what is no number",
                "(drop (i32.trunc_f64_u (f64.const nan)))",
                fails("invalid conversion to integer"),
            ),
            (
                "reads beyond its memory",
                "(drop (i32.load (i32.const -4)))",
                fails("out of bounds memory access"),
            ),
            (
                "calls null",
                "(call_indirect (type $nothing) (i32.const 0))",
                fails("uninitialized element"),
            ),
            (
                "calls a function of another type",
                "(call_indirect (type $nothing) (i32.const 1))",
                fails("indirect call type mismatch"),
            ),
            (
                "calls beyond its table",
                "(call_indirect (type $nothing) (i32.const 2))",
                fails("out of bounds table access"),
            ),
            (
                "calls itself for ever",
                "(drop (call $recurse (i32.const 0)))",
                fails("call stack exhausted"),
            ),
        ],
    )
}

/// H14, H15, H17: answers.
fn answers() -> Vec<Case> {
    let failure = "\"\\01\\00\\00\\00\\01\\00\\00\\00\\00\\10\\00\\00\\00\\f0\\00\\00\"";
    let retry = "\"\\01\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\10\\00\\00\
                 \\00\\f0\\00\\00\"";
    let mut cases = variants(
        "H15",
        "refuses",
        failure,
        vec![
            (
                "refuses with a long, forged reason",
                failure,
                Expected::Fails { reason: "no INFO: all ok xxx", attempts: 1 },
            ),
            ("asks for a retry each time", retry, fails("no INFO: all ok xxx")),
        ],
    );
    let at = "(i32.const 2048))";
    cases.extend(variants(
        "H17",
        "bad_answers",
        at,
        vec![
            ("answers from beyond its memory", "(i32.const -16))", fails("out of bounds")),
            ("answers from an odd address", "(i32.const 2049))", fails("not aligned")),
        ],
    ));
    cases.extend(variants(
        "H17",
        "bad_answers",
        "\"\\10\\08\\00\\00\" \"\\04\\00\\00\\00\"",
        vec![
            (
                "answers with a text beyond its memory",
                "\"\\f0\\ff\\ff\\ff\" \"\\04\\00\\00\\00\"",
                fails("out of bounds"),
            ),
            (
                "answers with a text of 2 GiB",
                "\"\\10\\08\\00\\00\" \"\\00\\00\\00\\80\"",
                fails("out of bounds"),
            ),
        ],
    ));
    cases.extend(variants(
        "H14",
        "bad_answers",
        "\"text\"",
        vec![(
            "answers with what is not UTF-8, and waits to be called again",
            "\"\\ff\\ff\\ff\\ff\"",
            fails("utf-8"),
        )],
    ));
    cases.extend(variants(
        "H17",
        "bad_answers",
        "\"\\01\\00\\00\\00\" \"\\01\\00\\00\\00\"",
        vec![(
            "answers with a case that does not exist",
            "\"\\01\\00\\00\\00\" \"\\07\\00\\00\\00\"",
            fails("unexpected discriminant: 7"),
        )],
    ));
    cases
}

/// H19, H29: what crosses to the host, and from it.
fn passes_and_reallocs() -> Vec<Case> {
    let passed = "(i32.const 0) (i32.const 62914560) (i32.const 0) (i32.const 0))";
    let too_much = fails("passed more than 2097152 bytes to the host at once");
    let mut cases = variants(
        "H19",
        "passes_much",
        passed,
        vec![
            ("passes 60 MB", passed, too_much),
            (
                "passes a list of ten million",
                "(i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 3900000))",
                too_much,
            ),
            (
                "passes 65,535 times the same 60 KB",
                "(i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 65535))",
                too_much,
            ),
        ],
    );
    cases.extend(variants(
        "H29",
        "bad_realloc",
        "(i32.const 0))",
        vec![
            (
                "gives the host address 0, where its answer is",
                "(i32.const 0))",
                Expected::FailsAlways { reason: "invalid expected discriminant" },
            ),
            ("gives the host one address each time", "(i32.const 4096))", Expected::Handles),
            (
                "gives the host an odd address",
                "(i32.const 4097))",
                Expected::FailsAlways { reason: "realloc return: result not aligned" },
            ),
            (
                "gives the host what is beyond its memory",
                "(i32.const -16))",
                Expected::FailsAlways { reason: "realloc return: beyond end of memory" },
            ),
            (
                "takes 16 MiB for each block",
                "(i32.shl (memory.grow (i32.const 256)) (i32.const 16)))",
                Expected::FailsAlways { reason: "ran out of its 67108864 bytes of memory" },
            ),
            (
                "traps when the host asks for a block",
                "(unreachable))",
                Expected::FailsAlways { reason: "unreachable" },
            ),
            (
                "calls the host when that asks for a block",
                "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
                 (i32.const 4096))",
                Expected::FailsAlways { reason: "cannot leave component instance" },
            ),
        ],
    ));
    cases
}

/// H34, H35: handlers of another contract.
fn other_worlds() -> Vec<Case> {
    let import = "(import \"log\" \"log\" (func $log (param i32 i32 i32 i32 i32)))";
    let synced = "(func (export \"on-synced\") (result i32) (i32.const 0))";
    let mut cases = variants(
        "H34",
        "other_world",
        import,
        vec![
            (
                "imports what there is not",
                "(import \"env\" \"system\" (func (param i32)))",
                Expected::Refused("it imports env#system, which no handler may use"),
            ),
            (
                "imports a function of other types",
                "(import \"log\" \"log\" (func $log (param i64)))",
                Expected::Refused("type mismatch for function `log`"),
            ),
        ],
    );
    cases.extend(variants(
        "H34",
        "other_world",
        synced,
        vec![(
            "exports a function of other types",
            "(func (export \"on-synced\") (param i64) (result i32) (i32.const 0))",
            Expected::Refused("type mismatch for function"),
        )],
    ));
    cases.extend(variants(
        "H35",
        "other_world",
        import,
        vec![
            (
                "imports another line of the contract",
                "(import \"informerd:handler/log@0.2.0\" \"log\" (func (param i32 i32 i32 i32 i32)))",
                Expected::Refused("of another version than this host's"),
            ),
            (
                "imports a newer version of the same line",
                "(import \"informerd:handler/log@0.1.9\" \"log\" (func (param i32 i32 i32 i32 i32)))",
                Expected::Refused("informerd:handler/log@0.1.9"),
            ),
        ],
    ));
    cases
}

fn log_was_cut(seen: &Seen<'_>) -> Result<(), String> {
    let lines = said_by(seen.handler);
    let (summaries, lines): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line == "log lines dropped: too many");
    // The burst, and what there was time for.
    let lines_max = 500 + 100 * (seen.elapsed.as_secs() as usize + 1);
    match (lines.len(), summaries.len()) {
        (500.., 1..) if lines.len() <= lines_max => Ok(()),
        (lines, summaries) => Err(format!("{lines} lines were kept, {summaries} summaries")),
    }
}

fn case(number: &'static str, does: &'static str, guest: &'static str, expected: Expected) -> Case {
    let spec = format!("{MAPS}{RETRY_ONCE}");
    Case { number, does, guest, changes: Vec::new(), spec, updates: 1, expected, also: |_| Ok(()) }
}

/// Cases that differ in what stands in the place of some words.
fn variants(
    number: &'static str,
    guest: &'static str,
    words: &'static str,
    variants: Vec<(&'static str, &'static str, Expected)>,
) -> Vec<Case> {
    let variants = variants.into_iter().map(|(does, others, expected)| Case {
        changes: vec![(words, others)],
        ..case(number, does, guest, expected)
    });
    variants.collect()
}

fn fails(reason: &'static str) -> Expected {
    Expected::Fails { reason, attempts: 2 }
}

fn limited(limits: &str) -> String {
    format!("{MAPS}{RETRY_ONCE}  limits: {{ {limits} }}\n")
}

/// Ways to attack that other tests show contained, with the full name of each.
pub(crate) const ELSEWHERE: [(&str, &str); 15] = [
    ("H9", "guest::pre_scan::tests::each_number_may_be_as_high_as_its_limit_and_no_higher"),
    ("H9", "compiling::a_module_with_too_much_in_it_is_refused_before_it_is_compiled"),
    ("H9", "compiling::a_module_that_takes_too_long_to_compile_ends_at_the_limit_which_is_named"),
    (
        "H10",
        "guest::preparation::tests::a_feature_that_is_off_is_named_in_components_and_core_modules",
    ),
    ("H31", "guest::componentize::tests::damaged_modules_are_refused_or_used"),
    ("H31", "compiling::damage_gets_an_error_wherever_it_is_and_no_child_is_left"),
    ("H33", "sources::https::each_way_to_be_wrong_is_told_apart_and_bounded"),
    ("H34", "bad_input::each_bad_module_gets_its_own_error_and_the_good_one_runs"),
    ("H35", "contract::modules_of_all_versions_see_the_same"),
    (
        "H41",
        "handlers::quarantine::tests::what_was_being_started_when_the_host_died_is_not_started_again",
    ),
    ("H42", "guest::instance::tests::a_panic_of_the_host_costs_the_call_and_is_counted"),
    ("H50", "reload::of_many_modules_in_a_short_time_a_few_are_loaded_and_the_last"),
    ("H50", "reload::a_start_ends_when_something_newer_is_wanted"),
    (
        "H50",
        "handlers::compile_turns::tests::a_namespace_compiles_one_at_a_time_and_keeps_nobody_else_waiting",
    ),
    ("H51", "reload::the_old_generation_goes_on_while_the_next_one_is_bad"),
];

/// Ways to attack that there is nothing for yet, and why.
pub(crate) const NOT_APPLICABLE: [(&str, &str); 4] = [
    ("H39", "no handler can write to the cluster"),
    ("H45", "there is no key-value store"),
    ("H46", "no handler can open a connection"),
    ("H53", "no handler has metrics of its own"),
];

const MAPS: &str = "  watches: [{ apiVersion: v1, kind: ConfigMap }]\n";
const RETRY_ONCE: &str = "  delivery: { maxRetries: 1, backoff: 10ms }\n";
