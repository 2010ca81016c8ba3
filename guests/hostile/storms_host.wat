;; H22: calls the host without end, with what costs a guest least.
(import "config" "get" (func $config (param i32 i32 i32)))
(func $attack (param $call i32) (result i32)
  (loop $again
    (call $config (i32.const 2048) (i32.const 4) (i32.const 2064))
    (br $again))
  (unreachable))
(data (i32.const 2048) "name")
