//! The guests in `guests/hostile`, assembled.

use std::fs;
use std::path::Path;

/// Assembles a guest: its file with these words replaced, and behind it whatever it does not say itself
/// (`base.wat`).
pub fn hostile_guest(name: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let mut guest = read(name);
    for (from, to) in changes {
        assert!(guest.contains(from), "{from} is not in guests/hostile/{name}.wat");
        guest = guest.replacen(from, to, 1);
    }
    let base = read("base");
    let others = base.split("\n\n").filter(|block| !is_defined(block, &guest));
    let guest = [&*guest].into_iter().chain(others).collect::<Vec<_>>().join("\n");
    let text = match guest.contains("(import \"wasi\"") {
        true => read("with_wasi").replace(";; The guest.", &guest),
        false => format!("(module {guest})"),
    };
    wat::parse_str(&text).unwrap_or_else(|error| panic!("guests/hostile/{name}.wat: {error}"))
}

/// Whether the guest has what the block exports, or else names, in its first line of code.
fn is_defined(block: &str, guest: &str) -> bool {
    let first = block.lines().find(|line| !line.starts_with(";;")).unwrap_or_default();
    let item = match first.split_once("(export ") {
        Some((_, name)) => format!("(export {}", name.split(')').next().unwrap_or_default()),
        None => first.split(' ').take(2).collect::<Vec<_>>().join(" "),
    };
    item.contains(['$', '"']) && guest.contains(&item)
}

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/hostile");
    let file = folder.join(name).with_extension("wat");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
