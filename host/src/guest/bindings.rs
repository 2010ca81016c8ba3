//! The contract in `wit/` as Rust types, and nothing else.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "handler-module",
    imports: { default: trappable },
    exports: { default: async },
});
