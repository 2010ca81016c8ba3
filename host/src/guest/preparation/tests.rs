use super::*;
use crate::guest::compiler::compiled_here;
use crate::guest::engine::config;

fn refusal(module: &[u8]) -> Refusal {
    compiled_here(&Engine::new(&config()).unwrap(), module).expect_err("it is refused")
}

#[test]
fn a_feature_that_is_off_is_named_in_components_and_core_modules() {
    for (feature, module) in [
        ("memory64", "(memory i64 1)"),
        ("shared memory", "(memory 1 1 shared)"),
        ("atomics", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        (
            "relaxed SIMD",
            "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
        ),
        ("GC", "(type (struct (field i32)))"),
        ("exceptions", "(tag (param i32))"),
        ("stack switching", "(type $f (func)) (type $c (cont $f))"),
        (
            "wide arithmetic",
            "(func (param i64) (drop (drop (i64.mul_wide_s (local.get 0) (local.get 0)))))",
        ),
    ] {
        for text in [format!("(module {module})"), format!("(component (core module {module}))")] {
            let refusal = refusal(&wat::parse_str(&text).unwrap());
            assert!(matches!(refusal, Refusal::FeatureOff(_)), "{feature}: {refusal}");
            assert!(refusal.to_string().contains("a feature of WebAssembly that is off here"));
        }
    }
    let component = r#"(component (type (future u32)))"#;
    assert!(matches!(refusal(&wat::parse_str(component).unwrap()), Refusal::FeatureOff(_)));
}

#[test]
fn what_is_valid_nowhere_is_no_matter_of_features() {
    let wrong = "(func (result i32) i64.const 0)";
    let core = refusal(&wat::parse_str(format!("(module {wrong})")).unwrap());
    assert!(matches!(&core, Refusal::CoreModule(it) if it.contains("type mismatch")), "{core}");
    let component = refusal(&wat::parse_str(format!("(component (core module {wrong}))")).unwrap());
    assert!(
        matches!(&component, Refusal::Invalid(it) if it.contains("type mismatch")),
        "{component}"
    );
}

#[test]
fn what_is_no_wasm_is_told_by_what_it_looks_like() {
    let engine = Engine::new(&config()).unwrap();
    let compiled = engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    for (bytes, hint) in [
        (&compiled[..], ".cwasm"),
        (b"\x7fELF\x02\x01\x01", "native code"),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"(module)", "wasm-tools parse"),
        (b";; a comment", "wasm-tools parse"),
        (b"", "it is empty"),
        (b"\0asm", "version"),
        (b"\0asm\x02\0\0\0", "version"),
        (b"#!/bin/sh\n", "not with `\\0asm`"),
        (b"\xff\xfe\x1b[31m", "`\\xff\\xfe\\x1b[31m`"),
    ] {
        let said = refusal(bytes).to_string();
        assert!(said.starts_with("not a WebAssembly module: it starts with `"), "{said}");
        assert!(said.contains(hint), "{said} without {hint}");
    }
}

#[test]
fn a_refusal_passes_from_the_child_as_it_is() {
    for refusal in [
        refusal(b"(module)"),
        refusal(&wat::parse_str("(component (core module (memory i64 1)))").unwrap()),
        refusal(&wat::parse_str("(module)").unwrap()),
        Refusal::TooLarge(Excess { what: "types".to_owned(), count: 9, max: 1 }),
    ] {
        let said = serde_json::to_vec(&refusal).unwrap();
        assert_eq!(serde_json::from_slice::<Refusal>(&said).unwrap(), refusal);
    }
}

#[test]
fn a_component_depends_on_itself_only_and_what_is_made_of_a_core_module_on_how() {
    assert!(texts(b"\0asm\x0d\0\x01\0").is_empty());
    let of_core = texts(b"\0asm\x01\0\0\0");
    assert!(of_core.iter().any(|it| it.contains("interface handler {")), "wit/ is part of it");
}
