//! That `wit/` is what it claims to be: well-formed, and documented item by item.

use std::path::Path;

use wit_component::WitPrinter;
use wit_parser::{PackageId, Resolve, TypeDefKind, WorldItem};

/// What `wasm-tools component wit wit/` does.
#[test]
fn it_is_parsed_and_printed_and_parsed_again() {
    let (resolve, package) = contract();
    assert_eq!(resolve.packages[package].name.to_string(), "informerd:handler@0.1.0");
    let printed = print(&resolve, package);
    let mut again = Resolve::new();
    let package = again.push_source("printed.wit", &printed).unwrap();
    assert_eq!(print(&again, package), printed, "nothing is lost in between");
}

#[test]
fn every_item_says_what_it_is() {
    let (resolve, _) = contract();
    let mut undocumented = Vec::new();
    let mut see = |item: String, docs: &wit_parser::Docs| {
        if docs.contents.is_none() {
            undocumented.push(item);
        }
    };
    for (_, package) in &resolve.packages {
        see(package.name.to_string(), &package.docs);
    }
    for (_, world) in &resolve.worlds {
        see(world.name.clone(), &world.docs);
    }
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap();
        see(name.clone(), &interface.docs);
        for (function, it) in &interface.functions {
            see(format!("{name}.{function}"), &it.docs);
        }
        for (ty, id) in &interface.types {
            // Of a type that is used from another interface, that one tells.
            if !matches!(resolve.types[*id].kind, TypeDefKind::Type(wit_parser::Type::Id(_))) {
                see(format!("{name}.{ty}"), &resolve.types[*id].docs);
                match &resolve.types[*id].kind {
                    TypeDefKind::Record(record) => {
                        for field in &record.fields {
                            see(format!("{name}.{ty}.{}", field.name), &field.docs);
                        }
                    }
                    TypeDefKind::Variant(variant) => {
                        for case in &variant.cases {
                            see(format!("{name}.{ty}.{}", case.name), &case.docs);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(undocumented.is_empty(), "without documentation: {undocumented:?}");
}

/// A module that uses none of them is a handler, so a language's bindings may leave them all out.
#[test]
fn a_handler_exports_one_interface_and_may_import_these() {
    let (resolve, package) = contract();
    let world = resolve.select_world(&[package], Some("handler-module")).unwrap();
    let world = &resolve.worlds[world];
    let names = |items: &wit_parser::IndexMap<wit_parser::WorldKey, WorldItem>| {
        let names = items.keys().map(|key| resolve.name_world_key(key));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&world.exports), ["informerd:handler/handler@0.1.0"]);
    let imports = ["cache", "config", "log", "objects", "types"];
    let expected = imports.map(|name| format!("informerd:handler/{name}@0.1.0"));
    let mut imports = names(&world.imports);
    imports.sort();
    assert_eq!(imports, expected);
}

fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_dir(folder).expect("wit/ is well-formed");
    (resolve, package)
}

fn print(resolve: &Resolve, package: PackageId) -> String {
    let mut printer = WitPrinter::default();
    printer.print(resolve, package, &[]).unwrap();
    printer.output.to_string()
}
