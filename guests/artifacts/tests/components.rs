//! What a guest's component promises without being run: the world's exports, and no imports but
//! the host's and WASI's. And that the inputs in `guests/broken` are broken where they say.

use std::path::Path;
use wasmparser::{Encoding, Parser, Payload, Validator};

#[derive(Debug, Default)]
struct Interface {
    imports: Vec<String>,
    exports: Vec<String>,
}

#[test]
fn every_guest_is_of_the_handler_world() {
    for (guest, path) in artifacts::ALL {
        let component = std::fs::read(path).unwrap();
        let interface = interface(&component);
        println!("{guest}: {} bytes, imports {:#?}", component.len(), interface.imports);
        assert_eq!(interface.exports, ["informerd:handler/handler@0.1.0"], "{guest}");
        for import in &interface.imports {
            let is_allowed =
                import.starts_with("informerd:handler/") || import.starts_with("wasi:");
            assert!(is_allowed, "{guest} imports {import}");
        }
    }
}

#[test]
fn a_core_module_is_no_component() {
    let module = broken("core_module");
    Validator::new().validate_all(&module).unwrap();
    let first = Parser::new(0).parse_all(&module).next().unwrap().unwrap();
    assert!(matches!(first, Payload::Version { encoding: Encoding::Module, .. }), "{first:?}");
}

#[test]
fn a_component_of_another_world_exports_no_handler() {
    let interface = interface(&broken("other_world"));
    assert_eq!(interface.exports, ["example:greeter/greet@1.0.0"]);
}

#[test]
fn a_component_whose_start_traps_is_of_the_handler_world() {
    let interface = interface(&broken("start_traps"));
    assert_eq!(interface.imports, ["informerd:handler/types@0.1.0"]);
    assert_eq!(interface.exports, ["informerd:handler/handler@0.1.0"]);
}

fn broken(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../broken");
    wat::parse_file(folder.join(name).with_extension("wat")).expect("the text is well-formed")
}

/// Of a valid component; what its inner modules import does not count.
fn interface(component: &[u8]) -> Interface {
    Validator::new().validate_all(component).expect("the component is valid");
    let mut interface = Interface::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component).flatten() {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                interface.imports.extend(imports.into_iter().flatten().map(|it| name(it.name)));
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                interface.exports.extend(exports.into_iter().flatten().map(|it| name(it.name)));
            }
            _ => {}
        }
    }
    interface
}

fn name(name: wasmparser::ComponentExternName<'_>) -> String {
    name.name.to_owned()
}
