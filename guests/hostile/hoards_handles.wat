;; H23: takes handles of WASI and gives none back.
(import "wasi" "memory" (memory 1))
(import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
(export "memory" (memory 0))
(func $attack (param $call i32) (result i32)
  (loop $again
    (drop (call $subscribe (i64.const 3600000000000)))
    (br $again))
  (unreachable))
