;; H27: waits for an hour in a host function.
(import "wasi" "memory" (memory 1))
(import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
(import "wasi" "block" (func $block (param i32)))
(export "memory" (memory 0))
(func $attack (param $call i32) (result i32)
  (call $block (call $subscribe (i64.const 3600000000000)))
  (i32.const 0))
