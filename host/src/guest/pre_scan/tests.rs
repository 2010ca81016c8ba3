use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module,
    ModuleArg, NestedComponentSection, TableSection, TableType, TypeSection, ValType,
};
use wasm_encoder::{Component, InstanceSection, ModuleSection, RefType};

use super::*;

/// What is found too much in a module: what, and how much of how much.
fn excess(module: &[u8]) -> Option<(String, u64, u64)> {
    match check(module) {
        Ok(()) => None,
        Err(Problem::Excess(Excess { what, count, max })) => Some((what, count, max)),
        Err(Problem::Invalid(error)) => panic!("{error}"),
    }
}

/// A module with so many empty functions, one of which has this code.
fn functions(count: u32, body: &Function) -> Vec<u8> {
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    let mut empty = Function::new([]);
    empty.instructions().end();
    for index in 0..count {
        functions.function(0);
        code.function(if index == 0 { body } else { &empty });
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module.finish()
}

fn body(locals: impl IntoIterator<Item = (u32, ValType)>, nops: usize) -> Function {
    let locals: Vec<_> = locals.into_iter().collect();
    let mut body = Function::new(locals);
    body.raw(vec![0x01; nops]);
    body.instructions().end();
    body
}

fn section(section: &impl wasm_encoder::Section) -> Vec<u8> {
    let mut module = Module::new();
    module.section(section);
    module.finish()
}

#[test]
fn each_number_may_be_as_high_as_its_limit_and_no_higher() {
    let globals = |count| {
        let mut globals = GlobalSection::new();
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        (0..count).for_each(|_| {
            globals.global(ty, &ConstExpr::i32_const(0));
        });
        section(&globals)
    };
    let types = |count| {
        let mut types = TypeSection::new();
        (0..count).for_each(|_| types.ty().function([], []));
        section(&types)
    };
    let exports = |count: u64| {
        let mut exports = ExportSection::new();
        (0..count).for_each(|n| {
            exports.export(&n.to_string(), ExportKind::Memory, 0);
        });
        section(&exports)
    };
    let elements = |count| {
        let mut elements = ElementSection::new();
        (0..count).for_each(|_| {
            elements.passive(Elements::Functions([].as_slice().into()));
        });
        section(&elements)
    };
    let data = |count| {
        let mut data = DataSection::new();
        (0..count).for_each(|_| {
            data.passive([]);
        });
        section(&data)
    };
    let tables = |count| {
        let mut tables = TableSection::new();
        let ty = TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 0,
            maximum: None,
            shared: false,
        };
        (0..count).for_each(|_| {
            tables.table(ty);
        });
        section(&tables)
    };
    let modules = |count| {
        let mut component = Component::new();
        (0..count).for_each(|_| {
            component.section(&ModuleSection(&Module::new()));
        });
        component.finish()
    };
    let instances = |count| {
        let mut instances = InstanceSection::new();
        (0..count).for_each(|_| {
            instances.instantiate::<_, &str>(0, [] as [(&str, ModuleArg); 0]);
        });
        let mut component = Component::new();
        component.section(&instances);
        component.finish()
    };
    let one = |count: u64| functions(u32::try_from(count).unwrap(), &body([], 0));
    let locals = |count: u64| {
        let half = u32::try_from(count / 2).unwrap();
        functions(1, &body([(half, ValType::I32), (half, ValType::I64)], 0))
    };
    // Its length, the number of its locals and its end are in it.
    let long = |bytes: u64| functions(1, &body([], usize::try_from(bytes).unwrap() - 2));

    type Make<'a> = &'a dyn Fn(u64) -> Vec<u8>;
    let cases: [(&str, u64, u64, Make); 11] = [
        ("functions", 50_000, 1, &one),
        ("bytes of code in one function", 1 << 20, 1, &long),
        ("local variables in one function", 10_000, 2, &locals),
        ("types", 20_000, 1, &types),
        ("imports and exports", 20_000, 1, &exports),
        ("nested modules", 64, 1, &modules),
        ("global variables", 10_000, 1, &globals),
        ("element segments", 1_000, 1, &elements),
        ("data segments", 100_000, 1, &data),
        ("tables", 100, 1, &tables),
        ("instances, aliases and canonical functions", 20_000, 1, &instances),
    ];
    for (what, max, step, make) in cases {
        assert_eq!(excess(&make(max)), None, "{what}");
        assert_eq!(excess(&make(max + step)), Some((what.to_owned(), max + step, max)), "{what}");
    }
}

#[test]
fn what_is_spread_over_nested_modules_counts_together() {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    (0..7_000).for_each(|n| {
        exports.export(&n.to_string(), ExportKind::Memory, 0);
    });
    let mut module = Module::new();
    module.section(&memories).section(&exports);
    let mut inner = Component::new();
    inner.section(&ModuleSection(&module));
    let mut component = Component::new();
    component.section(&ModuleSection(&module)).section(&NestedComponentSection(&inner));
    assert_eq!(excess(&component.clone().finish()), None);
    component.section(&ModuleSection(&module));
    let (what, count, _) = excess(&component.finish()).unwrap();
    assert_eq!((&*what, count), ("imports and exports", 21_000));
}

#[test]
fn the_types_in_a_type_count_and_so_does_a_claim_that_is_not_true() {
    // A group of 30,000 function types.
    let group = [&[0x4e][..], &leb(30_000), &[0x60, 0, 0].repeat(30_000)].concat();
    let types = [&leb(1)[..], &group].concat();
    let module = |id: u8, content: &[u8]| {
        [b"\0asm\x01\0\0\0", &[id][..], &leb(content.len() as u32), content].concat()
    };
    assert_eq!(excess(&module(1, &types)), Some(("types".to_owned(), 30_000, 20_000)));
    // A million globals that are not there.
    let globals = excess(&module(6, &leb(1_000_000)));
    assert_eq!(globals, Some(("global variables".to_owned(), 1_000_000, 10_000)));
    // Local variables that need no bytes.
    let code = [&leb(1)[..], &leb(7), &leb(1), &leb(u32::MAX), &[0x7f]].concat();
    let module = [&module(3, &[1, 0])[..], &[10], &leb(code.len() as u32), &code].concat();
    let (what, count, _) = excess(&module).unwrap();
    assert_eq!((&*what, count), ("local variables in one function", u64::from(u32::MAX)));
}

#[test]
fn a_module_that_ends_early_is_invalid_wherever_it_does() {
    let module = functions(3, &body([(2, ValType::I32)], 10));
    for end in 8..module.len() {
        match check(&module[..end]) {
            // Between two sections.
            Ok(()) => {}
            Err(Problem::Invalid(_)) => {}
            Err(Problem::Excess(excess)) => panic!("{end}: {excess}"),
        }
    }
    let large = vec![0; usize::try_from(MODULE_BYTES_MAX).unwrap() + 1];
    assert_eq!(excess(&large).unwrap().0, "bytes");
}

fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
