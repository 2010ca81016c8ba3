;; H37: asks for one random byte more than it may have at once.
(import "wasi" "memory" (memory 1))
(import "wasi" "random" (func $random (param i64 i32)))
(export "memory" (memory 0))
(func $attack (param $call i32) (result i32)
  (call $random (i64.const 1000) (i32.const 2048))
  (call $random (i64.const 65537) (i32.const 2048))
  (i32.const 0))
