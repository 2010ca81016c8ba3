//! Measures informerd.
fn main() {}
