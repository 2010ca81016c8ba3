;; H21: logs 9,000 lines in a call, through the contract.
(import "log" "log" (func $log (param i32 i32 i32 i32 i32)))
(func $attack (param $call i32) (result i32)
  (local $lines i32)
  (local.set $lines (i32.const 9000))
  (loop $next
    (call $log (i32.const 2) (i32.const 2048) (i32.const 5) (i32.const 0) (i32.const 0))
    (local.set $lines (i32.sub (local.get $lines) (i32.const 1)))
    (br_if $next (local.get $lines)))
  (i32.const 0))
(data (i32.const 2048) "noise")
