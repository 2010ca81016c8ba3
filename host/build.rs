//! What is compiled in beside the code.

#[path = "build/templates.rs"]
mod templates;

fn main() -> std::io::Result<()> {
    templates::embed()
}
