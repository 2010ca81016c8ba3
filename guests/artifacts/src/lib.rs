//! Every guest as a compiled component: one path constant each, named like its crate, and `ALL`.
//!
//! `build.rs` compiles them, so whoever depends on this crate finds them up to date.

include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));
